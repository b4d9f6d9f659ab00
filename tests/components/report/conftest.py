"""Facts of a made-up run, and an HTML page as a tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from components.report.draw_pictures import draw_error, draw_image, draw_mask, open_image
from components.report.facts import (
    Baseline,
    Epoch,
    Finding,
    GateResult,
    ImageResult,
    ImageResults,
    RunFacts,
    Score,
    SplitContent,
    Verdict,
)
from data.classes import ClassTable, SegmentationClass
from trainer.confusion_matrix import SUMMARY_METRICS, compute_metrics

VOID_TAGS = {"meta", "link", "img", "br", "hr", "input"}


@dataclass
class Element:
    """One element of a page; ``text`` is its own text and that of its children."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    children: list[Element] = field(default_factory=list)
    own_text: str = ""

    def all(self, tag: str = "", **attributes: str) -> list[Element]:
        """All elements below with a tag and with attributes (``class_`` for class)."""
        wanted = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
        return [
            one
            for one in self.walk()
            if (not tag or one.tag == tag)
            and all(value in one.attributes.get(key, "").split() for key, value in wanted.items())
        ]

    def one(self, tag: str = "", **attributes: str) -> Element:
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} elements {tag} {attributes}"
        return found[0]

    def walk(self) -> Iterator[Element]:
        for child in self.children:
            yield child
            yield from child.walk()

    @property
    def text(self) -> str:
        return " ".join(" ".join([self.own_text, *(child.text for child in self.children)]).split())


class _TreeBuilder(HTMLParser):
    """Builds the tree, and refuses tags that do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self.current = self.root

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> has an attribute twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs}, self.current)
        self.current.children.append(element)
        if tag not in VOID_TAGS:
            self.current = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.current.children.append(Element(tag, {name: value or "" for name, value in attrs}, self.current))

    def handle_endtag(self, tag: str) -> None:
        assert self.current.tag == tag, f"</{tag}> closes <{self.current.tag}>"
        assert self.current.parent is not None
        self.current = self.current.parent

    def handle_data(self, data: str) -> None:
        self.current.own_text += data


@pytest.fixture(scope="session")
def parse_page() -> Callable[[str], Element]:
    """Parses a page strictly and returns its root."""

    def parse(page: str) -> Element:
        builder = _TreeBuilder()
        builder.feed(page)
        builder.close()
        assert builder.current is builder.root, f"<{builder.current.tag}> is never closed"
        return builder.root

    return parse


def make_score(name: str, matrix: Any, class_names: tuple[str, ...], num_images: int = 10) -> Score:
    counts = np.array(matrix, np.int64)
    metrics = compute_metrics(counts, class_names)
    defined = {key: None if np.isnan(value) else value for key, value in metrics.items()}
    return Score(
        name,
        {key: defined[key] for key in SUMMARY_METRICS},
        tuple(defined[f"iou/{class_name}"] for class_name in class_names),
        counts,
        num_images,
    )


def make_image(classes: ClassTable, image_id: str, encode: Callable[..., bytes]) -> ImageResult:
    truth = np.zeros((20, 30), np.uint8)
    truth[:, 10:] = 1
    truth[:5] = classes.ignore_id
    prediction = np.where(truth == classes.ignore_id, 0, 1 - truth % 2).astype(np.uint8)
    encoded = encode(np.full((20, 30, 3), 90, np.uint8))
    return ImageResult(
        image_id,
        0.25,
        0.5,
        30,
        20,
        draw_image(encoded, image_id),
        draw_mask(truth, classes, "Truth"),
        draw_mask(prediction, classes, "Prediction"),
        draw_error(open_image(encoded), truth, prediction, classes.ignore_id),
        (0, 1, 0.4),
    )


@pytest.fixture(scope="session")
def encode_png() -> Callable[..., bytes]:
    """Encodes an array as PNG."""
    import io

    from PIL import Image

    def encode(pixels: np.ndarray) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        return stream.getvalue()

    return encode


@pytest.fixture
def make_facts(encode_png: Callable[..., bytes]) -> Callable[..., RunFacts]:
    """Makes the facts of a pushed run: make_facts(class_names, **changes)."""

    def make(class_names: tuple[str, ...] = ("ground", "tree", "unicorn"), **changes: Any) -> RunFacts:
        count = len(class_names)
        rows = (SegmentationClass(index, name, (index, 99, 200)) for index, name in enumerate(class_names))
        classes = ClassTable(tuple(rows), 255)
        matrix = np.eye(count, dtype=np.int64) * 90
        matrix[0, 1], matrix[1, 0] = 10, 30
        matrix[-1] = 0
        test = make_score("test", matrix, class_names)
        before = make_score("test", matrix + np.roll(matrix, 1, axis=0) // 9, class_names)
        image = make_image(classes, "street/0001", encode_png)
        gate = GateResult("mean_iou", "test", "floor", 0.5, 0.7, None, True, "mean_iou reaches its floor.")
        facts = RunFacts(
            name="streets",
            run_id="20250101-120000-abcd",
            classes=classes,
            gate_split="test",
            verdict=Verdict(True, True, True, "3", "/models/streets/3", (gate,), ("A note.",)),
            splits=(make_score("val", matrix, class_names, 7), test),
            slices=(make_score("test, weather = rain", matrix, class_names, 3),),
            baseline=Baseline("version 2", {"test": before}),
            history=tuple(
                Epoch(epoch, epoch * 5, 2 / epoch, 0.01, {"mean_iou": 0.2 * epoch, "loss": 1.0}, 2.0, 50.0)
                for epoch in (1, 2, 3)
            ),
            training={
                "parameters": 1234,
                "precision": {"policy": "float32", "reason": "no bfloat16 in silicon"},
                "devices": ["CPU:0", "CPU:1"],
                "seconds": 6.5,
                "steps": 15,
                "epochs": 3,
                "stopped_by": "time",
                "resumed_from_epoch": 2,
                "images_per_second": 50.04,
                "peak_memory_bytes": 1_540_000_000,
            },
            data=(
                SplitContent("train", 40, tuple(range(count)), tuple(range(count)), 0.1),
                SplitContent("test", 10, tuple([1.0] * count), tuple([5] * count), None),
            ),
            findings=(Finding("val", "mask/pixels/tree", "It drifted.", "warning"),),
            validated_splits=("train", "test"),
            images=ImageResults("test", 10, True, (image,), (replace(image, image_id="street/0002"),)),
            fingerprints={"Data": "ab" * 32},
            configuration={"name": "streets", "data": {"root": "/data"}},
            environment={"tensorflow": "2.16.2"},
        )
        return replace(facts, **changes)

    return make
