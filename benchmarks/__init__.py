"""Benchmarks. Each prints a table; `benchmarks/README.md` has the results."""
