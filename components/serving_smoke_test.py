"""ServingSmokeTest: the exported model answers in a fresh process as its contract says.

TFX's InfraValidator needs Docker and does not compile for Kubeflow; this emits the same blessing.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types import standard_component_specs as keys
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils

from components import smoke_test_process
from components.config import SmokeTestConfig
from components.smoke_test_cases import SmokeTestCase, make_cases, read_examples
from components.write_json import write_json

REPORT_FILE = "smoke_test.json"
BLESSED_FILE, NOT_BLESSED_FILE = "INFRA_BLESSED", "INFRA_NOT_BLESSED"
"""As TFX's InfraValidator names them."""

_SECONDS_A_MEGAPIXEL = 30.0
"""Added to the timeout: every image goes through the network four times, through many windows perhaps."""
_LAST_WORDS_CHARACTERS = 2000
_SPEED = "images_per_second"

Checks = list[dict[str, Any]]


class Executor(base_executor.BaseExecutor):
    """Sends images through the model in another process and blesses it if every check is passed."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the test; a model that fails it is not blessed, which is no error.

        Args:
            input_dict: model, examples.
            output_dict: blessing.
            exec_properties: see the component.
        """
        blessing = artifact_utils.get_single_instance(output_dict[keys.BLESSING_KEY])
        started = time.monotonic()
        checks = self._run(input_dict, exec_properties)
        reasons = [f"{check['name']}: {check['detail']}" for check in checks if not check["passed"]]
        report = {
            "blessed": not reasons,
            "reasons": reasons,
            "checks": checks,
            _SPEED: next((check[_SPEED] for check in checks if _SPEED in check), None),
            "seconds": round(time.monotonic() - started, 3),
        }
        write_json(Path(blessing.uri) / REPORT_FILE, report)
        (Path(blessing.uri) / (NOT_BLESSED_FILE if reasons else BLESSED_FILE)).touch()
        blessing.set_int_custom_property("blessed", 0 if reasons else 1)
        for reason in reasons:
            logging.error("Smoke test: %s", reason)

    def _run(
        self, input_dict: Mapping[str, list[types.Artifact]], exec_properties: Mapping[str, Any]
    ) -> Checks:
        model = artifact_utils.get_single_instance(input_dict[keys.MODEL_KEY])
        split = exec_properties["split"]
        split_uri = artifact_utils.get_split_uri(input_dict[keys.EXAMPLES_KEY], split)
        config = SmokeTestConfig.model_validate_json(exec_properties["smoke_test_config"])
        examples = read_examples(split_uri, config.images)
        if not examples:
            return [_fail("examples", f"the split {split} has no images to send")]
        classes, ignore_id = exec_properties["num_classes"], exec_properties["ignore_id"]
        with tempfile.TemporaryDirectory(prefix="smoke_test_") as folder:
            cases = make_cases(examples, classes, ignore_id)
            job = {
                "model_dir": path_utils.serving_model_path(model.uri),
                "cases": [case.save(Path(folder), number) for number, case in enumerate(cases)],
                "num_classes": classes,
                "ignore_id": ignore_id,
                "report": str(Path(folder) / "report.json"),
            }
            job_file = Path(folder) / "job.json"
            job_file.write_text(json.dumps(job), encoding="utf-8")
            return run_process(job_file, Path(job["report"]), _allow_seconds(cases, exec_properties))


def _allow_seconds(cases: Sequence[SmokeTestCase], exec_properties: Mapping[str, Any]) -> float:
    """Returns how long the fresh process may take: the longer, the more pixels it is sent."""
    megapixels = sum(case.height_px * case.width_px for case in cases) / 1e6
    return float(exec_properties["timeout_seconds"] + _SECONDS_A_MEGAPIXEL * megapixels)


def run_process(job_file: Path, report_file: Path, timeout_seconds: float) -> Checks:
    """Runs a job in a fresh process that knows nothing of this project.

    Args:
        job_file: see smoke_test_process.py.
        report_file: where the process writes its checks.
        timeout_seconds: after which it is killed.

    Returns:
        The checks; a single failed one if the process did not end well.
    """
    # By its path, with -P and without PYTHONPATH: what a server would have.
    command = [sys.executable, "-P", smoke_test_process.__file__, str(job_file)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    # The pipeline's own process may hold the GPU's memory.
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    log_file = job_file.with_suffix(".log")
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=job_file.parent,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            what = (
                f"no end after {timeout_seconds:.0f} s; the process was killed. smoke_test.images sends fewer"
            )
            return [_fail("answers in time", what)]
        finally:
            _kill_group(process)
    if code != 0 or not report_file.exists():
        last_words = log_file.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS_CHARACTERS:]
        return [_fail("survives", f"the process ended with code {code}: {last_words.strip()}")]
    checks: Checks = json.loads(report_file.read_text(encoding="utf-8"))
    return checks


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the process we started, and any that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _fail(name: str, detail: str) -> dict[str, Any]:
    return {"name": name, "passed": False, "detail": detail}


class ServingSmokeTestSpec(ComponentSpec):
    """Inputs, outputs and execution properties of ServingSmokeTest."""

    PARAMETERS = {  # noqa: RUF012
        "smoke_test_config": ExecutionParameter(type=str),
        "split": ExecutionParameter(type=str),
        "num_classes": ExecutionParameter(type=int),
        "ignore_id": ExecutionParameter(type=int),
        "timeout_seconds": ExecutionParameter(type=float),
        "code_fingerprint": ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        keys.MODEL_KEY: ChannelParameter(type=standard_artifacts.Model),
        keys.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {keys.BLESSING_KEY: ChannelParameter(type=standard_artifacts.InfraBlessing)}  # noqa: RUF012


class ServingSmokeTest(base_component.BaseComponent):
    """Holds an exported model against the serving contract.

    Output ``blessing``: TFX's InfraBlessing, with smoke_test.json in its folder.
    """

    SPEC_CLASS = ServingSmokeTestSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        examples: types.BaseChannel,
        smoke_test_config: SmokeTestConfig,
        split: str,
        class_names: Sequence[str],
        ignore_id: int,
        code_fingerprint: str,
        timeout_seconds: float = 600.0,
    ) -> None:
        """Makes the component.

        Args:
            model: the exported model.
            examples: raw examples.
            smoke_test_config: how many images.
            split: of which split; the gate's.
            class_names: names of the classes.
            ignore_id: the id of void pixels in masks.
            code_fingerprint: of our source.
            timeout_seconds: for the whole of the fresh process; large images have more.
        """
        super().__init__(
            spec=ServingSmokeTestSpec(
                model=model,
                examples=examples,
                smoke_test_config=smoke_test_config.model_dump_json(),
                split=split,
                num_classes=len(class_names),
                ignore_id=ignore_id,
                timeout_seconds=timeout_seconds,
                code_fingerprint=code_fingerprint,
                blessing=types.Channel(type=standard_artifacts.InfraBlessing),
            )
        )
