"""What is read of queues and calls."""
