"""Calling through lists: agents and their queues, the calls, and who may be called when."""
