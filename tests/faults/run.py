"""``make faults``: breaks the machine under runs and holds what the README promises. Takes hours.

.venv/bin/python tests/faults/run.py [kill disk together store mistakes fuzz scale large] [--times 50]
    [--minutes 10] [--images 20000]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAMS = {
    "kill": "kill_runs.py",
    "disk": "fill_disk.py",
    "together": "run_together.py",
    "store": "trouble_store.py",
    "mistakes": "plant_mistakes.py",
    "fuzz": "fuzz.py",
    "scale": "measure_scale.py",
    "large": "run_large_images.py",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs each program; the status is 1 if one found what does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PROGRAMS))
    parser.add_argument("--times", type=int, default=50, help="turns of kill")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of kill")
    parser.add_argument("--minutes", type=float, default=10.0, help="of fuzz")
    parser.add_argument("--images", type=int, default=20_000, help="of scale")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(PROGRAMS):
        parser.error(f"take any of {', '.join(PROGRAMS)}, not {', '.join(sorted(unknown))}")
    own = {
        "kill": ["--times", str(options.times), "--seed", str(options.seed)],
        "scale": ["--images", str(options.images)],
        "fuzz": ["--minutes", f"{options.minutes:g}"],
    }
    failed = []
    for name in options.names or PROGRAMS:
        if not (HERE / PROGRAMS[name]).exists():
            print(f"{name}: skipped, there is no {PROGRAMS[name]}", flush=True)
            continue
        command = [sys.executable, str(HERE / PROGRAMS[name]), *own.get(name, ())]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all held", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
