"""Trains on CamVid for the same time in several ways, one after the other, and prints their scores.

    .venv/bin/python tests/benchmarks/compare_camvid.py heads CAMVID --minutes 10
    .venv/bin/python tests/benchmarks/compare_camvid.py unet CAMVID --minutes 10

``heads`` trains FCN-32s, FCN-16s and FCN-8s, each by the whole pipeline. ``unet`` trains what `init` proposes
and then segmentation_models.pytorch's U-Net with ResNet-18 (``make torch``), from random weights both. Ours
counts validation into its time, the U-Net's is training alone. Every score is one confusion matrix over the
validation split at the masks' own size, void dropped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
TORCH = Path(os.environ.get("TORCH_VENV", REPOSITORY / ".venv-torch")) / "bin/python"

messages = Console(stderr=True, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains and prints; the status is 1 if a training failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("heads", "unet"))
    parser.add_argument("camvid", type=Path, help="folder with train, trainannot, val, valannot")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--workspace", type=Path, help="kept; a temporary one otherwise")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="deconvflow-camvid-") as scratch:
        options.workspace = options.workspace or Path(scratch)
        options.workspace.mkdir(parents=True, exist_ok=True)
        rows = list(train_heads(options) if options.what == "heads" else train_both(options))
    print_scores(rows, options.minutes)
    return 0


def train_heads(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Trains the paper's three networks on the configured encoder."""
    for head in ("fcn32s", "fcn16s", "fcn8s"):
        yield head, train_ours(options, f"trainer.model.head={head}")


def train_both(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Trains ours and the U-Net."""
    yield "deconvflow, as init proposes", train_ours(options)
    yield "U-Net, ResNet-18 (smp)", train_unet(options)


def train_ours(options: argparse.Namespace, *settings: str) -> dict[str, Any]:
    """Runs the pipeline and returns the metrics of the validation split."""
    config = options.workspace / "camvid.yaml"
    if not config.exists():
        call(["-m", "pipeline", "init", str(options.camvid), "-o", str(config)])
    chosen = [
        f"trainer.max_minutes={options.minutes:g}",
        "trainer.epochs=100000",
        "evaluation.gates.floors.mean_iou=0",
        *options.settings,
        *settings,
    ]
    arguments = [word for setting in chosen for word in ("--set", setting)]
    command = ["run", "--config", str(config), "--workspace", str(options.workspace), "--json"]
    document = call(["-m", "pipeline", *command, *arguments], statuses=(0, 3))
    metrics: dict[str, Any] = document["metrics"]["val"]
    return metrics


def train_unet(options: argparse.Namespace) -> dict[str, Any]:
    """Trains the U-Net and returns its metrics."""
    program = str(HERE / "pytorch/train_unet.py")
    return call([program, str(options.camvid), "--minutes", str(options.minutes)], TORCH)


def call(
    arguments: Sequence[str], python: str | Path = sys.executable, statuses: tuple[int, ...] = (0,)
) -> dict[str, Any]:
    """Runs a Python program, its progress on our stderr, and returns the JSON document that it prints.

    Raises:
        SystemExit: it failed.
    """
    messages.print(" ".join(arguments), markup=False)
    done = subprocess.run([str(python), *arguments], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    if done.returncode not in statuses:
        raise SystemExit(f"{arguments[0]} ended with status {done.returncode}")
    document: dict[str, Any] = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    return document


def print_scores(rows: Sequence[tuple[str, dict[str, Any]]], minutes: float) -> None:
    """Prints a table."""
    table = Table(title=f"CamVid, validation split, {minutes:g} minutes of training", header_style="bold")
    for heading in ("network", "pixel accuracy", "mean IoU"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for name, metrics in rows:
        table.add_row(name, *(f"{metrics[key]:.4f}" for key in ("pixel_accuracy", "mean_iou")))
    Console(width=None if sys.stdout.isatty() else 100).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
