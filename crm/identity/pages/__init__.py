"""Pages of sign-in, people and the tenant."""
