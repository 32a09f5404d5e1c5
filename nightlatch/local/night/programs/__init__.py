"""What the stories run in their containers."""
