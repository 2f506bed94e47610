"""Limit the request rate of each project and adapt it to 429 responses."""
