"""Validated configuration, read from a YAML file."""
