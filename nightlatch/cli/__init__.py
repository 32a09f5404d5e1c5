"""The command line `nightlatch`: it parses, asks, calls an operation, and shows the typed result."""
