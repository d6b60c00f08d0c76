"""The API of sign-in, people and the tenant."""
