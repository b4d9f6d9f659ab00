"""Plants mistakes that no run would show, one at a time, and sees that the tests catch each.

    .venv/bin/python tests/faults/plant_mistakes.py

Each is planted in a copy of the repository, in which the tests named beside it must then fail; before that
they must pass without it. Prints a table; the status is 1 if a mistake went unseen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

REPOSITORY = Path(__file__).resolve().parents[2]
_FAILED = 1  # pytest's status when tests ran and some failed


@dataclass(frozen=True)
class Mistake:
    """A mistake and the tests that catch it.

    Attributes:
        name: what goes wrong.
        file: where.
        right: stands there once.
        wrong: in its place.
        tests: files of tests.
    """

    name: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]


MISTAKES = (
    Mistake(
        "the mask is resized one pixel off",
        "data/resize_example.py",
        "pixels = centres // (2 * new) - tf.cast(",
        "pixels = tf.minimum(centres // (2 * new) + 1, old - 1) - tf.cast(",
        ("tests/data/test_resize_example.py",),
    ),
    Mistake(
        "the image is flipped, its mask is not",
        "data/augment.py",
        'sample(images - base, "BILINEAR", 0.0) + base',
        'sample(images[:, :, ::-1] - base, "BILINEAR", 0.0) + base',
        ("tests/data/test_augment.py",),
    ),
    Mistake(
        "class ids of value masks are swapped",
        "data/decode_mask.py",
        "            table[value] = class_id\n",
        "            table[value] = class_id ^ 1 if class_id < 2 else class_id\n",
        ("tests/data/test_decode_mask.py",),
    ),
    Mistake(
        "class ids of colour masks are swapped",
        "data/decode_mask.py",
        "np.array([packed[key] for key in order], np.uint8)",
        "np.array([packed[key] for key in reversed(order)], np.uint8)",
        ("tests/data/test_decode_mask.py",),
    ),
    Mistake(
        "void counts as a class in the metrics",
        "trainer/confusion_matrix.py",
        "    labelled = truth != ignore_id\n",
        "    truth, labelled = np.where(truth == ignore_id, 0, truth), np.full(truth.shape, True)\n",
        ("tests/trainer/test_confusion_matrix.py",),
    ),
    Mistake(
        "rows and columns of the confusion matrix are swapped",
        "trainer/confusion_matrix.py",
        "np.bincount(rows * num_classes + columns,",
        "np.bincount(columns * num_classes + rows,",
        ("tests/trainer/test_confusion_matrix.py",),
    ),
    Mistake(
        "an absent class counts as IoU 0",
        "trainer/confusion_matrix.py",
        "        _mean_of_defined(iou),\n",
        "        _mean_of_defined(np.nan_to_num(iou)),\n",
        ("tests/trainer/test_confusion_matrix.py",),
    ),
    Mistake(
        "an image stands in train and in test",
        "data/fingerprint_dataset.py",
        "        if len({split for split, _ in same}) < 2:\n",
        "        if len(same) < 9:\n",
        ("tests/data/test_check_dataset.py", "tests/data/test_fingerprint_dataset.py"),
    ),
    Mistake(
        "an image of train, encoded anew, stands in test",
        "data/find_near_duplicates.py",
        "agreement.max(axis=1) >= least)",
        "agreement.max(axis=1) == HASH_BITS)",
        ("tests/data/test_check_dataset.py", "tests/data/test_find_near_duplicates.py"),
    ),
)


def main() -> int:
    """Plants them all; the status is 1 if one went unseen."""
    messages = Console(stderr=True, highlight=False)
    with copy_repository() as copy:
        tests = sorted({test for mistake in MISTAKES for test in mistake.tests})
        if (status := run_tests(copy, tests)) != 0:
            messages.print(f"The tests end with status {status} before anything is planted.")
            return 1
        seen = {
            mistake.name: is_seen(copy, mistake) for mistake in track(MISTAKES, "planting", console=messages)
        }
    table = Table(header_style="bold")
    for heading in ("mistake", "in", "caught"):
        table.add_column(heading)
    for mistake in MISTAKES:
        table.add_row(mistake.name, mistake.file, "yes" if seen[mistake.name] else "NO")
    Console(width=None if sys.stdout.isatty() else 110).print(table)
    return 0 if all(seen.values()) else 1


@contextmanager
def copy_repository() -> Iterator[Path]:
    """Yields a folder with what git tracks, as it stands in the working tree."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True)
    with tempfile.TemporaryDirectory(prefix="deconvflow-mistakes-") as folder:
        for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
            if (REPOSITORY / name).is_file():
                target = Path(folder) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(REPOSITORY / name, target)
        yield Path(folder)


def is_seen(copy: Path, mistake: Mistake) -> bool:
    """Plants a mistake, runs its tests, and takes it out again.

    Raises:
        ValueError: the right line no longer stands there.
    """
    path = copy / mistake.file
    text = path.read_text()
    if text.count(mistake.right) != 1:
        raise ValueError(f"{mistake.file} holds {text.count(mistake.right)} times {mistake.right!r}")
    path.write_text(text.replace(mistake.right, mistake.wrong))
    try:
        return run_tests(copy, mistake.tests) == _FAILED
    finally:
        path.write_text(text)


def run_tests(copy: Path, tests: list[str] | tuple[str, ...]) -> int:
    """Runs tests of the copy, on the copy's packages, to their first failure; returns pytest's status."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True).returncode


if __name__ == "__main__":
    raise SystemExit(main())
