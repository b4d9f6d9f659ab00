"""The lineage of a model or run as a tree in the terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from pipeline.format_answers import format_time, mark_status, short
from pipeline.history.lineage_documents import LineageDocument, LineageEdge, LineageNode, SourceImage

_SHOWN_IMAGES = 3
_INPUT_ORDER = ("pushed", "model", "examples", "transformed_examples")
"""Inputs through which the way to the data is shortest come first; the others are often seen by then."""


def draw_tree(document: LineageDocument, all_images: bool) -> Tree:
    """Returns the tree: what was asked for at its root, below each component those that fed it."""
    return _TreeBuilder(document, all_images).draw()


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


class _TreeBuilder:
    def __init__(self, document: LineageDocument, all_images: bool) -> None:
        self._document = document
        self._all_images = all_images
        self._nodes = {node.id: node for node in document.nodes}
        self._into: dict[str, list[LineageEdge]] = defaultdict(list)
        self._out_of: dict[str, list[LineageEdge]] = defaultdict(list)
        for edge in document.edges:
            self._into[edge.target].append(edge)
            self._out_of[edge.source].append(edge)
        self._seen: set[str] = set()

    def draw(self) -> Tree:
        subject = self._nodes[self._document.subject]
        tree = Tree(f"[bold]{subject.kind} {escape(subject.label)}[/]{self._describe_subject(subject)}")
        roots = self._find_roots(subject)
        for component in roots:
            self._add_component(tree, component)
        return tree

    def _describe_subject(self, subject: LineageNode) -> str:
        if subject.kind != "model":
            return ""
        gone = "" if subject.properties.get("exists") else ", [yellow]removed since[/]"
        return f" {escape(str(subject.properties.get('path', '')))}{gone}"

    def _find_roots(self, subject: LineageNode) -> list[str]:
        """Returns the components behind a model; of a run, those on whose outputs no other one builds."""
        if subject.kind == "model":
            return list(dict.fromkeys(self._makers(subject.id)))
        components = [e.target for e in self._out_of[subject.id] if e.role in ("ran", "reused")]
        return sorted(
            (one for one in dict.fromkeys(components) if not any(self._consumers(one))),
            key=lambda one: -int(one.split(":")[1]),
        )

    def _makers(self, node: str) -> Iterator[str]:
        """Yields the components whose outputs a node takes, shortest way to the data first."""
        edges = sorted(self._into[node], key=lambda edge: (_rank(edge.role), edge.role))
        for edge in edges:
            if edge.source.startswith("artifact:"):
                yield from (made.source for made in self._into[edge.source])

    def _consumers(self, component: str) -> Iterator[str]:
        for edge in self._out_of[component]:
            yield from (e.target for e in self._out_of[edge.target] if e.target.startswith("component:"))

    def _add_component(self, tree: Tree, component: str) -> None:
        node = self._nodes[component]
        if component in self._seen:
            tree.add(f"[dim]{escape(node.label)} (above)[/]")
            return
        self._seen.add(component)
        code = node.properties.get("code_fingerprint")
        where = f"run {node.properties.get('run_id')}{f', code {short(str(code))}' if code else ''}"
        branch = tree.add(f"[bold]{escape(node.label)}[/] ({escape(where)})")
        for edge in self._out_of[component]:
            branch.add(self._describe_artifact(edge))
        for edge in self._into[component]:
            if edge.source.startswith("images:"):
                self._add_images(branch, edge.source)
        for maker in dict.fromkeys(self._makers(component)):
            self._add_component(branch, maker)

    def _describe_artifact(self, edge: LineageEdge) -> str:
        artifact = self._nodes[edge.target]
        gone = "" if artifact.properties.get("exists") else " [yellow](gone)[/]"
        files = f", {len(artifact.files)} files" if artifact.files else ""
        uri = escape(str(artifact.properties.get("uri", "")))
        return f"[cyan]{escape(edge.role)}[/]: {uri}{files}{gone}"

    def _add_images(self, branch: Tree, node: str) -> None:
        _, snapshot, split = node.split(":", 2)
        images = [i for i in self._document.images if i.snapshot == int(snapshot) and i.split == split]
        shown = images if self._all_images else images[:_SHOWN_IMAGES]
        twig = branch.add(f"[magenta]{escape(self._nodes[node].label)}[/]")
        for image in shown:
            twig.add(_describe_image(image))
        if len(images) > len(shown):
            twig.add(f"and {len(images) - len(shown)} more; --all-images shows them")


def _rank(role: str) -> int:
    return _INPUT_ORDER.index(role) if role in _INPUT_ORDER else len(_INPUT_ORDER)


def _describe_image(image: SourceImage) -> str:
    digests = f"{short(image.image_sha256)}, mask {short(image.mask_sha256)}"
    return escape(f"{image.id} ({digests}): {image.image_path}, {image.mask_path}")
