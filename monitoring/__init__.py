"""Generate Prometheus rules, Grafana dashboards and docs/metrics.md from the metric catalog.

``python -m monitoring`` writes them; the committed files are exactly its output.
"""
