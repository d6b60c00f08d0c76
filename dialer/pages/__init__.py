"""The workspace of who calls, and the pages of who steers it."""
