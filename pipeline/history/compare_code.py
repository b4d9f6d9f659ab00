"""Which of our source files differ between runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from ml_metadata import MetadataStore

from pipeline import shared_facts
from pipeline.history.compare_values import list_differences
from pipeline.history.comparison_documents import CodeDifference
from pipeline.history.read_executions import ComponentExecution, read_code_fingerprint
from pipeline.history.read_files import FileReader
from pipeline.tracking import RunRecord


def compare_code(
    store: MetadataStore,
    runs: Sequence[RunRecord],
    executions: Mapping[str, Sequence[ComponentExecution]],
    files: FileReader,
) -> CodeDifference:
    """Returns the packages and files that are not the same in all runs.

    Runs of before the list of files was recorded are compared by the fingerprints that their components
    had as parameters: those name no file, and cover what that component runs only.
    """
    names = [run.code_fingerprint or "" for run in runs]
    listed = shared_facts.read_facts(store, shared_facts.CODE_CONTEXT_TYPE, names)
    if all(name in listed for name in names):
        code = {run.run_id: listed[run.code_fingerprint or ""] for run in runs}
        return CodeDifference(
            recorded=True,
            packages=list_differences({run_id: _fingerprint_packages(of) for run_id, of in code.items()}),
            files=list_differences(code),
            components=(),
        )
    for run in runs:
        if (run.code_fingerprint or "") not in listed:
            files.note(f"Run {run.run_id} did not record its source files; components are compared instead.")
    fingerprints = {run.run_id: _component_fingerprints(executions[run.run_id]) for run in runs}
    # A component that did not run in all of them says nothing about code.
    shared = set.intersection(*(set(of) for of in fingerprints.values()))
    trees = {run_id: {name: of[name] for name in shared} for run_id, of in fingerprints.items()}
    return CodeDifference(recorded=False, packages=(), files=(), components=list_differences(trees))


def _fingerprint_packages(files: Mapping[str, str]) -> dict[str, str]:
    packages: dict[str, list[str]] = {}
    for path, digest in sorted(files.items()):
        packages.setdefault(path.split("/", 1)[0], []).append(f"{path}\0{digest}\n")
    return {name: hashlib.sha256("".join(lines).encode()).hexdigest() for name, lines in packages.items()}


def _component_fingerprints(executions: Sequence[ComponentExecution]) -> dict[str, str]:
    found = {one.node: read_code_fingerprint(one.execution) for one in executions}
    return {node: fingerprint for node, fingerprint in found.items() if fingerprint}
