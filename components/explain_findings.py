"""What the data gate says: its report as a document, and its refusal as sentences."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from components.config import DataGateConfig
from components.write_json import write_json
from data import features
from data.errors import Problem
from data.find_examples import FoundImages
from data.find_near_duplicates import NearDuplicateRule, NearDuplicates
from data.judge_statistics import Finding, Judgement, Statistics, count_examples

_REMEDIES = {
    "schema": "Mend or remove these images and masks",
    "split skew": "Spread such images over the splits, or raise data_gate.max_split_skew (null turns it off)",
    "drift": "If the data is meant to be different, raise data_gate.max_drift (null turns it off)",
}
_NO_HASHES = (
    "An earlier version read the data and made no perceptual hashes: no near-duplicates were looked for."
)
_VOID_REMEDY = "Annotate or remove these images, or raise data_gate.max_void_share"
_PHRASES = {"schema": "images", "split skew": "most unlike it", "drift": "most unlike it"}


def describe_judgement(
    config: DataGateConfig,
    statistics: Mapping[str, Statistics],
    served_version: int | None,
    judgement: Judgement,
    images: Mapping[Finding, FoundImages],
    near: NearDuplicates | None = None,
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
        "near_duplicates": near.to_json() if near else None,
        "notes": list(judgement.notes),
    }


def add_near_duplicates(
    judgement: Judgement, near: NearDuplicates | None, rule: NearDuplicateRule
) -> Judgement:
    """Returns a judgement with what was found of near-duplicates, as findings or as notes by the rule.

    Args:
        judgement: of the statistics.
        near: None where the examples have no hashes.
        rule: the configuration's.
    """
    if rule.action == "ignore":
        return judgement
    if near is None:
        return replace(judgement, notes=(*judgement.notes, _NO_HASHES))
    found = tuple(Finding("near duplicates", split, "", what) for split, what in near.summarise())
    notes = (*near.list_found(), *near.notes())
    if rule.action == "fail":
        return replace(judgement, findings=(*judgement.findings, *found), notes=(*judgement.notes, *notes))
    return replace(judgement, notes=(*judgement.notes, *(finding.what for finding in found), *notes))


def explain_findings(
    judgement: Judgement,
    images: Mapping[Finding, FoundImages],
    report: Path | None,
    near: NearDuplicates | None = None,
) -> list[Problem]:
    """Returns a problem a finding, with image ids, and one a near-duplicate.

    Args:
        judgement: what was found.
        images: those behind each finding.
        report: where all of it can be read; named in the last problem.
        near: the near-duplicates, if they refuse the data.
    """
    problems = []
    for finding in judgement.findings:
        if finding.check == "near duplicates":
            continue
        what = finding.what
        if (found := images.get(finding)) and found.image_ids:
            # Every image is unlike a mean; only those outside a domain can be counted.
            more = found.total - len(found.image_ids) if finding.check == "schema" else 0
            shown = ", ".join(found.image_ids) + (f" and {more:,} more" if more else "")
            what += f"; {_PHRASES[finding.check]}: {shown}"
        is_void = finding.check == "schema" and finding.feature == features.MASK_VOID_SHARE
        remedy = _VOID_REMEDY if is_void else _REMEDIES[finding.check]
        where = f"{finding.feature or 'examples'} in split {finding.split}"
        problems.append(Problem(where, what, remedy, "data_" + finding.check.replace(" ", "_")))
    if near is not None:
        problems += near.problems()
    if report is not None and problems:
        remedy = f"{problems[-1].remedy}. All that the gate saw is in {report}"
        problems[-1] = replace(problems[-1], remedy=remedy)
    return problems


def keep_report(document: dict[str, Any], folder: str) -> Path | None:
    """Writes the report of a stopped run where it outlives the run, and returns its path."""
    if not folder:
        return None
    path = Path(folder) / f"data-gate-{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}.json"
    write_json(path, document)
    return path
