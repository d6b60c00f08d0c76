"""The endpoints of activities."""
