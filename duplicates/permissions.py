"""Who may look through duplicates, decide about them, and set how they are found."""

VIEW = "duplicates.view_duplicategroup"
DECIDE = "duplicates.change_decision"
CONFIGURE = "duplicates.change_duplicatesettings"
