"""What people do with leads and mean to do: calls, notes, meetings, tasks, follow-ups; the timeline and the calendar."""
