"""Give leads, by hand and by rules."""
