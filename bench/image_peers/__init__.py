"""What the picture check is measured against, each from its registry into a folder of its own."""
