"""The lineage of a model or run as a tree in the terminal."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from pipeline.format_answers import format_time, mark_status, short
from pipeline.history.lineage_documents import LineageDocument, LineageNode, SourceImage
from pipeline.history.outline_lineage import ComponentItem, outline_lineage

_SHOWN_IMAGES = 3


def draw_tree(document: LineageDocument, all_images: bool) -> Tree:
    """Returns the tree: what was asked for at its root, below each component those that fed it."""
    subject = next(node for node in document.nodes if node.id == document.subject)
    tree = Tree(f"[bold]{subject.kind} {escape(subject.label)}[/]{_describe_subject(subject)}")
    for item in outline_lineage(document):
        _add_component(tree, item, all_images)
    return tree


def draw_runs(document: LineageDocument) -> Table:
    """Returns a table of the runs that took part, with the fingerprints of what they ran."""
    table = Table(header_style="bold")
    for heading in ("run", "pipeline", "started", "state", "configuration", "code", "environment", "data"):
        table.add_column(heading)
    for node in document.nodes:
        if node.kind == "run":
            facts = node.properties
            fingerprints = (
                facts.get(f"{key}_fingerprint") for key in ("configuration", "code", "environment", "data")
            )
            table.add_row(
                escape(node.label),
                escape(str(facts.get("pipeline", ""))),
                format_time(float(str(facts.get("started", 0)))),
                mark_status(str(facts.get("status", ""))),
                *(short(str(value)) if value else "" for value in fingerprints),
            )
    return table


def _describe_subject(subject: LineageNode) -> str:
    if subject.kind != "model":
        return ""
    gone = "" if subject.properties.get("exists") else ", [yellow]removed since[/]"
    return f" {escape(str(subject.properties.get('path', '')))}{gone}"


def _add_component(tree: Tree, item: ComponentItem, all_images: bool) -> None:
    if item.is_repeated:
        tree.add(f"[dim]{escape(item.label)} (above)[/]")
        return
    code = f", code {short(item.code_fingerprint)}" if item.code_fingerprint else ""
    branch = tree.add(f"[bold]{escape(item.label)}[/] ({escape(f'run {item.run_id}{code}')})")
    for output in item.outputs:
        gone = "" if output.exists else " [yellow](gone)[/]"
        files = f", {output.num_files} files" if output.num_files else ""
        branch.add(f"[cyan]{escape(output.role)}[/]: {escape(output.uri)}{files}{gone}")
    for source in item.images:
        shown = source.images if all_images else source.images[:_SHOWN_IMAGES]
        twig = branch.add(f"[magenta]{escape(source.label)}[/]")
        for image in shown:
            twig.add(_describe_image(image))
        if len(source.images) > len(shown):
            twig.add(f"and {len(source.images) - len(shown)} more; --all-images shows them")
    for maker in item.makers:
        _add_component(branch, maker, all_images)


def _describe_image(image: SourceImage) -> str:
    digests = f"{short(image.image_sha256)}, mask {short(image.mask_sha256)}"
    return escape(f"{image.id} ({digests}): {image.image_path}, {image.mask_path}")
