"""The HTML status pages."""
