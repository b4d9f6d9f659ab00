"""Where a recorded run left what its page says, from the document of ``show``. Needs no TFX."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from components.report.collect_facts import RunSources
from components.report.facts import ComponentState, RunOutcome
from components.report.lineage import MadeArtifact
from components.report.read_data import split_order
from components.report.read_scores import MANIFEST_FILE
from data.errors import RefusedError
from data.open_files import join_path, list_files
from pipeline.format_answers import format_change, format_time
from pipeline.history.read_files import SNAPSHOT_FILE, FileReader, parse_snapshot
from pipeline.history.run_documents import ArtifactDocument, ComponentDocument, ShowDocument
from pipeline.history.trace_back import fingerprint_configuration

_MODEL_FOLDER = "Format-Serving"
"""Where TFX's Trainer has the exported model put, below its artifact."""
_ROLES = {
    "pushed_model": ("Pusher", "pushed_model"),
    "blessing": ("Evaluator", "blessing"),
    "model": ("Trainer", "model"),
    "transformed_examples": ("Transform", "transformed_examples"),
    "examples": ("SegmentationExampleGen", "examples"),
    "snapshot": ("DatasetSnapshot", "snapshot"),
}
_FOLDERS = {
    "evaluation": ("Evaluator", "evaluation"),
    "blessing": ("Evaluator", "blessing"),
    "smoke_test": ("ServingSmokeTest", "blessing"),
    "model": ("Trainer", "model"),
    "model_run": ("Trainer", "model_run"),
    "tuner_results": ("Tuner", "tuner_results"),
    "pushed_model": ("Pusher", "pushed_model"),
    "report": ("RunReport", "report"),
    "statistics": ("StatisticsGen", "statistics"),
    "anomalies": ("ExampleValidator", "anomalies"),
    "examples": ("SegmentationExampleGen", "examples"),
}
_WITH_FILES = frozenset({"model", "transformed_examples", "examples"})


def find_sources(document: ShowDocument) -> RunSources:
    """Returns where everything is that a run's page says; artifacts whose files are gone are named."""
    outputs = _Outputs(document)
    folders = {name: outputs.find(*place) for name, place in _FOLDERS.items()}
    there = {name: artifact.uri for name, artifact in folders.items() if artifact and artifact.exists}
    made = {role: found for role, place in _ROLES.items() if (found := outputs.describe(role, *place))}
    if (images := _list_images(outputs.find(*_ROLES["snapshot"]), document)) is not None:
        made["images"] = images
    run = document.run
    return RunSources(
        configuration=document.configuration,
        run_id=run.run_id,
        evaluation=there.get("evaluation"),
        blessing=there.get("blessing"),
        smoke_test=there.get("smoke_test"),
        model=join_path(there["model"], _MODEL_FOLDER) if "model" in there else None,
        model_run=there.get("model_run"),
        tuner_results=there.get("tuner_results"),
        statistics=_split_folders(folders["statistics"]),
        anomalies=_split_folders(folders["anomalies"]),
        gate=document.data_gate.model_dump() if document.data_gate else {},
        examples={
            split: _list_paths(folder) for split, folder in _split_folders(folders["examples"]).items()
        },
        examples_folder=there.get("examples"),
        pushed_model=_find_manifest(folders["pushed_model"]),
        pushed=folders["pushed_model"].properties if folders["pushed_model"] else None,
        report=there.get("report"),
        metrics={split: metrics.model_dump() for split, metrics in run.metrics.items()},
        made=made,
        fingerprints={
            "Configuration fingerprint": fingerprint_configuration(document.configuration)
            if document.configuration
            else "",
            "Source code fingerprint": run.code_fingerprint or "",
            "Environment fingerprint": run.environment_fingerprint or "",
        },
        environment=_list_versions(document.environment or {}),
        outcome=_describe_outcome(document),
        gone=tuple(
            f"The files of {place[0]}'s {place[1]} are not there any more."
            for name, place in _FOLDERS.items()
            if (artifact := folders[name]) is not None and not artifact.exists
        ),
    )


class _Outputs:
    """What the components of a run handed on."""

    def __init__(self, document: ShowDocument) -> None:
        self._run_id = document.run.run_id
        self._components = {component.id: component for component in document.components}

    def find(self, component: str, key: str) -> ArtifactDocument | None:
        found = self._components.get(component)
        return next(iter(found.outputs.get(key, ())), None) if found else None

    def describe(self, role: str, component: str, key: str) -> MadeArtifact | None:
        artifact = self.find(component, key)
        if artifact is None:
            return None
        maker = self._components[component]
        made = MadeArtifact(
            uri=artifact.uri,
            maker=component,
            run_id=maker.reused_from or self._run_id,
            code_fingerprint=_read_code_fingerprint(maker),
            data_fingerprint=str(artifact.properties.get("fingerprint") or ""),
            facts=_describe_artifact(artifact),
            files=_list_paths(artifact.uri) if role in _WITH_FILES else (),
            is_gone=not artifact.exists,
        )
        return _describe_push(made, artifact) if role == "pushed_model" else made


def _find_manifest(artifact: ArtifactDocument | None) -> str | None:
    """Returns the folder of the Pusher's copy of the manifest, or else of the served version's own."""
    if artifact is None:
        return None
    folders = [artifact.uri, str(artifact.properties.get("pushed_destination") or "")]
    there = (one for one in folders if one and FileReader().read_text(join_path(one, MANIFEST_FILE)))
    return next(there, None)


def _describe_push(made: MadeArtifact, artifact: ArtifactDocument) -> MadeArtifact:
    """Returns the pushed version where it is served, rather than the Pusher's own folder."""
    properties = artifact.properties
    if not properties.get("pushed"):
        return MadeArtifact(uri=made.uri, maker=made.maker, run_id=made.run_id)
    place = str(properties.get("pushed_destination") or "")
    return MadeArtifact(
        uri=place,
        maker=made.maker,
        run_id=made.run_id,
        facts={"Version": str(properties.get("pushed_version") or "")},
        is_gone=FileReader().read_text(join_path(place, MANIFEST_FILE)) is None,
    )


def _describe_artifact(artifact: ArtifactDocument) -> dict[str, str]:
    properties = artifact.properties
    counts = {
        key.removeprefix("examples_"): value
        for key, value in properties.items()
        if key.startswith("examples_") and isinstance(value, int)
    }
    facts = {}
    if counts:
        facts["Examples"] = _list_counts(counts)
    if isinstance(pairs := properties.get("pairs"), int):
        facts["Images and masks"] = f"{pairs:,} pairs"
    return facts


def _list_images(snapshot: ArtifactDocument | None, document: ShowDocument) -> MadeArtifact | None:
    """Returns the source images by the snapshot that names them."""
    content = FileReader().read_text(join_path(snapshot.uri, SNAPSHOT_FILE)) if snapshot else None
    if snapshot is None or content is None:
        return None
    try:
        images = list(parse_snapshot(content.encode(), snapshot.id))
    except (ValueError, KeyError, TypeError):
        return None
    counts = Counter(image.split for image in images)
    data = document.configuration.get("data")
    root = str(data.get("root", "")) if isinstance(data, Mapping) else ""
    facts = {"Images": _list_counts(counts)}
    return MadeArtifact(
        uri=root,
        facts=facts,
        files=[f"{image.split}: {image.image_path}, mask {image.mask_path}" for image in images],
    )


def _list_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[split]:,} {split}" for split in sorted(counts, key=split_order))


def _split_folders(artifact: ArtifactDocument | None) -> dict[str, str]:
    if artifact is None or not artifact.exists:
        return {}
    try:
        names = json.loads(str(artifact.properties.get("split_names", "[]")))
    except ValueError:
        names = []
    return {str(name): join_path(artifact.uri, f"Split-{name}") for name in names}


def _list_paths(folder: str) -> list[str]:
    try:
        return [join_path(folder, path) for path in list_files(folder).files]
    except (OSError, RefusedError):
        return []


def _read_code_fingerprint(component: ComponentDocument) -> str:
    custom = component.parameters.get("custom_config")
    found = component.parameters.get("code_fingerprint") or (
        custom.get("code_fingerprint") if isinstance(custom, dict) else None
    )
    return str(found or "")


def _list_versions(environment: Mapping[str, Any]) -> dict[str, str]:
    return dict(_flatten(environment))


def _flatten(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            # Packages are known by their names; what else is nested is not.
            yield from (
                (name if key == "packages" else f"{key}: {name}", text) for name, text in _flatten(value)
            )
        elif value not in ("", None, []):
            yield key, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _describe_outcome(document: ShowDocument) -> RunOutcome:
    run = document.run
    parts = [name for name in ("data", "code", "environment") if getattr(run.changes, name)]
    return RunOutcome(
        status=run.status,
        started=format_time(run.started),
        seconds=run.seconds,
        blessed=run.blessed,
        error=run.error or "",
        failed_component=document.failed_component or "",
        log=document.log or "",
        components=tuple(
            ComponentState(one.id, one.state, one.seconds, one.reused_from or "")
            for one in document.components
        ),
        previous_run=run.changes.previous or "",
        changes=(*(format_change(change) for change in run.changes.configuration), *parts),
    )
