"""Generates what watches the exporter: Prometheus rules and Grafana dashboards, from the catalog.

``python -m monitoring`` writes them anew; the committed files are its output, byte for byte.
"""
