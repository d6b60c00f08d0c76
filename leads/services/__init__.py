"""Every write of leads: intake, editing, statuses, bin, vocabularies, web forms, import."""
