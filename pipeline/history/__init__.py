"""Answers about past runs: what changed, what came of it, and where a model comes from."""
