"""Draws a graph in layers from left to right, as one SVG file that needs nothing else.

The usual steps in their simplest form (Sugiyama, Tagawa, Toda, "Methods for Visual Understanding of
Hierarchical System Structures", IEEE Trans. SMC, 1981): a node's layer is the longest way to it, an edge
bends in each layer that it passes, and the nodes of a layer are ordered by the mean position of their
neighbours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

from data.visible_text import make_visible

Arrow = tuple[str, str, str]

_CHARACTER_PX, _WORD_CHARACTER_PX, _LINE_PX, _PADDING_PX = 6.6, 5.0, 15.0, 8.0
_LAYER_GAP_PX, _NODE_GAP_PX, _MARGIN_PX = 70.0, 18.0, 24.0
_SWEEPS = 8

_STYLE = """
text { font: 11px sans-serif; fill: #1b1f24 }
.title { font-size: 15px; font-weight: bold }
.role { font-size: 9px; fill: #57606a }
rect { stroke: #57606a; stroke-width: 1; fill: #ffffff }
path { stroke: #8c959f; fill: none }
.model rect { fill: #dafbe1 } .run rect { fill: #ddf4ff } .component rect { fill: #fff8c5 }
.images rect, .image rect { fill: #fbefff }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117 }
  text { fill: #e6edf3 } .role { fill: #9198a1 }
  rect { fill: #161b22; stroke: #9198a1 }
  .model rect { fill: #12361f } .run rect { fill: #0c2d4a } .component rect { fill: #3b300a }
  .images rect, .image rect { fill: #32204a }
}
"""


@dataclass(frozen=True)
class _Box:
    x: float
    y: float
    width: float
    height: float


def draw_layers(
    title: str, kinds: Mapping[str, str], lines: Mapping[str, Sequence[str]], arrows: Sequence[Arrow]
) -> str:
    """Returns an SVG document.

    Args:
        title: above the picture, and its name for screen readers.
        kinds: class of each node, for its colour.
        lines: text of each node.
        arrows: (from, to, word); without cycles.
    """
    layer = assign_layers(lines, arrows)
    ways = route_arrows(layer, arrows)
    steps = [step for way in ways for step in pairwise(way)]
    boxes = _place(order_layers(layer, steps), lines, arrows)
    width = max((box.x + box.width for box in boxes.values()), default=0.0) + _MARGIN_PX
    height = max((box.y + box.height for box in boxes.values()), default=0.0) + _MARGIN_PX
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label={_quote(title)} '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{_escape(title)}</title><style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 L8 4 L0 8 z" style="fill:#8c959f"/></marker></defs>',
        f'<text class="title" x="{_MARGIN_PX}" y="{_MARGIN_PX}">{_escape(title)}</text>',
        *(_draw_arrow([boxes[n] for n in way], role) for way, (_, _, role) in zip(ways, arrows, strict=True)),
        *(_draw_node(boxes[node], kinds.get(node, ""), lines[node]) for node in lines),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def assign_layers(nodes: Iterable[str], arrows: Sequence[Arrow]) -> dict[str, int]:
    """Returns the length of the longest way to each node; what has no way to it stands beside its use."""
    layer = dict.fromkeys(nodes, 0)
    # A way has fewer steps than there are nodes, so this ends even if there were a cycle.
    for _ in range(len(layer)):
        longer = {t: layer[s] + 1 for s, t, _ in arrows if layer[t] < layer[s] + 1}
        if not longer:
            break
        layer |= longer
    uses: dict[str, list[int]] = defaultdict(list)
    for source, target, _ in arrows:
        uses[source].append(layer[target])
    sources = uses.keys() - {target for _, target, _ in arrows}
    return layer | {node: max(0, min(uses[node]) - 1) for node in sources}


def route_arrows(layer: dict[str, int], arrows: Sequence[Arrow]) -> list[list[str]]:
    """Returns each arrow's way: its ends, and between them a new bend in every layer that it passes.

    The bends are added to ``layer``, so that boxes make room for them.
    """
    ways = []
    for index, (source, target, _) in enumerate(arrows):
        passed = range(layer[source] + 1, layer[target])
        bends = {f"\0{index}.{between}": between for between in passed}
        layer.update(bends)
        ways.append([source, *bends, target])
    return ways


def order_layers(layer: Mapping[str, int], steps: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Returns the nodes of each layer in an order in which few edges cross."""
    layers: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for node, index in layer.items():
        layers[index].append(node)
    neighbours: dict[str, list[str]] = defaultdict(list)
    for source, target in steps:
        neighbours[source].append(target)
        neighbours[target].append(source)
    for sweep in range(_SWEEPS):
        for index in range(len(layers)) if sweep % 2 == 0 else reversed(range(len(layers))):
            position = {node: i / max(1, len(row)) for row in layers for i, node in enumerate(row)}
            layers[index].sort(key=lambda node: _mean([position[n] for n in neighbours[node]] or [0.5]))
    return layers


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _place(
    layers: Sequence[Sequence[str]], lines: Mapping[str, Sequence[str]], arrows: Sequence[Arrow]
) -> dict[str, _Box]:
    heights = {node: len(text) * _LINE_PX + 2 * _PADDING_PX for node, text in lines.items()}
    totals = [sum(heights.get(node, 0.0) + _NODE_GAP_PX for node in row) for row in layers]
    words = max((len(role) for _, _, role in arrows), default=0)
    boxes: dict[str, _Box] = {}
    x = _MARGIN_PX
    for row, total in zip(layers, totals, strict=True):
        characters = [len(line) for node in row for line in lines.get(node, ())]
        width = max(characters, default=0) * _CHARACTER_PX + 2 * _PADDING_PX
        y = 2 * _MARGIN_PX + (max(totals) - total) / 2
        for node in row:
            boxes[node] = _Box(x, y, width, heights.get(node, 0.0))
            y += heights.get(node, 0.0) + _NODE_GAP_PX
        x += width + max(_LAYER_GAP_PX, words * _WORD_CHARACTER_PX + 2 * _PADDING_PX)
    return boxes


def _draw_arrow(way: Sequence[_Box], role: str) -> str:
    x, y = way[0].x + way[0].width, way[0].y + way[0].height / 2
    next_y = way[1].y + way[1].height / 2
    word = f'<text class="role" x="{(x + way[1].x) / 2:.0f}" y="{(y + next_y) / 2 - 3:.0f}" '
    curve = f"M{x:.0f} {y:.0f}"
    for box in way[1:]:
        bend, middle = (box.x - x) / 2, box.y + box.height / 2
        curve += f" C{x + bend:.0f} {y:.0f} {box.x - bend:.0f} {middle:.0f} {box.x:.0f} {middle:.0f}"
        x, y = box.x, middle
        if box is not way[-1]:
            x = box.x + box.width
            curve += f" H{x:.0f}"
    return f'<path d="{curve}" marker-end="url(#tip)"/>{word}text-anchor="middle">{_escape(role)}</text>'


def _draw_node(box: _Box, kind: str, lines: Sequence[str]) -> str:
    texts = "".join(
        f'<text x="{box.x + _PADDING_PX:.0f}" y="{box.y + _PADDING_PX + (index + 0.75) * _LINE_PX:.0f}">'
        f"{_escape(line)}</text>"
        for index, line in enumerate(lines)
    )
    return (
        f"<g class={_quote(kind)}>"
        f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="4"/>'
        f"{texts}</g>"
    )


def _escape(text: str) -> str:
    """Returns a text for XML, which has no control characters: one of them, and nothing is drawn."""
    return escape(make_visible(text))


def _quote(text: str) -> str:
    return quoteattr(make_visible(text))
