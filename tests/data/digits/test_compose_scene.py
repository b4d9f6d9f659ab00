from __future__ import annotations

import numpy as np

from data.digits.compose_scene import SplitSources, compose_scene


def make_sources() -> SplitSources:
    """Four square blobs for scans, and a flat grey photograph."""
    scans = np.zeros((4, 8, 8), np.float32)
    scans[:, 2:6, 2:6] = 1
    photo = np.full((200, 128, 3), 100, np.uint8)
    return SplitSources(np.arange(4), scans, np.array([7, 2, 0, 9]), (photo,))


def test_the_mask_says_which_pixels_are_ink_and_whose() -> None:
    sources = make_sources()
    kinds = set()
    for index in range(40):
        scene = compose_scene(sources, np.arange(4), np.random.default_rng([5, index]))
        kinds.add((scene.digits, scene.contrast))
        ids = set(np.unique(scene.mask).tolist())
        assert ids <= {0, 8, 3, 1, 10, 255} and 8 in ids
        assert (len(ids) - 2 > 2) == (scene.digits == "many")
        change = np.abs(scene.image.astype(int).mean(axis=2) - 100)
        assert change[scene.mask == 0].max() <= 0.2 * 170
        assert change[(scene.mask != 0) & (scene.mask != 255)].min() > 25
    assert kinds == {(digits, contrast) for digits in ("few", "many") for contrast in ("low", "high")}


def test_high_contrast_is_further_from_its_background_than_low() -> None:
    sources = make_sources()
    steps: dict[str, list[float]] = {"low": [], "high": []}
    for index in range(60):
        scene = compose_scene(sources, np.arange(4), np.random.default_rng([6, index]))
        luma = scene.image @ np.array([0.299, 0.587, 0.114])
        ink = (scene.mask == 8) & (np.abs(luma - 100) > 0)
        steps[scene.contrast].append(float(np.median(np.abs(luma[ink] - 100))))
    assert max(steps["low"]) < 101 and min(steps["high"]) > 90
    assert np.mean(steps["high"]) > np.mean(steps["low"]) + 20
