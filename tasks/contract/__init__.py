"""The contract between the state machine, the runtime and a job. Standard library only.

A job in any language can keep it by hand: environment variables (`variables`), exit codes (`exit_codes`),
progress lines (`progress`) and two directories. It imports nothing of ours.
"""

from tasks.contract import exit_codes, variables
from tasks.contract.assignment import Assignment, AssignmentError, Claimable
from tasks.contract.progress import Progress
from tasks.contract.progress import parse as parse_progress

__all__ = [
    "Assignment",
    "AssignmentError",
    "Claimable",
    "Progress",
    "exit_codes",
    "parse_progress",
    "variables",
]
