"""What differs between runs, and what came of it; the first one is what the others are compared with."""

from __future__ import annotations

from collections.abc import Sequence

from ml_metadata import MetadataStore

from pipeline import shared_facts
from pipeline.history.compare_code import compare_code
from pipeline.history.compare_data import compare_data
from pipeline.history.compare_scores import compare_confusion, compare_metrics
from pipeline.history.compare_values import list_differences
from pipeline.history.comparison_documents import CompareDocument, EnvironmentDifference
from pipeline.history.describe_runs import describe_run
from pipeline.history.read_evaluation import read_evaluation
from pipeline.history.read_executions import find_output, read_executions
from pipeline.history.read_files import TRAINING_FILE, FileReader
from pipeline.tracking import RunRecord


def compare_runs(store: MetadataStore, runs: Sequence[RunRecord]) -> CompareDocument:
    """Returns the document of ``compare``.

    Args:
        store: of the workspace.
        runs: two or more different ones.
    """
    files = FileReader()
    executions = {run.run_id: read_executions(store, run) for run in runs}
    evaluations = {run.run_id: read_evaluation(executions[run.run_id], run, files) for run in runs}
    training = {
        run.run_id: files.read_json(
            find_output(executions[run.run_id], "Trainer", "model_run"), TRAINING_FILE
        )
        for run in runs
    }
    first, *others = runs
    reference = evaluations[first.run_id]
    confusion = [
        change
        for run in others
        if reference is not None and (evaluation := evaluations[run.run_id]) is not None
        for change in compare_confusion(reference, evaluation, run.run_id)
    ]
    return CompareDocument(
        runs=tuple(describe_run(run) for run in runs),
        configuration=list_differences({run.run_id: run.configuration for run in runs}),
        code=compare_code(store, runs, executions, files),
        data=tuple(compare_data(runs, executions, files)),
        environment=_compare_environments(store, runs, files),
        metrics=compare_metrics(runs),
        confusion=tuple(confusion),
        training=list_differences(training) if all(training.values()) else (),
        notes=tuple(files.notes),
    )


def _compare_environments(
    store: MetadataStore, runs: Sequence[RunRecord], files: FileReader
) -> EnvironmentDifference:
    names = {run.run_id: run.environment_fingerprint or "" for run in runs}
    facts = shared_facts.read_facts(store, shared_facts.ENVIRONMENT_CONTEXT_TYPE, names.values())
    for run_id, name in names.items():
        if name not in facts:
            files.note(f"Run {run_id} did not record its environment, which is left out here.")
    return EnvironmentDifference(
        recorded=all(name in facts for name in names.values()),
        values=list_differences({run_id: facts[name] for run_id, name in names.items() if name in facts}),
    )
