"""Define the exporter's metrics and render them in the text and OpenMetrics formats."""
