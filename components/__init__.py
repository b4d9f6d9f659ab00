"""TFX components and TFMA metrics: adapters around ``data`` and ``trainer``, no arithmetic."""

import data as data  # Chooses TensorFlow's kernels before anything imports it.
