"""``deconvflow check``: every problem of a data set, and what it holds, without training."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from data.check_dataset import check_dataset
from data.check_report import CheckReport
from data.config import DataConfig
from data.errors import Problem
from data.find_near_duplicates import WARN, NearDuplicateRule, NearDuplicates
from data.quarantine import describe_quarantine
from data.recognise_dataset import Proposal, recognise_dataset
from data.visible_text import make_visible
from data.wording import count
from pipeline import console
from pipeline.command_documents import CheckDocument, RecognisedDocument
from pipeline.config import PipelineConfig
from pipeline.prepare_storage import prepare_storage
from pipeline.run_command import materialise_sample
from pipeline.workspace import Workspace

EXIT_DONE, EXIT_REFUSED = 0, 2
_MOST_SIZES = 3


def run_check(
    source: DataConfig | Path | str,
    as_json: bool,
    required_splits: Collection[str] = (),
    near_duplicates: NearDuplicateRule = WARN,
) -> int:
    """Checks a data set and prints what was found.

    Args:
        source: a data set's configuration, or a folder to be recognised first.
        as_json: print one JSON document on stdout instead of tables.
        required_splits: splits that must not be empty.
        near_duplicates: what is done about images that look like one in another split.

    Returns:
        The exit status: 0 if nothing is wrong, 2 if problems were found.

    Raises:
        RefusedError: if there is no such folder, or nothing can be made out in it.
    """
    console.install_reporter()
    proposal = None
    if isinstance(source, DataConfig):
        report = check_dataset(source, required_splits=required_splits, near_duplicates=near_duplicates)
    else:
        proposal = recognise_dataset(str(source), limit=None)
        report = proposal.report
    if as_json:
        document = RecognisedDocument(**proposal.to_json()) if proposal else CheckDocument(**report.to_json())
        print(document.model_dump_json())
    else:
        print_report(report, proposal)
    if report.quarantine is not None and not report.problems:
        print_problems([one.problem for one in report.quarantine.left_out], report.root, "left out: ")
    print_problems(report.problems, report.root)
    return EXIT_REFUSED if report.problems else EXIT_DONE


def run_check_of_config(config: PipelineConfig, as_json: bool) -> int:
    """Checks the data set of a configuration, as ``run_check`` does; the sample in a folder made for it."""
    required = ("train", *config.evaluation.splits)
    prepare_storage(config)
    with tempfile.TemporaryDirectory(prefix="deconvflow-") as scratch:
        console.install_reporter()
        data = materialise_sample(config, Workspace(Path(scratch))).data
        return run_check(data, as_json, required, config.data_gate.near_duplicate_rule())


def print_report(report: CheckReport, proposal: Proposal | None) -> None:
    """Prints what a data set holds: counts, sizes, a table of classes, and what deserves a look."""
    out = console.answers
    origin = "its own splits" if report.own_splits else "split by a hash of the image id"
    counts = ", ".join(f"{split.pairs} {name}" for name, split in report.splits.items()) or "none"
    out.print(f"[bold]{escape(report.root)}[/]", soft_wrap=True)
    facts = [("layout", report.layout), ("pairs", f"{report.pairs}: {counts} ({origin})")]
    if proposal is not None:
        facts.append(("masks", _describe_masks(proposal)))
    if report.kinds:
        facts.append(("images", "; ".join(f"{images} {kind}" for kind, images in report.kinds.items())))
        facts.append(("sizes", _describe_sizes(report)))
    if report.attributes:
        facts.append(("attributes", ", ".join(report.attributes)))
    if report.examined < report.pairs:
        facts.append(("opened", f"{report.examined} of {report.pairs} pairs, evenly spread"))
    if report.fingerprint:
        facts.append(("content", report.fingerprint[:16]))
    for label, text in facts:
        out.print(f"  [dim]{label:<10}[/] {escape(text)}", soft_wrap=True)
    if any(sum(split.class_pixels) for split in report.splits.values()):
        out.print(_class_table(report))
    for sentence in (*(proposal.warnings if proposal else report.warnings), *report.notes):
        out.print(f"[yellow]note[/] {escape(sentence)}", soft_wrap=True)
    is_refused = any(problem.code == "near_duplicate" for problem in report.problems)
    if (near := report.near_duplicates) is not None and not is_refused:
        _print_near_duplicates(near, report.root)
    if (found := report.quarantine) is not None and found.bad:
        words = describe_quarantine(found.bad, found.sound, found.max_bad_share)
        out.print(f"[yellow]quarantine[/] {words}", soft_wrap=True)
    if report.problems:
        kinds = _describe_kinds(report.problems)
        out.print(f"[bold red]{count(len(report.problems), 'problem')}[/]: {kinds}", soft_wrap=True)
    else:
        out.print(f"[bold green]no problems[/] in {count(report.examined, 'pair')}")


def print_problems(problems: Sequence[Problem], root: str, prefix: str = "") -> None:
    """Prints every problem as a sentence on stderr; files are named by their path below the root."""
    sys.stdout.flush()
    for problem in problems:
        sentence = prefix + problem.sentence().replace(root.rstrip("/") + "/", "")
        print(make_visible(sentence, one_line=True), file=sys.stderr)


def _print_near_duplicates(near: NearDuplicates, root: str) -> None:
    for sentence in near.list_found():
        shown = sentence.replace(root.rstrip("/") + "/", "")
        console.answers.print(f"[yellow]near-duplicate[/] {escape(shown)}", soft_wrap=True)


def _class_table(report: CheckReport) -> Table:
    table = Table(header_style="bold")
    table.add_column("id", justify="right")
    table.add_column("class")
    for name in report.splits:
        table.add_column(escape(f"{name} pixels"), justify="right")
        table.add_column("images", justify="right")
    shares = {name: split.shares() for name, split in report.splits.items()}
    for index, label in enumerate(report.class_names):
        cells = []
        for name, split in report.splits.items():
            images = split.class_images[index]
            cells += [_share(shares[name][index]), str(images) if images else "[yellow]0[/]"]
        table.add_row(str(index), escape(label), *cells)
    table.add_section()
    voids = []
    for split in report.splits.values():
        total = split.void_pixels + sum(split.class_pixels)
        voids += [_share(split.void_pixels / total if total else 0.0), ""]
    table.add_row("", "void, of all", *voids)
    return table


def _share(share: float) -> str:
    return f"{share:.2%}" if share else "[yellow]none[/]"


def _describe_masks(proposal: Proposal) -> str:
    config = proposal.config
    void = config.void_colours if config.mask_encoding == "rgb" else config.void_values
    meaning = f", void {', '.join(map(str, void))}" if void else ""
    return f"{config.mask_encoding}{meaning}; class names: {proposal.classes.source}"


def _describe_sizes(report: CheckReport) -> str:
    shown = ", ".join(f"{width}x{height}" for (width, height), _ in report.sizes[:_MOST_SIZES])
    if len(report.sizes) <= _MOST_SIZES:
        return shown
    widths = [width for (width, _), _ in report.sizes]
    heights = [height for (_, height), _ in report.sizes]
    ranges = f"{min(widths)} to {max(widths)} wide, {min(heights)} to {max(heights)} high"
    return f"{len(report.sizes)} sizes, {ranges}; most often {shown}"


def _describe_kinds(problems: Sequence[Problem]) -> str:
    kinds = Counter(problem.code.replace("_", " ") for problem in problems)
    return ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
