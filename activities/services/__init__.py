"""Every write of activities."""
