"""The DAG, its configuration, the local runner, the run history and the command line."""
