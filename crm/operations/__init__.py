"""Long work: one table, one page, one API for imports and everything else that takes more than a request."""
