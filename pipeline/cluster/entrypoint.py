"""What every container of the compiled pipeline runs: one step, on staged folders, and its record.

The package's docstring says which arguments and which environment there are. What happens, in turn:

1. Parameters that override the configuration are merged and validated, and what a driver of ours would
   have found at home (no drivers run on Kubeflow) is found by the same code.
2. The step is recorded as running, and earlier steps that came from the backend's cache as cached.
3. The executor runs on the folders that the launcher staged.
4. The output file is written for the launcher, with the URIs again; then the step is recorded as complete.

A metadata store that does not answer is asked again for two minutes. If it still does not before the
executor has started, the step fails: nothing is lost, and no model comes to be whose origin nobody knows.
If it does not afterwards, the step succeeds with a warning, since its result is worth more than its record;
what it made is recorded, without its execution, by the next step that reads it.

The log of a step that is done ends with where its time went.

Exit status: 0 done, also where a model is not blessed and so not pushed (the run's status in the metadata
store is ``not blessed`` then); 2 refused, with sentences on stderr; 143 stopped from outside (SIGTERM), which
is recorded; 1 the step failed, with a traceback.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence

from data import progress
from data.cpu_kernels import prefer_onednn
from data.errors import RefusedError
from data.visible_text import make_visible
from pipeline.cluster.hide_secrets import hide_secrets
from pipeline.cluster.load_messages import load_pipeline_messages
from pipeline.cluster.read_arguments import StepArguments, read_arguments
from pipeline.cluster.step_clock import LOADING, StepClock
from pipeline.cluster.stop_signal import EXIT_STOPPED, StepStoppedError, heeding_sigterm
from pipeline.console import LineReporter
from pipeline.hide_command_line import hide_command_line
from pipeline.lean_imports import lean_imports

EXIT_DONE, EXIT_FAILED, EXIT_REFUSED = 0, 1, 2

_LOGGER = logging.getLogger("pipeline.cluster.entrypoint")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one step and returns the exit status."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    clock = StepClock()
    prefer_onednn()
    given = list(sys.argv[1:] if arguments is None else arguments)
    progress.install(LineReporter())
    try:
        with heeding_sigterm():
            _run(read_arguments(given), clock)
    except RefusedError as refused:
        for problem in refused.problems:
            print(make_visible(hide_secrets(problem.sentence()), one_line=True), file=sys.stderr, flush=True)
        return EXIT_REFUSED
    except StepStoppedError as stopped:
        print(str(stopped), file=sys.stderr, flush=True)
        return EXIT_STOPPED
    except Exception:
        print(hide_secrets(traceback.format_exc()), file=sys.stderr, flush=True)
        return EXIT_FAILED
    return EXIT_DONE


def _run(step: StepArguments, clock: StepClock) -> None:
    with hide_command_line():
        with progress.current().stage(LOADING), clock.lap(LOADING), lean_imports():
            load_pipeline_messages()
            from pipeline.cluster.run_step import run_step
        run_step(step, clock)
    _LOGGER.info("%s", clock.describe(step.node_id))


if __name__ == "__main__":
    sys.exit(main())
