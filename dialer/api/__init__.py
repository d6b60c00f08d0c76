"""Document 2's API, and what drives the rest of the dialer."""
