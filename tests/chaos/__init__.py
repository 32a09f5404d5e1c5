"""Many processes, one lock table, and all that can happen to a process: `python -m tests.chaos.run`."""
