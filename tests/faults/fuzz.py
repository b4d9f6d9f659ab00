"""Looks for inputs that mask decoding, label mapping, configuration or manifest reading do not stand.

Run: python tests/faults/fuzz.py --minutes 60 [--only masks] [--seed 1]. Exit status 1 if something was found:
the smallest such input is kept in tests/faults/corpus, where the tests replay it.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from types import ModuleType

import fuzz_config
import fuzz_labels
import fuzz_manifest
import fuzz_masks
from hypothesis import HealthCheck, Phase, given, seed, settings

CORPUS = Path(__file__).parent / "corpus"
TARGETS = {module.NAME: module for module in (fuzz_masks, fuzz_labels, fuzz_config, fuzz_manifest)}
_ROUND = 200


def main() -> int:
    """Fuzzes the targets in turns until the time is over or something is found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument(
        "--only", choices=sorted(TARGETS), action="append", help="this target; may be repeated"
    )
    parser.add_argument("--seed", type=int, help="to do the same again")
    options = parser.parse_args()
    first = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    print(f"seed {first}", flush=True)
    targets = [TARGETS[name] for name in options.only or sorted(TARGETS)]
    counts: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    until, turn = time.monotonic() + 60 * options.minutes, 0
    while time.monotonic() < until:
        target = min(targets, key=lambda one: seconds[one.NAME])
        started = time.monotonic()
        if (found := fuzz_round(target, first + turn, counts)) is not None:
            print(f"{target.NAME}: found {found}; replay it by pytest tests/faults/test_fuzz_corpus.py")
            return 1
        seconds[target.NAME] += time.monotonic() - started  # type: ignore[assignment]
        turn += 1
    for target in targets:
        print(f"{target.NAME}: {counts[target.NAME]:,} inputs in {seconds[target.NAME]:.0f} s, nothing found")
    return 0


def fuzz_round(target: ModuleType, number: int, counts: Counter[str]) -> Path | None:
    """Tries some inputs; returns the file of the smallest that failed."""
    failing = b""

    @seed(number)
    @settings(
        max_examples=_ROUND,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
    )
    @given(target.INPUTS)
    def attempt(data: bytes) -> None:
        nonlocal failing
        counts[target.NAME] += 1
        try:
            target.check(data)
        except BaseException:
            failing = data
            raise

    try:
        attempt()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        for one in error.exceptions if isinstance(error, BaseExceptionGroup) else (error,):
            print(f"{target.NAME}: {type(one).__name__}: {str(one)[:500]}", file=sys.stderr)
        print(repr(failing[:500]), file=sys.stderr)
        path = CORPUS / target.NAME / hashlib.sha256(failing).hexdigest()[:12]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(failing)
        return path
    return None


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
