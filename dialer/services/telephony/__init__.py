"""Who places calls: a simulator, or a telephone company."""
