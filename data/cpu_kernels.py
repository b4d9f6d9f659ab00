"""Which kernels TensorFlow takes on a CPU. Imports nothing, for TensorFlow reads it when it is imported."""

from __future__ import annotations

import os


def prefer_onednn() -> None:
    """Lets TensorFlow use oneDNN's kernels, unless the environment says otherwise.

    By itself it uses them only on CPUs with instructions for neural networks (AVX-512 VNNI and later).
    Convolutions gain from them on those with AVX2 alone, too: training by a third and more, as `make bench`
    shows with and without ``TF_ENABLE_ONEDNN_OPTS=0``.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
