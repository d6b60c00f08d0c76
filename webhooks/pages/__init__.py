"""Pages of what came in, of the connections it came in by, and of how their fields are read."""
