"""Pages of custom fields, and how other apps' pages draw them."""
