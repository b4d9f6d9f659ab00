"""The picture of a lineage, as Graphviz' language and as SVG."""

from __future__ import annotations

import os
import re
import stat
from itertools import combinations
from xml.etree import ElementTree

import pytest

from pipeline import tracking
from pipeline.history import draw_graph
from pipeline.history.draw_graph import choose_picture, to_dot, to_svg
from pipeline.history.draw_svg import assign_layers, draw_layers, order_layers, route_arrows
from pipeline.history.find_models import find_model, list_pushed
from pipeline.history.lineage_documents import LineageDocument, LineageEdge, LineageNode
from pipeline.history.trace_back import trace_model

_SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def picture(four_runs):
    records = tracking.list_runs(four_runs.store)
    model = find_model(list_pushed(four_runs.store), "boxes/3", {record.run_id for record in records})
    return choose_picture(trace_model(four_runs.store, records, model))


def test_every_component_and_artifact_is_drawn_and_bookkeeping_is_not(picture):
    words = {role for _, _, role in picture.arrows}
    assert not {"ran", "reused"} & words
    assert {"model", "examples", "snapshot", "fingerprint", "pushed"} <= words
    titles = {lines[0] for lines in picture.lines.values()}
    assert {"Trainer", "DatasetSnapshot", "boxes/3", "4 train images"} <= titles
    assert "run" not in picture.kinds.values()
    trainer = next(lines for lines in picture.lines.values() if lines[0] == "Trainer")
    assert trainer[1] == "run run-4"


def test_dot_has_a_line_for_each_node_and_arrow(picture):
    lines = to_dot(picture).splitlines()
    assert lines[0] == "digraph lineage {" and lines[-1] == "}"
    assert sum(" -> " in line for line in lines) == len(picture.arrows)
    assert sum("shape=" in line and " -> " not in line for line in lines) == len(picture.lines)


def test_dot_text_cannot_break_out_of_its_quotes():
    wicked = 'a"];\nb [label="x\\'
    node = LineageNode(id=wicked, kind="image", label=wicked)
    other = LineageNode(id="run:r", kind="run", label="r")
    edge = LineageEdge(source=wicked, target="run:r", role=wicked)
    document = LineageDocument(
        kind="image", subject=wicked, nodes=(node, other), edges=(edge,), images=(), sightings=(), notes=()
    )
    text = to_dot(choose_picture(document))
    # Read as Graphviz does: quoted strings, in which a backslash protects the next character.
    assert '"' not in re.sub(r'"(?:\\.|[^"\\])*"', "", text)
    assert text.count("\n") == len(text.splitlines()) == 8


def _boxes(svg):
    root = ElementTree.fromstring(svg)
    for group in root.iter(f"{_SVG}g"):
        rect = group.find(f"{_SVG}rect")
        yield group.find(f"{_SVG}text").text, *(float(rect.get(key)) for key in ("x", "y", "width", "height"))


def test_svg_is_well_formed_named_and_shows_every_node_once(picture):
    svg = draw_layers(picture.title, picture.kinds, picture.lines, picture.arrows)
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img" and root.get("aria-label") == "Lineage of model boxes/3"
    assert sorted(name for name, *_ in _boxes(svg)) == sorted(lines[0] for lines in picture.lines.values())
    assert len([p for p in root.iter(f"{_SVG}path") if p.get("marker-end")]) == len(picture.arrows)


def test_no_two_boxes_overlap_and_all_are_inside(picture):
    svg = draw_layers(picture.title, picture.kinds, picture.lines, picture.arrows)
    root = ElementTree.fromstring(svg)
    boxes = [box[1:] for box in _boxes(svg)]
    for (ax, ay, aw, ah), (bx, by, bw, bh) in combinations(boxes, 2):
        assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay
    for x, y, width, height in boxes:
        assert x + width <= float(root.get("width")) and y + height <= float(root.get("height"))


def test_text_of_a_picture_cannot_be_markup():
    svg = draw_layers("<b>&", {"n": '"<x>'}, {"n": ("<script>&",)}, [])
    assert ElementTree.fromstring(svg).find(f"{_SVG}title").text == "<b>&"
    assert "<script>" not in svg


def test_an_empty_picture_is_a_picture():
    assert ElementTree.fromstring(draw_layers("nothing", {}, {}, [])).tag == f"{_SVG}svg"


def test_layers_are_longest_ways_and_sources_stand_beside_their_use():
    arrows = [("a", "b", ""), ("b", "c", ""), ("a", "c", ""), ("late", "c", "")]
    assert assign_layers(["a", "b", "c", "late"], arrows) == {"a": 0, "b": 1, "c": 2, "late": 1}


def test_an_arrow_over_several_layers_bends_in_each():
    layer = {"a": 0, "d": 3}
    (way,) = route_arrows(layer, [("a", "d", "")])
    assert [layer[node] for node in way] == [0, 1, 2, 3]


def test_crossed_edges_are_uncrossed():
    layer = {"a": 0, "b": 0, "x": 1, "y": 1}
    left, right = order_layers(layer, [("a", "y"), ("b", "x")])
    assert [{"a": "y", "b": "x"}[node] for node in left] == right


def test_a_cycle_does_not_hang():
    assert set(assign_layers(["a", "b"], [("a", "b", ""), ("b", "a", "")])) == {"a", "b"}


def _fake_dot(folder, script):
    path = folder / "dot"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_graphviz_draws_where_it_is_installed(picture, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", _fake_dot(tmp_path, 'echo "<svg>$1 $(grep -c "digraph lineage")</svg>"'))
    assert to_svg(picture) == "<svg>-Tsvg 1</svg>\n"


def test_where_graphviz_fails_or_is_absent_the_picture_is_our_own(picture, tmp_path, monkeypatch):
    own = draw_layers(picture.title, picture.kinds, picture.lines, picture.arrows)
    monkeypatch.setenv("PATH", _fake_dot(tmp_path, "exit 1"))
    assert to_svg(picture) == own
    monkeypatch.setattr(draw_graph.shutil, "which", lambda _: None)
    assert to_svg(picture) == own
