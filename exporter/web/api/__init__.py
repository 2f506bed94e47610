"""The JSON API below ``/api/v1``."""

from exporter.web.api.routes import api_routes

__all__ = ["api_routes"]
