"""Demo tenants with believable data. Nothing depends on it."""
