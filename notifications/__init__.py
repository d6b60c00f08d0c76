"""What people are told: in the page, by e-mail, in a daily digest. It knows no lead and no deal."""
