"""Looking at an unknown folder and proposing how to train on it."""

from __future__ import annotations

import csv
import io
import posixpath
import re
from dataclasses import dataclass, replace
from typing import Any

from data.check_dataset import check_dataset
from data.check_report import CheckReport
from data.config import DataConfig
from data.list_pairs import list_pairs
from data.open_files import FileTree, join_path, list_files, read_bytes
from data.propose_classes import IGNORE_ID, ProposedClasses, propose_classes
from data.propose_settings import ProposedSettings, propose_settings, propose_splits
from data.read_attributes import ID_COLUMN
from data.read_class_names import find_class_names
from data.recognise_layout import RecognisedLayout, recognise_layout
from data.survey_masks import survey_masks

MOST_PAIRS = 2000
"""So many pairs are opened at most; a larger data set is sampled evenly."""
_ATTRIBUTES_FILE = "attributes.csv"


@dataclass(frozen=True)
class Proposal:
    """What a folder seems to be.

    Attributes:
        name: for the pipeline, from the folder's name.
        config: the data set's configuration.
        classes: its class table, and where the names come from.
        report: what a check by that configuration found.
        settings: for the other sections of the configuration.
        warnings: what the owner should look at, as sentences.
    """

    name: str
    config: DataConfig
    classes: ProposedClasses
    report: CheckReport
    settings: ProposedSettings
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns the proposal as one JSON document."""
        return {
            "name": self.name,
            "layout": self.config.layout,
            "mask_encoding": self.config.mask_encoding,
            "data": self.config.model_dump(mode="json"),
            "class_names_from": self.classes.source,
            "working_size": {"height_px": self.settings.height_px, "width_px": self.settings.width_px},
            "warnings": list(self.warnings),
            "report": self.report.to_json(),
        }


def recognise_dataset(root: str, *, limit: int | None = MOST_PAIRS, workers: int | None = None) -> Proposal:
    """Recognises layout, mask encoding, classes and sizes of a folder.

    Args:
        root: the folder.
        limit: open at most so many pairs, evenly spread; all if None.
        workers: processes; as many as there are processors if None.

    Raises:
        RefusedError: if it is no folder, or neither images nor masks can be made out in it.
    """
    tree = list_files(root)
    layout = recognise_layout(tree)
    root = join_path(tree.root, layout.below)
    config = _config_of(root, layout)
    listing = list_pairs(config)
    step = max(1, -(-len(listing.pairs) // limit)) if limit else 1
    survey = survey_masks([pair.mask_path for pair in listing.pairs[::step]], workers)
    classes = propose_classes(layout.layout, survey, find_class_names(tree), root)
    config = config.model_copy(
        update={
            "mask_encoding": classes.encoding,
            "classes": classes.classes,
            "ignore_id": IGNORE_ID,
            "void_values": classes.void_values,
            "void_colours": classes.void_colours,
            "attributes": _find_attributes(tree, layout.below),
        }
    )
    if not listing.own_splits:
        splits = propose_splits([pair.image_id for pair in listing.pairs])
        config = config.model_copy(update={"splits": splits})
    config = DataConfig.model_validate(config.model_dump())
    report = check_dataset(config, limit=limit, workers=workers)
    warnings = (*classes.warnings, *report.warnings)
    return Proposal(safe_name(root), config, classes, report, propose_settings(report), warnings)


def safe_name(path: str) -> str:
    """Returns a pipeline's name made from a path's last part: lower-case letters, digits and hyphens."""
    name = re.sub(r"[^a-z0-9]+", "-", posixpath.basename(path.rstrip("/")).lower()).strip("-")
    return name[:63].strip("-") or "segmentation"


def _config_of(root: str, layout: RecognisedLayout) -> DataConfig:
    """Returns a configuration that is enough for listing; its classes only hold the place."""
    return DataConfig.model_validate(
        {
            "root": root,
            "layout": layout.layout,
            "images": layout.images,
            "masks": layout.masks,
            "mask_suffix": layout.mask_suffix,
            "classes": [{"id": 0, "name": "a"}, {"id": 1, "name": "b"}],
        }
    )


def _find_attributes(tree: FileTree, below: str) -> str | None:
    """Returns the attributes' file below the data set's root, if there is one with the right column."""
    if posixpath.join(below, _ATTRIBUTES_FILE) not in tree.files:
        return None
    try:
        text = read_bytes(tree.path(posixpath.join(below, _ATTRIBUTES_FILE))).decode("utf-8-sig")
        header = next(csv.reader(io.StringIO(text)), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    return _ATTRIBUTES_FILE if ID_COLUMN in [name.strip() for name in header] else None


def relocate(proposal: Proposal, root: str) -> Proposal:
    """Returns the proposal with another way to name the same root."""
    return replace(proposal, config=proposal.config.model_copy(update={"root": root}))
