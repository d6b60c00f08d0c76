"""Who works which lead, by which rule, and why."""
