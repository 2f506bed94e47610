"""Prometheus exporter and health prober for the remote consoles of CloudDC bare-metal servers."""
