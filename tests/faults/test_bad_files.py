"""Every kind of file is taken and right, or refused by name; in little memory, and never by a crash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.config import DataConfig

MAX_BYTES = 2_000_000_000


def test_it_is_taken_and_right_or_refused_by_name(
    file_kind: str, outcome: dict[str, Any], bad_set: DataConfig, bad_files: ModuleType
) -> None:
    case, found = bad_files.CASES[file_kind], outcome["pairs"][file_kind]
    below = f"{bad_set.root}/"
    problems = [tuple(problem) for problem in found.get("problems", ())]
    named = [(where.removeprefix(below).partition("/")[0] + " " + code) for where, code, _ in problems]
    assert tuple(named) == case.refused
    if case.refused:
        assert all(Path(where).stem == file_kind and remedy for where, _, remedy in problems)
        return
    pixels, ids = case.shown()
    assert found["size"] == list(pixels.shape[:2])
    assert found["mean"] == pytest.approx(pixels.mean(), abs=max(1e-9, case.tolerance))
    np.testing.assert_array_equal(found["ids"], ids)
    assert found["hashed_alike"]


def test_a_check_names_every_bad_file_once_and_counts_the_others(
    outcome: dict[str, Any], bad_set: DataConfig, bad_files: ModuleType
) -> None:
    report = outcome["report"]
    found = [
        (Path(one["where"]).stem, Path(one["where"]).relative_to(bad_set.root).parts[0] + " " + one["code"])
        for one in report["problems"]
    ]
    expected = [(kind, code) for kind, case in bad_files.CASES.items() for code in case.refused]
    assert sorted(found) == sorted(expected)
    taken = sum(not case.refused for case in bad_files.CASES.values())
    assert report["pairs"] == len(bad_files.CASES) + 6 and sum(report["kinds"].values()) == taken + 6


def test_damaged_files_are_refused_or_taken_but_never_crash(
    fuzzed_kind: str, outcome: dict[str, Any]
) -> None:
    # Whatever else was raised would have ended the process. Some damage hits what nobody reads.
    assert 50 < outcome["refused"][fuzzed_kind] <= 150


def test_two_gigabytes_suffice(outcome: dict[str, Any]) -> None:
    # The process could not have had more; most of it is what it imports.
    assert outcome["peak_bytes"] < MAX_BYTES / 2


@pytest.mark.slow
def test_tensorflow_decodes_what_is_taken_to_the_same_pixels(
    good_file_kind: str, bad_files: ModuleType
) -> None:
    import tensorflow as tf

    from data.decode_image import decode_image

    case = bad_files.CASES[good_file_kind]
    pixels, _ = case.shown()
    decoded = decode_image(tf.constant(case.image)).numpy()
    assert decoded.shape == pixels.shape
    np.testing.assert_allclose(decoded, pixels, atol=case.tolerance)


@pytest.mark.long("decodes eight pictures of 80 megapixels")
@pytest.mark.parametrize("encoding", ["id", "rgb"])
def test_the_largest_pictures_fit_also_when_threads_read_several(
    write_pairs: Callable[..., DataConfig],
    run_probe: Callable[..., dict[str, Any]],
    tmp_path: Path,
    encoding: str,
) -> None:
    config = write_pairs(tmp_path, {"train": 1})
    classes = [{"id": 0, "name": "a", "colour": [0, 0, 0]}, {"id": 1, "name": "b", "colour": [9, 9, 9]}]
    keys = {"classes": classes, "mask_encoding": encoding, "root": str(tmp_path), "void_values": []}
    config = DataConfig.model_validate(keys)
    height, width = 8000, 9999
    Image.new("RGBA", (width, height), (3, 4, 5, 6)).save(tmp_path / "large.png", compress_level=1)
    mask = np.zeros((height, width), np.uint8)
    mask[-1] = 9
    Image.fromarray(mask).convert("RGB").save(tmp_path / "mask.png", compress_level=1)
    pairs = [(str(i), "train", str(tmp_path / "large.png"), str(tmp_path / "mask.png")) for i in range(4)]
    found = run_probe(config, pairs, threads=4)
    if encoding == "rgb":
        assert all(one["size"] == [height, width] and one["mean"] == 4 for one in found["pairs"].values())
    else:
        codes = {code for one in found["pairs"].values() for _, code, _ in one["problems"]}
        assert codes == {"unknown_class_id"}
    assert found["peak_bytes"] < MAX_BYTES
