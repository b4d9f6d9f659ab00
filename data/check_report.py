"""What a data set holds and what is wrong with it, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from data.errors import Problem
from data.find_near_duplicates import NearDuplicates
from data.quarantine import Quarantine


@dataclass(frozen=True)
class SplitFacts:
    """What the sound pairs of a split hold.

    Attributes:
        pairs: listed pairs, sound or not.
        class_pixels: pixels of each class, in the order of ids.
        class_images: images that hold each class.
        void_pixels: pixels of no class.
    """

    pairs: int
    class_pixels: tuple[int, ...]
    class_images: tuple[int, ...]
    void_pixels: int

    def shares(self) -> tuple[float, ...]:
        """Returns each class' share of the pixels that are not void, 0 where there are none."""
        total = sum(self.class_pixels)
        return tuple(pixels / total if total else 0.0 for pixels in self.class_pixels)


@dataclass(frozen=True)
class CheckReport:
    """What a data set holds and what is wrong with it.

    Attributes:
        root: where it is.
        layout: how its files lie.
        class_names: in the order of ids.
        own_splits: whether it brings its splits with it; else a hash of the image id splits.
        splits: train, val and test as far as there are pairs.
        sizes: ((width, height), images) as displayed, most frequent first.
        kinds: ``png, 3 channels, 8 bit`` -> images, most frequent first.
        examined: so many pairs were opened.
        largest_void_share: of the image that is void to the largest part, 0 to 1.
        split_distances: split -> feature -> how far its distribution is from train, 0 to 1.
        attributes: the names of the image-level attributes.
        problems: everything that refuses the data set.
        quarantine: what it goes without; None where nothing may be left out.
        near_duplicates: images that look like one in another split; None where nobody looked.
        warnings: what deserves a look, as sentences.
        notes: what was left out on purpose, as sentences.
        fingerprint: of the content; None where there are problems, not all pairs were opened, or something
            is left out.
    """

    root: str
    layout: str
    class_names: tuple[str, ...]
    own_splits: bool
    splits: Mapping[str, SplitFacts]
    sizes: tuple[tuple[tuple[int, int], int], ...]
    kinds: Mapping[str, int]
    examined: int
    largest_void_share: float
    split_distances: Mapping[str, Mapping[str, float]]
    attributes: tuple[str, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    fingerprint: str | None
    quarantine: Quarantine | None = None
    near_duplicates: NearDuplicates | None = None

    @property
    def pairs(self) -> int:
        """Listed pairs, over all splits."""
        return sum(split.pairs for split in self.splits.values())

    def total_class_pixels(self) -> tuple[int, ...]:
        """Returns the pixels of each class over all splits."""
        columns = zip(*(split.class_pixels for split in self.splits.values()), strict=True)
        return tuple(sum(column) for column in columns) or (0,) * len(self.class_names)

    def to_json(self) -> dict[str, Any]:
        """Returns the report as one JSON document."""
        return {
            "root": self.root,
            "layout": self.layout,
            "ok": not self.problems,
            "pairs": self.pairs,
            "examined": self.examined,
            "largest_void_share": self.largest_void_share,
            "split_distances": {name: dict(found) for name, found in self.split_distances.items()},
            "own_splits": self.own_splits,
            "splits": {name: self._split_to_json(split) for name, split in self.splits.items()},
            "sizes": [
                {"width_px": width, "height_px": height, "images": images}
                for (width, height), images in self.sizes
            ],
            "kinds": dict(self.kinds),
            "attributes": list(self.attributes),
            "fingerprint": self.fingerprint,
            "problems": [{**asdict(problem), "sentence": problem.sentence()} for problem in self.problems],
            "quarantine": self.quarantine.to_json() if self.quarantine else None,
            "near_duplicates": self.near_duplicates.to_json() if self.near_duplicates else None,
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }

    def _split_to_json(self, split: SplitFacts) -> dict[str, Any]:
        rows = zip(self.class_names, split.class_pixels, split.shares(), split.class_images, strict=True)
        return {
            "pairs": split.pairs,
            "void_pixels": split.void_pixels,
            "classes": {
                name: {"pixels": pixels, "share": share, "images": images}
                for name, pixels, share, images in rows
            },
        }
