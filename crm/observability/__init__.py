"""What operators look at: logs, health and metrics."""
