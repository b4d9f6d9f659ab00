"""From a batch to a SavedModel: network, loss, metrics, training loop, export."""
