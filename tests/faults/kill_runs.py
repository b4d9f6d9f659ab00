"""Kills runs at random moments, starts the same command again, and holds what must be so.

    .venv/bin/python tests/faults/kill_runs.py [--times 50] [--seed 0]

Every turn has a workspace of its own. Moments are spread over all components; every fifth is within a write
to the metadata store (SQLite's journal is there), and every fifth within the push (its hidden folder is).
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from small_runs import (
    NAME,
    Run,
    hold,
    hold_whole_store,
    list_served,
    run_script,
    scratch_folder,
    start_run,
    write_small_config,
)

METRICS = ("pixel_accuracy", "mean_class_accuracy", "mean_iou", "frequency_weighted_iou", "iou")
AFTER_BASELINE = ("BaselineModel", "Evaluator", "ServingSmokeTest", "Pusher", "RunReport")
"""What sees the newest pushed version, and so may run again once this very run has pushed one."""


@dataclass(frozen=True)
class Moment:
    """When to kill."""

    kind: str
    """component, store or push."""
    component: str = ""
    delay_seconds: float = 0.0

    def __str__(self) -> str:
        """Returns it for a line of the report."""
        where = f" {self.component}" if self.component else ""
        return f"{self.kind}{where} +{self.delay_seconds:.2f} s"


@dataclass(frozen=True)
class Reference:
    """An uninterrupted run."""

    metrics: dict[str, dict[str, object]]
    seconds: dict[str, float]
    """By component."""
    always: frozenset[str]
    """Components that run in every run, whatever is cached."""


def plan_moments(times: int, seed: int, seconds: dict[str, float]) -> list[Moment]:
    """Returns as many moments, each component having its turn before any has a second one."""
    choose = random.Random(seed)
    names: list[str] = []
    moments = []
    for turn in range(times):
        if turn % 5 == 3:
            # Which of the run's many writes: some time into any component.
            name = choose.choice(list(seconds))
            moments.append(Moment("store", name, choose.uniform(0, seconds[name])))
        elif turn % 5 == 4:
            moments.append(Moment("push", "", choose.choice((0.0, 0.0, 0.02, 0.1))))
        else:
            names = names or choose.sample(list(seconds), len(seconds))
            name = names.pop()
            moments.append(Moment("component", name, choose.uniform(0, seconds[name] + 0.3)))
    return moments


def main(arguments: Sequence[str] | None = None) -> int:
    """Does the turns; the status is 1 at the first thing that does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("component", "store", "push"), help="moments of this kind only")
    options = parser.parse_args(arguments)
    with scratch_folder() as folder:
        config = write_small_config(folder)
        reference = run_reference(config, folder / "reference")
        moments = plan_moments(options.times * (5 if options.only else 1), options.seed, reference.seconds)
        chosen = [one for one in moments if options.only in (None, one.kind)][: options.times]
        for number, moment in enumerate(chosen, 1):
            said = take_turn(config, folder / f"turn-{number}", moment, reference)
            print(f"kill {number}/{options.times}: {moment}: {said}", flush=True)
    return 0


def run_reference(config: Path, workspace: Path) -> Reference:
    """Runs twice: what the second takes from the cache need not run after a kill either."""
    first = start_run(config, workspace).finish().document
    second = start_run(config, workspace).finish()
    seconds = {one["id"]: float(one["seconds"]) for one in first["components"]}
    always = frozenset(name for name, state in second.states.items() if state != "cached")
    return Reference(first["metrics"], seconds, always)


def take_turn(config: Path, workspace: Path, moment: Moment, reference: Reference) -> str:
    """Kills a run and starts it again; returns what there was to see."""
    run = start_run(config, workspace)
    was_early = kill_at(run, moment)
    before, served = hold_whole_store(workspace), list_served(workspace)
    checkpoints = list((workspace / "checkpoints").glob(f"{NAME}/*/last/checkpoint"))
    again = start_run(config, workspace).finish()
    after = hold_whole_store(workspace)
    for run_id, states in before.items():
        kept = after.get(run_id, {})
        hold(kept.items() >= states.items(), f"the history of {run_id} lost {states} for {kept}")
    hold(len(after) == len(before) + 1, f"{len(before)} runs became {len(after)}")
    done = {name for states in before.values() for name, state in states.items() if state == "complete"}
    exempt = reference.always | (set(AFTER_BASELINE) if served else set())
    repeated = {name for name in done - exempt if again.states[name] != "cached"}
    hold(not repeated, f"finished components ran again: {sorted(repeated)}")
    for split, metrics in reference.metrics.items():
        for name in METRICS:
            found = again.document["metrics"][split][name]
            hold(found == metrics[name], f"{split} {name} is {found} and was {metrics[name]}")
    hold(list_served(workspace) == [1], f"{served} became {list_served(workspace)}")
    resumed = _read_resumed(workspace) if "Trainer" not in done else None
    hold(resumed is not None or not checkpoints or "Trainer" in done, "the training began anew")
    shutil.rmtree(workspace)
    went_on = "" if resumed is None else f", trained on from step {resumed}"
    return f"{'killed' if was_early else 'had ended'} with {len(done)} components done{went_on}"


def kill_at(run: Run, moment: Moment) -> bool:
    """Kills a run at a moment; returns False if it ended before."""
    if moment.component:
        run.wait_for_component(moment.component)
    if moment.kind == "push":
        serving = run.workspace / "serving" / NAME
        run.wait_for_component("Pusher")
        run.wait_for(lambda: any(serving.glob(".*.tmp")) or any(serving.glob("1")), 0.0005)
    time.sleep(moment.delay_seconds)
    if moment.kind == "store":
        journal = run.workspace / "metadata.sqlite-journal"
        run.wait_for(journal.exists, 0.0002)
    was_early = run.process.poll() is None
    run.kill()
    return was_early


def _read_resumed(workspace: Path) -> int | None:
    files = sorted(
        (workspace / "pipelines" / NAME).rglob("training.json"), key=lambda path: path.stat().st_mtime
    )
    step = json.loads(files[-1].read_text())["resumed_from_step"] if files else None
    return None if step is None else int(step)


if __name__ == "__main__":
    run_script(main)
