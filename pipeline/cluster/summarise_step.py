"""What a cluster's run came to, told from the step that ended it.

Locally one process sees the whole run and sums it up; here each step sees itself. The step that fails says
so; the Pusher, which a model that is not blessed passes without a push, says whether the run pushed; and
RunReport adds its page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tfx import types

from data.errors import RefusedError
from pipeline.cluster.record_step import ArtifactDict
from pipeline.history.read_files import TRIALS_FILE
from pipeline.history.read_tuning import summarise_trials

_MAX_ERROR_CHARACTERS = 10_000
_PUSHED_KEY, _REPORT_KEY = "pushed_model", "report"
_BLESSING_KEYS = ("model_blessing", "blessing")
_TRIALS_KEY = "tuner_results"
_VERDICT_FILE, _REPORT_FILE = "verdict.json", "index.html"


def summarise_failure(node: str, error: BaseException, text: str) -> dict[str, Any]:
    """Returns how a run ended that a step stopped.

    Args:
        node: the step.
        error: what it raised.
        text: its words, without secrets.
    """
    refused, stopped = isinstance(error, RefusedError), isinstance(error, KeyboardInterrupt)
    status = "refused" if refused else "interrupted" if stopped else "failed"
    return {"status": status, "error": text[:_MAX_ERROR_CHARACTERS], "node": node}


def summarise_success(
    node: str, inputs: ArtifactDict, outputs: ArtifactDict, recorded: ArtifactDict
) -> dict[str, Any]:
    """Returns how a run ended; empty for a step that does not end one.

    Args:
        node: the step.
        inputs: with local paths.
        outputs: with local paths.
        recorded: the outputs with URIs.
    """
    pushed = next(iter(outputs.get(_PUSHED_KEY) or inputs.get(_PUSHED_KEY) or ()), None)
    if pushed is None:
        return {}
    verdict = _read_verdict(inputs)
    summary: dict[str, Any] = {
        "node": node,
        "blessed": verdict.get("blessed"),
        "metrics": verdict.get("metrics", {}),
        "data_fingerprint": verdict.get("data_fingerprint"),
        "code_fingerprint": verdict.get("code_fingerprint"),
    }
    if trials := _read_json(inputs.get(_TRIALS_KEY, ()), TRIALS_FILE):
        summary["tuning"] = summarise_trials(trials)
    if report := next(iter(recorded.get(_REPORT_KEY, ())), None):
        summary["report_uri"] = f"{report.uri.rstrip('/')}/{_REPORT_FILE}"
    if not pushed.get_int_custom_property("pushed"):
        return summary | {"status": "not blessed", "blessed": False}
    return summary | {
        "status": "pushed",
        "pushed_uri": pushed.get_string_custom_property("pushed_destination"),
        "pushed_version": int(pushed.get_string_custom_property("pushed_version")),
    }


def _read_verdict(inputs: ArtifactDict) -> Mapping[str, Any]:
    return _read_json([one for key in _BLESSING_KEYS for one in inputs.get(key, ())], _VERDICT_FILE)


def _read_json(artifacts: Iterable[types.Artifact], name: str) -> Mapping[str, Any]:
    """Returns the JSON object in the first such file; empty if there is none."""
    for artifact in artifacts:
        path = Path(artifact.uri) / name
        if path.exists():
            return dict(json.loads(path.read_text(encoding="utf-8")))
    return {}
