"""Where a run's model comes from, step by step back to the images. Imports neither TFX nor TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data.open_files import join_path, read_bytes

SHOWN_FILES = 200
"""So many files of a step are named; `deconvflow lineage --all-images` names all."""

_NO_BASELINE = "There was nothing to compare with: "
"""How a note of the verdict begins that says why."""


@dataclass(frozen=True)
class MadeArtifact:
    """An artifact of the run, with what is known of who made it.

    Attributes:
        uri: its folder.
        maker: the component.
        run_id: the run in which that component ran: an earlier one, if the cache had it.
        code_fingerprint: of the code that the component ran.
        data_fingerprint: of the data that it holds.
        facts: more about it, by label.
        files: paths.
        is_gone: whether its files were deleted.
    """

    uri: str
    maker: str = ""
    run_id: str = ""
    code_fingerprint: str = ""
    data_fingerprint: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[str] = ()
    is_gone: bool = False


@dataclass(frozen=True)
class LineageStep:
    """One thing on the way from the model back to the images."""

    title: str
    maker: str = ""
    run_id: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    """At most SHOWN_FILES."""
    num_files: int = 0
    is_gone: bool = False


@dataclass(frozen=True)
class Lineage:
    """The way back, what was made last first; empty if nothing is known of it."""

    steps: tuple[LineageStep, ...] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Of the run as a whole: its configuration, source code and environment."""


def trace_lineage(
    made: Mapping[str, MadeArtifact],
    verdict: Mapping[str, Any],
    manifest: Mapping[str, Any],
    fingerprints: Mapping[str, str],
) -> Lineage:
    """Returns the way from the model back to the images, as far as it is known.

    Args:
        made: artifacts by role: pushed_model, blessing, model, transformed_examples, examples, snapshot,
            images. Roles that are absent are left out.
        verdict: the Evaluator's verdict.json.
        manifest: of the pushed version.
        fingerprints: of the run as a whole, by label.
    """
    steps = (
        _push_step(made.get("pushed_model"), manifest),
        _verdict_step(made.get("blessing"), verdict),
        _step("Model", made.get("model"), {"Model": _text(verdict, manifest, "model_fingerprint")}),
        _step("Transformed shards", made.get("transformed_examples")),
        _step("Shards", made.get("examples"), {"Data": _text(verdict, manifest, "data_fingerprint")}),
        _step("Snapshot", made.get("snapshot")),
        _step("Source images", made.get("images")),
    )
    return Lineage(
        tuple(step for step in steps if step is not None),
        {label: value for label, value in fingerprints.items() if value},
    )


def _push_step(artifact: MadeArtifact | None, manifest: Mapping[str, Any]) -> LineageStep | None:
    if artifact is None or not artifact.facts.get("Version"):
        return None
    name = f"{manifest['name']}/" if manifest.get("name") else ""
    facts = {label: value for label, value in artifact.facts.items() if label != "Version"}
    if manifest.get("created"):
        facts["Created"] = str(manifest["created"]).replace("T", " ").removesuffix("+00:00") + " UTC"
    return _step(f"Pushed version {name}{artifact.facts['Version']}", artifact, facts=facts)


def _verdict_step(artifact: MadeArtifact | None, verdict: Mapping[str, Any]) -> LineageStep | None:
    if artifact is None:
        return None
    facts = dict(artifact.facts)
    if verdict:
        facts["Compared with"] = _describe_baseline(verdict)
    return _step("Evaluation", artifact, facts=facts)


def _step(
    title: str,
    artifact: MadeArtifact | None,
    fingerprints: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
) -> LineageStep | None:
    if artifact is None:
        return None
    known = {**(fingerprints or {}), "Code": artifact.code_fingerprint}
    if artifact.data_fingerprint:
        known["Data"] = artifact.data_fingerprint
    return LineageStep(
        title=title,
        maker=artifact.maker,
        run_id=artifact.run_id,
        facts=({"Folder": artifact.uri} if artifact.uri else {}) | dict(facts or artifact.facts),
        fingerprints={label: value for label, value in known.items() if value},
        files=tuple(artifact.files[:SHOWN_FILES]),
        num_files=len(artifact.files),
        is_gone=artifact.is_gone,
    )


def _describe_baseline(verdict: Mapping[str, Any]) -> str:
    """Returns which model the run's was compared with, where it stands, and which run had pushed it."""
    baseline = verdict.get("baseline")
    if not isinstance(baseline, Mapping):
        reasons = (str(note).partition(_NO_BASELINE)[2] for note in verdict.get("notes") or ())
        reason = next((reason for reason in reasons if reason), "")
        return f"nothing: {reason.rstrip('.')}" if reason else "nothing"
    version, place = baseline.get("version"), str(baseline.get("uri") or "")
    served = f"version {version}" if version is not None else "the pushed model"
    if not place:
        return served
    try:
        manifest = json.loads(read_bytes(join_path(place, "manifest.json")))
        run_id = str(manifest.get("run_id") or "")
    except FileNotFoundError:
        return f"{served} in {place}, which is not there any more"
    except Exception:  # Elsewhere, or damaged: that it was the baseline is known all the same.
        run_id = ""
    return f"{served} in {place}{f', pushed by run {run_id}' if run_id else ''}"


def _text(first: Mapping[str, Any], second: Mapping[str, Any], key: str) -> str:
    return str(first.get(key) or second.get(key) or "")
