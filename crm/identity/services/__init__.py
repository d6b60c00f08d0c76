"""Every write of people and access, by subject."""
