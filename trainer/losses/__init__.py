"""The losses: each one's definition with its formula, and their weighted sum."""
