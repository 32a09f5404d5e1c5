"""Long generation: schedules and projects that take minutes to hours."""
