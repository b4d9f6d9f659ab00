"""``python -m trainer.run_worker JOB.json``: the command of every worker's container.

The file has what TFX would hand to ``run_fn``: ``train_files``, ``eval_files``, ``serving_model_dir``,
``model_run_dir`` and ``custom_config`` (``fn_args.py``). ``TF_CONFIG`` names the workers. All start by
the same command, in any order, and start again by it after one was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data.cpu_kernels import prefer_onednn
from data.errors import Problem, RefusedError

DONE, FAILED, REFUSED = 0, 1, 2
AGAIN = 138
"""A worker was lost, or did not come. TFJob starts pods again that end with 128 or more (ExitCode)."""


@dataclass
class WorkerArguments:
    """What a job file holds: ``fn_args.FnArgs``."""

    train_files: Sequence[str]
    serving_model_dir: str
    model_run_dir: str
    custom_config: Mapping[str, Any]
    eval_files: Sequence[str] = field(default_factory=list)
    hyperparameters: Mapping[str, Any] | None = None
    working_dir: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains as one of the workers.

    Returns:
        0 done; 2 refused: the configuration or the data; 138 start it again: another worker was lost or
        did not come; 1 anything else.
    """
    parser = argparse.ArgumentParser(prog="python -m trainer.run_worker", description=__doc__)
    parser.add_argument("job", help="the job file (JSON)")
    parser.add_argument("--join-minutes", type=float, default=30.0, help="to wait for the other workers")
    options = parser.parse_args(arguments)
    prefer_onednn()
    # Not before: TensorFlow reads the environment when it is imported.
    from trainer.meet_workers import PortTakenError, WorkersMissingError
    from trainer.run_fn import run_fn
    from trainer.team import WorkerLostError, join_team
    from trainer.train import TrainingDivergedError

    try:
        job = read_job(options.job)
        join_team(options.join_minutes * 60)
        run_fn(job)
    except RefusedError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except (WorkerLostError, WorkersMissingError, PortTakenError) as error:
        print(error, file=sys.stderr)
        return AGAIN
    except TrainingDivergedError as error:
        print(error, file=sys.stderr)
        return FAILED
    return DONE


def read_job(path: str) -> WorkerArguments:
    """Reads a job file.

    Raises:
        RefusedError: it is not there, no JSON, or lacks something.
    """
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(path) as stream:
            return WorkerArguments(**json.load(stream))
    except (tf.errors.OpError, ValueError, TypeError) as error:
        what = f"is no job file ({str(error).splitlines()[0]})"
        remedy = "Give the JSON file with train_files, serving_model_dir, model_run_dir and custom_config"
        raise RefusedError([Problem(path, what, remedy, "job_file")]) from error


if __name__ == "__main__":
    try:
        status = main()
    except Exception:
        sys.excepthook(*sys.exc_info())
        status = FAILED
    sys.stdout.flush()
    sys.stderr.flush()
    # TensorFlow's end would wait for workers that are gone.
    os._exit(status)
