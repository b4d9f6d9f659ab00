"""The lineage of a model or run as an outline: below each component those that fed it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.history.lineage_documents import LineageDocument, LineageEdge, LineageNode, SourceImage

_INPUT_ORDER = ("pushed", "model", "examples", "transformed_examples")
"""Inputs through which the way to the data is shortest come first; the others are often seen by then."""


@dataclass(frozen=True)
class Output:
    """What a component made."""

    role: str
    uri: str
    num_files: int
    exists: bool


@dataclass(frozen=True)
class SourceImages:
    """The source images of one split."""

    label: str
    images: tuple[SourceImage, ...]


@dataclass(frozen=True)
class ComponentItem:
    """A component with what it made, and with the components that fed it."""

    label: str
    run_id: str
    code_fingerprint: str
    is_repeated: bool
    """Whether it is further up in full."""
    outputs: tuple[Output, ...] = ()
    images: tuple[SourceImages, ...] = ()
    makers: tuple[ComponentItem, ...] = ()


def outline_lineage(document: LineageDocument) -> tuple[ComponentItem, ...]:
    """Returns the components behind a model; of a run, those on whose outputs no other one builds."""
    return _Builder(document).build()


class _Builder:
    def __init__(self, document: LineageDocument) -> None:
        self._document = document
        self._nodes = {node.id: node for node in document.nodes}
        self._into: dict[str, list[LineageEdge]] = defaultdict(list)
        self._out_of: dict[str, list[LineageEdge]] = defaultdict(list)
        for edge in document.edges:
            self._into[edge.target].append(edge)
            self._out_of[edge.source].append(edge)
        self._seen: set[str] = set()

    def build(self) -> tuple[ComponentItem, ...]:
        subject = self._document.subject
        if self._document.kind == "model":
            roots = list(dict.fromkeys(self._find_makers(subject)))
        else:
            ran = dict.fromkeys(e.target for e in self._out_of[subject] if e.role in ("ran", "reused"))
            ends = (one for one in ran if not any(self._find_takers(one)))
            roots = sorted(ends, key=lambda one: -int(one.split(":")[1]))
        return tuple(self._describe(root) for root in roots)

    def _find_makers(self, node: str) -> Iterator[str]:
        """Yields the components whose outputs a node takes, shortest way to the data first."""
        for edge in sorted(self._into[node], key=lambda edge: (_rank(edge.role), edge.role)):
            if edge.source.startswith("artifact:"):
                yield from (made.source for made in self._into[edge.source])

    def _find_takers(self, component: str) -> Iterator[str]:
        for edge in self._out_of[component]:
            yield from (e.target for e in self._out_of[edge.target] if e.target.startswith("component:"))

    def _describe(self, component: str) -> ComponentItem:
        node = self._nodes[component]
        run_id = str(node.properties.get("run_id", ""))
        code = str(node.properties.get("code_fingerprint") or "")
        if component in self._seen:
            return ComponentItem(node.label, run_id, code, is_repeated=True)
        self._seen.add(component)
        return ComponentItem(
            label=node.label,
            run_id=run_id,
            code_fingerprint=code,
            is_repeated=False,
            outputs=tuple(
                _describe_output(edge.role, self._nodes[edge.target]) for edge in self._out_of[component]
            ),
            images=tuple(
                self._describe_images(edge.source)
                for edge in self._into[component]
                if edge.source.startswith("images:")
            ),
            makers=tuple(self._describe(maker) for maker in dict.fromkeys(self._find_makers(component))),
        )

    def _describe_images(self, node: str) -> SourceImages:
        _, snapshot, split = node.split(":", 2)
        images = (i for i in self._document.images if i.snapshot == int(snapshot) and i.split == split)
        return SourceImages(self._nodes[node].label, tuple(images))


def _describe_output(role: str, artifact: LineageNode) -> Output:
    properties = artifact.properties
    return Output(role, str(properties.get("uri", "")), len(artifact.files), bool(properties.get("exists")))


def _rank(role: str) -> int:
    return _INPUT_ORDER.index(role) if role in _INPUT_ORDER else len(_INPUT_ORDER)
