"""The local web pages over the history of runs: read-only, for this machine only."""
