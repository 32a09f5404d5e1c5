"""Measurements: one module per figure, each against a peer in the same run.

Run one as `.venv/bin/python -m bench.NAME`, all as `make bench`.
"""
