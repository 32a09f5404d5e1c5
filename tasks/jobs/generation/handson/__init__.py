"""Hands-on guides: projects of tasks that wait for each other, each searched for and written by itself."""
