"""Every write of the dialer."""
