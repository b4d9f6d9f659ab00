"""From a search space to a pushed model that was trained with the best trial's values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.journey,
    pytest.mark.long("runs the pipeline three times, with trials"),
    pytest.mark.timeout(1200),
]

TUNER = {
    "max_trials": 3,
    "epochs": 4,
    "space": {
        "trainer.learning_rate": {"min": 1e-4, "max": 3e-2, "sampling": "log"},
        "trainer.model.width": {"choice": [4, 8]},
    },
}


def _find(components, name, key):
    (component,) = [one for one in components if one["id"] == name]
    (artifact,) = component["outputs"][key]
    return Path(artifact["uri"])


def test_the_pushed_model_has_the_best_trials_values(deconvflow, make_boxes, write_config, tmp_path):
    config = write_config(tmp_path / "boxes.yaml", make_boxes(tmp_path / "boxes"), tuner=TUNER)
    workspace = tmp_path / "workspace"
    done = deconvflow("run", "--config", config, "-w", workspace, "--json")
    assert done.status == 0, done.stderr
    assert done.document["status"] == "pushed"
    tuning = done.document["tuning"]
    assert (tuning["trials"], tuning["completed"]) == (3, 3)

    shown = deconvflow("show", "latest", "-w", workspace, "--json").document
    trials = shown["tuning"]["trials"]
    (best,) = [trial for trial in trials if trial["id"] == shown["tuning"]["best"]]
    assert best["score"] == tuning["best_score"] == max(trial["score"] for trial in trials)
    assert all(trial["epochs"] == 4 and trial["seconds"] > 0 for trial in trials)
    history = _find(shown["components"], "Trainer", "model_run") / "history.jsonl"
    rates = [json.loads(line)["learning_rate"] for line in history.read_text().splitlines()]
    assert len(rates) == 25
    # The schedule rises to the rate that was set, and falls; an epoch's entry has that of its end.
    assert (
        0.9 * best["values"]["trainer.learning_rate"] < max(rates) <= best["values"]["trainer.learning_rate"]
    )
    table = deconvflow("runs", "-w", workspace).stdout
    assert "3, best" in table

    again = deconvflow("run", "--config", config, "-w", workspace, "--json")
    assert again.states["Tuner"] == again.states["Trainer"] == "cached"
    assert again.document["tuning"] == tuning

    more = deconvflow("run", "--config", config, "-w", workspace, "--json", "--set", "tuner.max_trials=4")
    assert more.status in (0, 3), more.stderr
    later = deconvflow("show", "latest", "-w", workspace, "--json").document["tuning"]["trials"]
    # What was trained is not trained again, to the millisecond.
    assert later[:3] == trials and len(later) == 4
