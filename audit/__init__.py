"""History and audit: who changed what, when, from which door. Read from what the database's triggers wrote."""
