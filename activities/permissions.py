"""Capabilities of activities. Which of them somebody sees follows the lead."""

VIEW, ADD, CHANGE = "activities.view_activity", "activities.add_activity", "activities.change_activity"
