"""The page that explains a run: its facts, how they are collected, and how they are drawn."""
