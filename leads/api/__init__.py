"""The REST doors of leads: documents 0, 1 and 4 over the same services."""
