"""The local AWS: one process, one loopback port, real processes, no network."""
