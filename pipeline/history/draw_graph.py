"""Lineage as a picture: what is drawn of it, as Graphviz DOT and as SVG."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

from pipeline.history.draw_svg import draw_layers
from pipeline.history.lineage_documents import LineageDocument, LineageNode

_SHAPES = {
    "model": "box3d",
    "run": "box",
    "component": "box",
    "artifact": "note",
    "images": "folder",
    "image": "folder",
}
_BOOKKEEPING = frozenset({"ran", "reused"})
"""Edges that say in which run something ran: written into the components rather than drawn."""


@dataclass(frozen=True)
class Picture:
    """What is drawn: boxes with lines of text, and arrows with a word each."""

    title: str
    kinds: dict[str, str]
    """By node."""
    lines: dict[str, tuple[str, ...]]
    """By node."""
    arrows: tuple[tuple[str, str, str], ...]
    """(from, to, what)."""


def choose_picture(document: LineageDocument) -> Picture:
    """Returns what is drawn: all but runs whose only part is to have run components."""
    # What TFX calls _DatasetSnapshot.fingerprint is a fingerprint.
    arrows = [
        (edge.source, edge.target, edge.role.rsplit(".", 1)[-1])
        for edge in document.edges
        if edge.role not in _BOOKKEEPING
    ]
    drawn = {end for arrow in arrows for end in arrow[:2]}
    nodes = [node for node in document.nodes if node.id in drawn]
    return Picture(
        title=f"Lineage of {document.subject.replace(':', ' ', 1)}",
        kinds={node.id: node.kind for node in nodes},
        lines={node.id: _lines(node) for node in nodes},
        arrows=tuple(arrows),
    )


def to_dot(picture: Picture) -> str:
    """Returns the picture in Graphviz' language."""
    head = ["rankdir=LR;", f"label={_quote(picture.title)};", 'node [fontname="sans-serif", fontsize=11];']
    nodes = [
        f"{_quote(node)} [shape={_SHAPES[kind]}, label={_quote_lines(picture.lines[node])}];"
        for node, kind in picture.kinds.items()
    ]
    edges = [
        f"{_quote(source)} -> {_quote(target)} [label={_quote(role)}, fontsize=9];"
        for source, target, role in picture.arrows
    ]
    body = "\n".join(f"  {line}" for line in [*head, *nodes, *edges])
    return f"digraph lineage {{\n{body}\n}}\n"


def to_svg(picture: Picture) -> str:
    """Returns the picture as SVG: laid out by Graphviz where it is installed, else in layers by ourselves."""
    if program := shutil.which("dot"):
        done = subprocess.run(
            [program, "-Tsvg"], input=to_dot(picture), capture_output=True, text=True, check=False
        )
        if done.returncode == 0 and "<svg" in done.stdout:
            return done.stdout
    return draw_layers(picture.title, picture.kinds, picture.lines, picture.arrows)


def _lines(node: LineageNode) -> tuple[str, ...]:
    properties = node.properties
    below: list[str] = []
    if node.kind == "component":
        below.append(f"run {properties.get('run_id')}")
        if code := properties.get("code_fingerprint"):
            below.append(f"code {str(code)[:8]}")
    if node.kind == "artifact" and (fingerprint := properties.get("fingerprint")):
        below.append(f"data {str(fingerprint)[:8]}")
    if node.kind in ("artifact", "model") and node.files:
        below.append(f"{len(node.files)} files")
    if node.kind in ("artifact", "model") and properties.get("exists") is False:
        below.append("gone")
    if node.kind == "run":
        below.append(f"{properties.get('pipeline')}: {properties.get('status')}")
    return (node.label, *below)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'


def _quote_lines(lines: tuple[str, ...]) -> str:
    return '"' + "\\n".join(_quote(line)[1:-1] for line in lines) + '"'
