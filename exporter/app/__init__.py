"""Build the exporter from its configuration; start, reload and shut it down."""
