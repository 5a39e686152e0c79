"""Models that score items for users, and the blend that ranks their candidates."""
