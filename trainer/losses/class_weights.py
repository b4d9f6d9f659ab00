"""Weights of the classes' pixels, from how often the train split shows them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer.config import ClassWeighting


def compute_class_weights(
    weighting: ClassWeighting, class_pixels: NDArray[np.floating], class_image_pixels: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Computes the weight of each class' pixels.

    Args:
        weighting: ``none``, ``median_frequency``, ``inverse`` or ``inverse_sqrt``, as in ``TrainerConfig``.
        class_pixels: [classes]: pixels of each class in the train split.
        class_image_pixels: [classes]: labelled pixels of the images that have the class.

    Returns:
        float32 [classes]. Classes without a pixel get 1.
        ``median_frequency``: the median of the classes' frequencies over the class' own, a frequency
        being a class' pixels over the labelled pixels of the images that have it (Eigen, Fergus,
        ICCV 2015, section 6.3.2).
        ``inverse``: one over the class' share of all pixels; ``inverse_sqrt``: one over the share's root.
        Both are scaled so that the mean weight over the train split's pixels is 1.
    """
    pixels = np.asarray(class_pixels, np.float64)
    weights = np.ones(pixels.shape)
    seen = pixels > 0
    if not seen.any() or weighting == "none":
        return weights.astype(np.float32)
    shares = pixels[seen] / pixels.sum()
    if weighting == "median_frequency":
        frequencies = pixels[seen] / np.asarray(class_image_pixels, np.float64)[seen]
        weights[seen] = np.median(frequencies) / frequencies
    elif weighting == "inverse":
        weights[seen] = 1 / shares / len(shares)
    elif weighting == "inverse_sqrt":
        weights[seen] = 1 / np.sqrt(shares) / np.sqrt(shares).sum()
    else:
        raise ValueError(f"no such class weighting: {weighting}")
    return weights.astype(np.float32)
