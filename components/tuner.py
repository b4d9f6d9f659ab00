"""Tuner: TFX's, which also keeps what came of each trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfx import types
from tfx.components.tuner import component as tfx_tuner_component
from tfx.components.tuner import executor as tfx_tuner
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as keys

from components.write_json import write_json

TRIALS_FILE = "trials.json"


class Executor(tfx_tuner.Executor):
    """Searches by ``tuner_fn``; TFX's own results leave out trials that failed, and the time they took."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the trials, and writes the best values and the results.

        Args:
            input_dict: examples.
            output_dict: best_hyperparameters, tuner_results (TFX's tuner_results.json, and trials.json).
            exec_properties: see TFX's component; ``tuner_fn`` returns a ``trainer.tuner.TrialTuner``.
        """
        tuner: Any = tfx_tuner.search(
            input_dict, exec_properties, self._get_tmp_dir(), print_tuning_summary=False
        )
        tfx_tuner.write_best_hyperparameters(tuner, output_dict)
        results = artifact_utils.get_single_uri(output_dict[keys.TUNER_RESULTS_KEY])
        write_json(Path(results) / TRIALS_FILE, tuner.to_document())


class Tuner(tfx_tuner_component.Tuner):
    """Finds hyper-parameters for the Trainer, as the section ``tuner`` of the configuration says."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
