"""Which examples a run goes without, why, and when they are too many.

With ``data.on_bad_example: fail`` every problem refuses the data set. With ``quarantine`` a problem of one
file costs that example only; what concerns more than that (a missing folder, an empty split, an attributes'
file, an image that is in two splits) still refuses.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from data.config import DataConfig
from data.errors import Problem
from data.pairs import IMAGE_ENDINGS, MASK_ENDINGS, OTHER_IMAGE_ENDINGS
from data.wording import count

QUARANTINE_FILE = "quarantine.json"
"""Beside the examples of a run."""
QUARANTINED_PROPERTY = "quarantined"
"""The custom property of the examples' artifact that holds how many were left out."""

_ENDINGS = IMAGE_ENDINGS | MASK_ENDINGS | OTHER_IMAGE_ENDINGS
_CODES_OF_FILES = frozenset(
    {
        "bad_name",
        "duplicate_id",
        "empty_file",
        "escaping_link",
        "mask_is_colour",
        "missing_image",
        "missing_mask",
        "no_split",
        "not_an_image",
        "several_pictures",
        "size_mismatch",
        "too_large",
        "truncated_image",
        "unknown_class_id",
        "unreadable_file",
        "unsupported_format",
        "unsupported_mask",
    }
)
_CODES_OF_LINES = frozenset({"duplicate_id", "listed_without_file", "unknown_image_id"})
"""Of lines of split lists and of the attributes' file that name what is not there."""


@dataclass(frozen=True)
class BadExample:
    """A listed pair that is no example."""

    image_id: str
    split: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, order=True)
class LeftOut:
    """One reason why something is left out; the id and the split are empty where no pair was made."""

    problem: Problem
    image_id: str = ""
    split: str = ""


@dataclass(frozen=True)
class Quarantine:
    """What is left out of a data set.

    Attributes:
        left_out: every file with its reason.
        bad: so many examples are left out: pairs with anything wrong, and files and lines that make no pair.
        sound: so many pairs are taken.
        max_bad_share: ``data.max_bad_share``.
    """

    left_out: tuple[LeftOut, ...]
    bad: int
    sound: int
    max_bad_share: float

    @property
    def bad_share(self) -> float:
        """Of all examples, 0 to 1."""
        return self.bad / max(1, self.bad + self.sound)

    def to_json(self) -> dict[str, Any]:
        """Returns it as one JSON document."""
        rows = [
            {
                **asdict(one.problem),
                "sentence": one.problem.sentence(),
                "image_id": one.image_id or None,
                "split": one.split or None,
            }
            for one in self.left_out
        ]
        return {
            "bad": self.bad,
            "sound": self.sound,
            "bad_share": self.bad_share,
            "max_bad_share": self.max_bad_share,
            "left_out": rows,
        }


def judge_examples(
    config: DataConfig, listed: Iterable[Problem], bad: Sequence[BadExample], sound: Mapping[str, int]
) -> tuple[set[Problem], Quarantine | None]:
    """Returns what refuses the data set, and what is left out of it.

    Args:
        config: the data set's.
        listed: every problem of its listing.
        bad: the pairs with problems.
        sound: split -> pairs without any.

    Returns:
        The problems that refuse it; what is left out, None where nothing may be.
    """
    listed = list(listed)
    of_pairs = [problem for one in bad for problem in one.problems]
    if config.on_bad_example == "fail":
        return {*listed, *of_pairs}, None
    fatal = refuse_listing(config, listed)
    files = sorted({problem for problem in listed if problem not in fatal})
    left_out = [LeftOut(problem) for problem in files]
    left_out += [LeftOut(problem, one.image_id, one.split) for one in bad for problem in one.problems]
    quarantine = Quarantine(
        tuple(sorted(left_out)), len(files) + len(bad), sum(sound.values()), config.max_bad_share
    )
    fatal.update(_find_emptied_splits(bad, sound))
    if quarantine.bad_share > config.max_bad_share:
        # Whoever mends them wants to see them all.
        fatal.update([_too_many(quarantine), *files, *of_pairs])
    return fatal, quarantine


def describe_quarantine(bad: int, sound: int, max_bad_share: float) -> str:
    """Returns how much is left out, as words."""
    share = bad / max(1, bad + sound)
    return f"{bad:,} of {count(bad + sound, 'example')} left out ({share:.2%}, at most {max_bad_share:.2%})"


def refuse_listing(config: DataConfig, listed: Iterable[Problem]) -> set[Problem]:
    """Returns those problems of a listing that refuse the data set whatever is in its files."""
    if config.on_bad_example == "fail":
        return set(listed)
    return {problem for problem in listed if not _concerns_one_example(problem)}


def _concerns_one_example(problem: Problem) -> bool:
    if ", line " in problem.where:
        return problem.code in _CODES_OF_LINES
    # A folder that cannot be read or leads elsewhere holds nobody knows how many examples.
    ending = posixpath.splitext(problem.where)[1].lower()
    return problem.code in _CODES_OF_FILES and ending in _ENDINGS


def _find_emptied_splits(bad: Iterable[BadExample], sound: Mapping[str, int]) -> list[Problem]:
    emptied = sorted({one.split for one in bad if not sound.get(one.split)})
    what = "the split {} is empty: every pair there is bad"
    remedy = "Mend the files that are named"
    return [Problem("data.on_bad_example", what.format(split), remedy, "empty_split") for split in emptied]


def _too_many(quarantine: Quarantine) -> Problem:
    examples = count(quarantine.bad + quarantine.sound, "example")
    what = (
        f"{quarantine.bad:,} of {examples} are bad ({quarantine.bad_share:.2%}), and at most"
        f" {quarantine.max_bad_share:.2%} may be left out"
    )
    return Problem("data.max_bad_share", what, "Mend the files that are named, or raise it", "too_many_bad")
