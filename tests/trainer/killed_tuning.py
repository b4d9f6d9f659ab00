"""Searches as TFX's Tuner would be told to, and says on stdout what it is at, so that a test can kill it.

Run by test_killed_tuning.py: ``trial FOLDER``, ``step N``, and at the end the document of trials.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from data.cpu_kernels import prefer_onednn

prefer_onednn()

from tiny_network import build_tiny_model  # noqa: E402

from data.config import ClassConfig, DataConfig, TransformConfig  # noqa: E402
from trainer import learner, pace, tuner  # noqa: E402
from trainer import train as train_module  # noqa: E402
from trainer.config import TrainerConfig  # noqa: E402
from trainer.tuner_config import SpaceEntry, TunerConfig  # noqa: E402
from trainer.tuner_fn import tuner_fn  # noqa: E402

SPACE = {"trainer.learning_rate": SpaceEntry(choice=(0.002, 0.01, 0.05))}


def make_arguments(records: Path, folder: Path) -> SimpleNamespace:
    """Makes TFX's arguments of a search of three trials of six epochs."""
    trainer = TrainerConfig(batch_size=4, precision="float32", devices=1)
    sections = {
        "data": DataConfig(root="unused", classes=tuple(ClassConfig(id=i, name=f"c{i}") for i in range(3))),
        "transform": TransformConfig(height_px=32, width_px=32),
        "trainer": trainer,
    }
    return SimpleNamespace(
        train_files=[f"{records}/train/*"],
        eval_files=[f"{records}/val/*"],
        # TFX gives each attempt another folder.
        working_dir=str(folder / f"working_{len(list(folder.glob('working_*')))}"),
        custom_config={
            "config": json.dumps({key: value.model_dump(mode="json") for key, value in sections.items()}),
            "tuner": TunerConfig(space=SPACE, max_trials=3, epochs=6).model_dump_json(),
            "code_fingerprint": "abc",
            "checkpoint_root": str(folder / "checkpoints"),
        },
    )


def say_what_is_done() -> None:
    """Prints each trial that is trained, and each step."""
    train, take_steps = tuner.train, train_module._Loop._take_steps

    def tell_trial(job: Any) -> Any:
        print("trial", job.checkpoint_dir, flush=True)
        return train(job)

    def tell_step(loop: Any, *arguments: Any) -> float:
        loss = take_steps(loop, *arguments)
        print("step", int(loop.learner.step), flush=True)
        return loss

    tuner.train, train_module._Loop._take_steps = tell_trial, tell_step


def main(records: str, folder: str) -> None:
    """Searches to the end."""
    learner.build_model = build_tiny_model
    # A step a call, and a checkpoint after each.
    pace.SECONDS_BETWEEN_CHECKPOINTS, pace._SAVING_SHARE, pace._SECONDS_PER_CALL = 0.0, 1e9, 0.0
    say_what_is_done()
    Path(folder).mkdir(exist_ok=True)
    search = tuner_fn(make_arguments(Path(records), Path(folder))).tuner
    search.search()
    print(json.dumps(search.to_document()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
