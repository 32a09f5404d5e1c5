"""What runs inside a container: the contract, the runtime and the jobs."""
