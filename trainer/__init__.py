"""From a batch to a SavedModel: network, loss, metrics, training loop, export."""

import data as data  # Chooses TensorFlow's kernels before anything imports it.
