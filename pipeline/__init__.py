"""How leads go through their stages: history with durations, figures, service levels, the board."""
