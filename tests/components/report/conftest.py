"""Facts of a made-up run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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
