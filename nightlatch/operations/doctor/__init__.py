"""Checks of an environment: what is missing, what is wrong, and the one thing to do about it."""

from nightlatch.operations.doctor.examination import examine
from nightlatch.operations.doctor.finding import FAULT, OK, SKIPPED, WARNING, Finding
from nightlatch.operations.doctor.reach import own_modules

__all__ = ["FAULT", "OK", "SKIPPED", "WARNING", "Finding", "examine", "own_modules"]
