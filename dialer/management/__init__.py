"""Commands of the dialer."""
