"""Measurements of speed and memory. Each prints a table: `python -m benchmarks.NAME`."""
