"""The lead: captured from any door, filtered, edited, moved through its statuses."""
