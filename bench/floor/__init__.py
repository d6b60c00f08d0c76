"""What the same rows cost in a bare Django REST framework: no sign-in, no tenancy, no history, no rules."""
