"""The exporter's HTTP server: metrics, API, status pages, lifecycle endpoints."""
