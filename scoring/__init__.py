"""Scoring: how good a lead is, and why."""
