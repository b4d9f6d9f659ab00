"""The DAG, its configuration, the local runner, the run history and the command line."""

import data as data  # Chooses TensorFlow's kernels before anything imports it.
