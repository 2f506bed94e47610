"""What the exporter knows, as JSON for programs."""

from exporter.web.api.routes import api_routes

__all__ = ["api_routes"]
