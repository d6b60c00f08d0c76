"""People and what they may do: users, roles, teams, invitations, sign-in, sessions, API keys."""
