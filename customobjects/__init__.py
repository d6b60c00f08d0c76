"""Fields of a tenant's own: their definitions, their values, who may see them."""
