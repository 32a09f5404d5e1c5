"""Runners of dependent tasks that others published, each in an environment of its own."""
