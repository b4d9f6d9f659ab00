"""``deconvflow init``: looks at a folder and writes a commented configuration that runs."""

from __future__ import annotations

import os
from pathlib import Path

from rich.markup import escape

from data.errors import Problem, RefusedError
from data.open_files import is_remote
from data.recognise_dataset import Proposal, recognise_dataset, relocate
from data.write_config import write_config
from pipeline import console
from pipeline.check_command import EXIT_DONE, EXIT_REFUSED, print_problems, print_report
from pipeline.command_documents import InitDocument


def run_init(root: Path | str, out: Path, force: bool, as_json: bool) -> int:
    """Recognises a data set, writes its configuration and prints what was found.

    Args:
        root: the data set's folder. In the file it is relative to the file if it is relative here.
        out: the YAML file to write.
        force: replace the file if it is there.
        as_json: print one JSON document on stdout instead of tables.

    Returns:
        The exit status: 0, or 2 if the data set has problems that a run would refuse. The file is
        written in both cases.

    Raises:
        RefusedError: if there is no such folder, nothing can be made out in it, or the file is there
            already. Nothing is written then.
    """
    _refuse_to_overwrite(out, force)
    console.install_reporter()
    proposal = relocate(*_locate(recognise_dataset(str(root)), str(root), out))
    try:
        write_config(proposal, out)
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        remedy = "Name a file in a folder that can be written to, by --out"
        raise RefusedError([Problem(str(out), what, remedy, "config_unwritable")]) from None
    report = proposal.report
    if as_json:
        print(InitDocument(config=str(out), **proposal.to_json()).model_dump_json())
    else:
        print_report(report, proposal)
        _print_next_step(proposal, out)
    print_problems(report.problems, report.root)
    return EXIT_REFUSED if report.problems else EXIT_DONE


def _refuse_to_overwrite(out: Path, force: bool) -> None:
    if out.exists() and not force:
        what = "is there already"
        remedy = "Name another file by --out, or replace it by --force"
        raise RefusedError([Problem(str(out), what, remedy, "config_exists")])


def _locate(proposal: Proposal, root: str, out: Path) -> tuple[Proposal, str]:
    """Returns the proposal and its root as the file names it: relative only if the user's is."""
    found = proposal.config.root
    if is_remote(found):
        return proposal, found
    if Path(root).is_absolute():
        return proposal, str(Path(found).absolute())
    return proposal, os.path.relpath(Path(found).resolve(), out.resolve().parent)


def _print_next_step(proposal: Proposal, out: Path) -> None:
    settings = proposal.settings
    size = f"{settings.width_px}x{settings.height_px}"
    console.answers.print(
        f"written: [bold]{escape(str(out))}[/] (working size {size}, {len(proposal.config.classes)} classes)",
        soft_wrap=True,
    )
    if proposal.report.problems:
        console.answers.print(f"mend the problems first: deconvflow check --config {escape(str(out))}")
    else:
        console.answers.print(f"next: deconvflow run --config {escape(str(out))}", soft_wrap=True)
