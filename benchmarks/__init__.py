"""Measurements. Each prints a table; `benchmarks/README.md` keeps the figures."""
