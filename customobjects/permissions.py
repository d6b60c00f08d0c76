"""Who may look definitions up, and who may change them."""

VIEW, CONFIGURE = "customobjects.view_fielddefinition", "customobjects.change_fielddefinition"
