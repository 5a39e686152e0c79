"""Choosing among variants: bandits and off-policy estimates; assignment and analysis come here."""
