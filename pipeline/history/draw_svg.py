"""Draws a graph in layers from left to right, as one SVG file that needs nothing else.

The usual steps in their simplest form: a node's layer is the longest way to it, nodes of a layer are
ordered by the mean position of their neighbours (Sugiyama, Tagawa, Toda, "Methods for Visual
Understanding of Hierarchical System Structures", IEEE Trans. SMC, 1981), and edges are curves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

Arrow = tuple[str, str, str]

_CHARACTER_PX, _LINE_PX, _PADDING_PX = 6.6, 15.0, 8.0
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
    layers = order_layers(assign_layers(lines, arrows), arrows)
    boxes = _place(layers, lines)
    width = max((box.x + box.width for box in boxes.values()), default=0.0) + _MARGIN_PX
    height = max((box.y + box.height for box in boxes.values()), default=0.0) + _MARGIN_PX
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label={quoteattr(title)} '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 L8 4 L0 8 z" style="fill:#8c959f"/></marker></defs>',
        f'<text class="title" x="{_MARGIN_PX}" y="{_MARGIN_PX}">{escape(title)}</text>',
        *(_draw_arrow(boxes[source], boxes[target], role) for source, target, role in arrows),
        *(_draw_node(boxes[node], kinds.get(node, ""), lines[node]) for node in lines),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def assign_layers(nodes: Iterable[str], arrows: Sequence[Arrow]) -> dict[str, int]:
    """Returns the length of the longest way to each node."""
    layer = dict.fromkeys(nodes, 0)
    # A way has fewer steps than there are nodes, so this ends even if there were a cycle.
    for _ in range(len(layer)):
        longer = {t: layer[s] + 1 for s, t, _ in arrows if layer[t] < layer[s] + 1}
        if not longer:
            break
        layer |= longer
    return layer


def order_layers(layer: Mapping[str, int], arrows: Sequence[Arrow]) -> list[list[str]]:
    """Returns the nodes of each layer in an order in which few edges cross."""
    layers: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for node, index in layer.items():
        layers[index].append(node)
    neighbours: dict[str, list[str]] = defaultdict(list)
    for source, target, _ in arrows:
        neighbours[source].append(target)
        neighbours[target].append(source)
    for sweep in range(_SWEEPS):
        for index in range(len(layers)) if sweep % 2 == 0 else reversed(range(len(layers))):
            position = {node: i / max(1, len(row)) for row in layers for i, node in enumerate(row)}
            layers[index].sort(key=lambda node: _mean([position[n] for n in neighbours[node]] or [0.5]))
    return layers


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _place(layers: Sequence[Sequence[str]], lines: Mapping[str, Sequence[str]]) -> dict[str, _Box]:
    heights = {node: len(text) * _LINE_PX + 2 * _PADDING_PX for node, text in lines.items()}
    totals = [sum(heights[node] + _NODE_GAP_PX for node in row) for row in layers]
    boxes: dict[str, _Box] = {}
    x = _MARGIN_PX
    for row, total in zip(layers, totals, strict=True):
        width = max(max(len(line) for line in lines[node]) for node in row) * _CHARACTER_PX + 2 * _PADDING_PX
        y = 2 * _MARGIN_PX + (max(totals) - total) / 2
        for node in row:
            boxes[node] = _Box(x, y, width, heights[node])
            y += heights[node] + _NODE_GAP_PX
        x += width + _LAYER_GAP_PX
    return boxes


def _draw_arrow(source: _Box, target: _Box, role: str) -> str:
    x1, y1 = source.x + source.width, source.y + source.height / 2
    x2, y2 = target.x, target.y + target.height / 2
    bend = max(30.0, (x2 - x1) / 2)
    curve = f"M{x1:.0f} {y1:.0f} C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
    return (
        f'<path d="{curve}" marker-end="url(#tip)"/>'
        f'<text class="role" x="{(x1 + x2) / 2:.0f}" y="{(y1 + y2) / 2 - 3:.0f}" text-anchor="middle">'
        f"{escape(role)}</text>"
    )


def _draw_node(box: _Box, kind: str, lines: Sequence[str]) -> str:
    texts = "".join(
        f'<text x="{box.x + _PADDING_PX:.0f}" y="{box.y + _PADDING_PX + (index + 0.75) * _LINE_PX:.0f}">'
        f"{escape(line)}</text>"
        for index, line in enumerate(lines)
    )
    return (
        f"<g class={quoteattr(kind)}>"
        f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="4"/>'
        f"{texts}</g>"
    )
