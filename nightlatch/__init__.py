"""nightlatch: batch jobs that never run twice at once, never for ever, and never silently not at all."""

# A plain constant, because reading package metadata would double the start-up time of `nightlatch --version`.
# A test holds it equal to pyproject.toml.
__version__ = "0.1.0"
