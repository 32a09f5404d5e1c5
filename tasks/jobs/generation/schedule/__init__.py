"""Construction schedules: read a project, search for the shortest plan, verify, draw."""
