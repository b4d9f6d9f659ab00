from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from data import find_near_duplicates as module
from data.find_near_duplicates import HashedImage, NearDuplicate, NearDuplicates, find_near_duplicates

FULL = (1 << 256) - 1


def image(path: str, bits: int, sha256: str | None = None) -> HashedImage:
    """An image whose split is the first part of its path."""
    return HashedImage(path, path.partition("/")[0], sha256 or path, f"{bits:064x}")


def search_by_force(images: list[HashedImage], limit: int) -> set[tuple[Any, ...]]:
    """The nearest of another split, by whole numbers, one pair after the other."""
    found = set()
    for other, split in combinations(("train", "val", "test"), 2):
        for one in (image for image in images if image.split == split):
            near = sorted(
                (distance, its.path)
                for its in images
                if its.split == other and its.sha256 != one.sha256
                if (distance := (int(one.perceptual_hash, 16) ^ int(its.perceptual_hash, 16)).bit_count())
                <= limit
            )
            if near:
                found.add((split, one.path, other, near[0][1], near[0][0]))
    return found


def as_tuples(result: NearDuplicates) -> list[tuple[Any, ...]]:
    return [(one.split, one.path, one.other_split, one.other_path, one.distance) for one in result.found]


@pytest.mark.parametrize("blocks", [(1024, 4096), (7, 5), (1, 1)])
@pytest.mark.parametrize("limit", [0, 40, 60])
def test_the_search_agrees_with_brute_force(
    monkeypatch: pytest.MonkeyPatch, blocks: tuple[int, int], limit: int
) -> None:
    monkeypatch.setattr(module, "_BLOCK_ROWS", blocks[0])
    monkeypatch.setattr(module, "_BLOCK_COLUMNS", blocks[1])
    generator = np.random.default_rng(limit)
    centres = [int.from_bytes(generator.bytes(32), "big") for _ in range(6)]
    images = []
    for split, number in (("train", 40), ("val", 15), ("test", 20)):
        for index in range(number):
            # Few different contents, so that exact copies are among them; flips around the limit.
            flips = sum(
                1 << int(bit) for bit in generator.choice(256, generator.integers(0, 36), replace=False)
            )
            bits = centres[generator.integers(6)] ^ flips
            images.append(image(f"{split}/{index:02d}", bits, f"content {generator.integers(50)}"))
    expected = search_by_force(images, limit)
    found = find_near_duplicates(images, limit)
    assert set(as_tuples(found)) == expected and len(found.found) == len(expected)
    assert (limit == 0) == (not expected)
    assert [one.distance for one in found.found] == sorted(one.distance for one in found.found)
    generator.shuffle(images)  # type: ignore[arg-type]
    assert find_near_duplicates(images, limit) == found


def test_distances_at_the_limit_by_hand() -> None:
    images = [
        image("train/a", 0),
        image("train/b", FULL),
        image("test/c", 0b111),
        image("test/d", FULL ^ 0b11111),
    ]
    assert as_tuples(find_near_duplicates(images, 4)) == [("test", "test/c", "train", "train/a", 3)]
    assert as_tuples(find_near_duplicates(images, 5)) == [
        ("test", "test/c", "train", "train/a", 3),
        ("test", "test/d", "train", "train/b", 5),
    ]


def test_an_exact_copy_is_not_reported_but_what_looks_like_it_is() -> None:
    images = [image("train/a", 7, "same"), image("val/b", 7, "same"), image("train/c", 15)]
    assert as_tuples(find_near_duplicates(images[:2])) == []
    assert as_tuples(find_near_duplicates(images)) == [("val", "val/b", "train", "train/c", 1)]


def test_of_equally_near_ones_the_first_by_path() -> None:
    images = [image(f"train/{name}", 1) for name in "cba"] + [image("val/x", 1)]
    assert [one.other_path for one in find_near_duplicates(images).found] == ["train/a"]


def test_images_of_one_split_are_not_compared() -> None:
    found = find_near_duplicates([image("train/a", 1), image("train/b", 1)])
    assert found.found == () and found.images == {"train": 2} and find_near_duplicates([]).found == ()


def test_plain_images_do_not_match_each_other() -> None:
    plain = [HashedImage(f"{split}/{name}", split, name, "") for split in ("train", "test") for name in "abc"]
    found = find_near_duplicates([*plain, image("train/d", 1), image("test/e", 3)])
    assert [one.path for one in found.found] == ["test/e"] and found.plain == 6
    (note,) = found.notes()
    assert note.startswith("6 images with next to nothing to see")
    assert list(find_near_duplicates([image("train/d", 1)]).notes()) == []


def test_at_most_twenty_are_listed_and_all_are_counted() -> None:
    images = [image("train/a", 0), *(image(f"test/{index:02d}", index) for index in range(1, 31))]
    found = find_near_duplicates(images)
    assert [split for split, _ in found.summarise()] == ["test"]
    assert next(found.summarise())[1].startswith("30 of 30 images in test look like images in train")
    lines, problems = list(found.list_found()), found.problems()
    assert len(lines) == len(problems) == 21 and lines[-1] == "and 10 more"
    assert lines[0] == "test/01 looks like train/a in train (distance 1 of 256)"
    assert problems[0].where == "test/01" and problems[0].code == "near_duplicate"
    assert "train/a in train" in problems[0].what and problems[-1].what.startswith("10 more")
    document = found.to_json()
    assert len(document["found"]) == 30 and document["max_distance"] == 40
    assert document["found"][0] == {
        "split": "test",
        "path": "test/01",
        "other_split": "train",
        "other_path": "train/a",
        "distance": 1,
    }


def test_near_duplicates_are_counted_by_both_splits() -> None:
    images = [image("train/a", 0), image("val/b", 1), image("test/c", 1)]
    found = find_near_duplicates(images)
    assert found.found[0] == NearDuplicate("test", "test/c", "val", "val/b", 0)
    assert [sentence.partition(" (")[0] for _, sentence in found.summarise()] == [
        "1 of 1 image in test looks like images in train",
        "1 of 1 image in test looks like images in val",
        "1 of 1 image in val looks like images in train",
    ]
