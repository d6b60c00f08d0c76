"""Real PostgreSQL and Valkey servers for a bare machine, and the supervisor that runs everything on them."""
