"""Finding duplicates: keys of leads, pairs with their probability, groups, and what people decided about them."""
