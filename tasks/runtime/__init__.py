"""The wrapper around every job: claims the lock, keeps the deadline, checkpoints, publishes by fence."""
