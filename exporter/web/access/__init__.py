"""Who may ask the exporter's own web server, and how."""
