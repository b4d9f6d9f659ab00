"""What the data gate says: its report as a document, and its refusal as sentences."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from components.config import DataGateConfig
from components.write_json import write_json
from data import features
from data.errors import Problem
from data.find_examples import FoundImages
from data.judge_statistics import Finding, Judgement, Statistics, count_examples

_REMEDIES = {
    "schema": "Mend or remove these images and masks",
    "split skew": "Spread such images over the splits, or raise data_gate.max_split_skew (null turns it off)",
    "drift": "If the data is meant to be different, raise data_gate.max_drift (null turns it off)",
}
_VOID_REMEDY = "Annotate or remove these images, or raise data_gate.max_void_share"
_PHRASES = {"schema": "images", "split skew": "most unlike it", "drift": "most unlike it"}


def describe_judgement(
    config: DataGateConfig,
    statistics: Mapping[str, Statistics],
    served_version: int | None,
    judgement: Judgement,
    images: Mapping[Finding, FoundImages],
) -> dict[str, Any]:
    """Returns the gate's report as a JSON document."""
    return {
        "passed": not judgement.findings,
        "limits": config.model_dump(),
        "served_version": served_version,
        "examples": {split: count_examples(of_split) for split, of_split in statistics.items()},
        "findings": [
            asdict(finding) | (asdict(images[finding]) if finding in images else {})
            for finding in judgement.findings
        ],
        "distances": [asdict(distance) for distance in judgement.distances],
        "notes": list(judgement.notes),
    }


def explain_findings(
    judgement: Judgement, images: Mapping[Finding, FoundImages], report: Path | None
) -> list[Problem]:
    """Returns a problem a finding, with image ids.

    Args:
        judgement: what was found.
        images: those behind each finding.
        report: where all of it can be read; named in the last problem.
    """
    problems = []
    for finding in judgement.findings:
        what = finding.what
        if (found := images.get(finding)) and found.image_ids:
            # Every image is unlike a mean; only those outside a domain can be counted.
            more = found.total - len(found.image_ids) if finding.check == "schema" else 0
            shown = ", ".join(found.image_ids) + (f" and {more:,} more" if more else "")
            what += f"; {_PHRASES[finding.check]}: {shown}"
        is_void = finding.check == "schema" and finding.feature == features.MASK_VOID_SHARE
        remedy = _VOID_REMEDY if is_void else _REMEDIES[finding.check]
        if report is not None and finding is judgement.findings[-1]:
            remedy += f". All that the gate saw is in {report}"
        where = f"{finding.feature or 'examples'} in split {finding.split}"
        problems.append(Problem(where, what, remedy, "data_" + finding.check.replace(" ", "_")))
    return problems


def keep_report(document: dict[str, Any], folder: str) -> Path | None:
    """Writes the report of a stopped run where it outlives the run, and returns its path."""
    if not folder:
        return None
    path = Path(folder) / f"data-gate-{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}.json"
    write_json(path, document)
    return path
