"""What the Tuner tried, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.history.read_executions import ComponentExecution, find_output
from pipeline.history.read_files import TRIALS_FILE, FileReader
from pipeline.history.run_documents import TrialDocument, TuningDocument


def read_tuning(executions: Sequence[ComponentExecution], files: FileReader) -> TuningDocument | None:
    """Returns the trials; None where no Tuner came to its end."""
    results = files.read_json(find_output(executions, "Tuner", "tuner_results"), TRIALS_FILE)
    return files.attempt(TRIALS_FILE, lambda: _tuning(results)) if results else None


def summarise_trials(results: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a run keeps of trials.json: the values of ``TuningSummary``."""
    scores = [trial["score"] for trial in results["trials"] if trial["score"] is not None]
    return {
        "trials": len(results["trials"]),
        "completed": len(scores),
        "best_score": max(scores, default=None),
    }


def _tuning(results: Mapping[str, Any]) -> TuningDocument:
    trials = tuple(
        TrialDocument(**{key: trial.get(key) for key in TrialDocument.model_fields})
        for trial in results["trials"]
    )
    return TuningDocument(
        objective=results["objective"],
        algorithm=results["algorithm"],
        max_trials=results["max_trials"],
        best=results["best"],
        trials=trials,
    )
