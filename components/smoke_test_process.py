"""The fresh process of the smoke test: loads a model as a server would and sends it images.

Usage: python -P smoke_test_process.py JOB.json

It is run by its path, with nothing of this project importable: TensorFlow, numpy and Pillow only.
The job names the model, the images and where to write the report: a list of checks, each with a name,
whether it was passed, and what was found.
"""

from __future__ import annotations

import io
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

BATCH_IMAGES = 8
LARGE_PIXELS = 8_000_000
"""No batch holds two images that are larger: each takes hundreds of megabytes while it is decoded."""
FLIPPED_SHARE = 1e-3
"""Sums of floats differ between batches, and so may pixels on the border between two classes."""
MISCOUNTED_SHARE = 1e-4
"""Between two signatures that were sent the same batch."""

_SERVED = {"mask_png_bytes": tf.string, "mean_confidence": tf.float32}
_SIGNATURES: dict[str, tuple[str, tf.DType, dict[str, tf.DType]]] = {
    "serving_default": ("image_bytes", tf.string, _SERVED),
    "image_tensor": ("image_tensor", tf.uint8, {"class_ids": tf.uint8, "confidence": tf.float32}),
    "serve_examples": ("examples", tf.string, _SERVED),
    "evaluate": ("examples", tf.string, {"confusion_matrix": tf.int64}),
}

SPEED = "speed"
"""The check that holds ``images_per_second``; it is always passed."""
_SPEED_SECONDS = 0.3

Ids = NDArray[np.uint8]
Case = dict[str, Any]


class Findings:
    """The checks so far."""

    def __init__(self) -> None:
        self.checks: list[dict[str, Any]] = []

    def add(self, name: str, passed: bool, detail: str) -> bool:
        """Adds a check's outcome and returns it."""
        self.checks.append({"name": name, "passed": bool(passed), "detail": detail})
        return passed

    def note_speed(self, images_per_second: float, detail: str) -> None:
        """Adds a number that is no ground for a refusal."""
        self.add(SPEED, True, detail)
        self.checks[-1]["images_per_second"] = round(images_per_second, 3)

    def attempt(self, name: str, action: Callable[..., None], *arguments: Any) -> None:
        """Runs checks; one that raises has failed."""
        try:
            action(*arguments)
        except Exception as error:  # Whatever a model does wrong is a finding, not a crash.
            self.add(name, False, f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")


def check_model(job: dict[str, Any], findings: Findings) -> None:
    """Loads the model and runs every check."""
    started = time.monotonic()
    model = tf.saved_model.load(job["model_dir"])
    findings.add("loads", True, f"in {time.monotonic() - started:.1f} s with TensorFlow {tf.__version__}")
    if not all([check_signature(model, name, findings) for name in _SIGNATURES]):
        return
    cases, classes, ignore_id = job["cases"], job["num_classes"], job["ignore_id"]
    masks: dict[str, Ids] = {}
    for batch in cut(cases, BATCH_IMAGES):
        name = f"batch of {len(batch)} from {batch[0]['name']}"
        findings.attempt(name, check_batch, model, batch, classes, ignore_id, findings, masks)
    for case in cases:
        if case["name"] in masks:
            findings.attempt(case["name"], check_alone, model, case, masks[case["name"]], classes, findings)
    findings.attempt(SPEED, measure_speed, model, cases[0], findings)


def measure_speed(model: Any, case: Case, findings: Findings) -> None:
    """Measures how many images a second the network alone predicts, one at a time, at the working size.

    On this process' CPU, with all its cores, after a first prediction that is not counted: the median of as
    many as go into a third of a second. Decoding, resizing and encoding are left out.
    """
    names = ("prepare_images", "predict_tiles")
    if not all(name in model.signatures for name in names):
        return
    prepare, predict = (model.signatures[name] for name in names)
    frame = prepare(image_bytes=tf.constant([Path(case["image"]).read_bytes()]))["frames"]
    predict(tiles=frame)["logits"].numpy()
    seconds: list[float] = []
    while sum(seconds) < _SPEED_SECONDS:
        started = time.perf_counter()
        predict(tiles=frame)["logits"].numpy()
        seconds.append(time.perf_counter() - started)
    speed = 1 / float(np.median(seconds))
    height, width = frame.shape[1:3]
    detail = f"{speed:.1f} images of {height} x {width} a second by the network alone, one at a time"
    findings.note_speed(speed, f"{detail}, on a CPU of {os.cpu_count()} cores")


def cut(cases: Sequence[Case], size: int) -> Iterator[list[Case]]:
    """Yields batches whose images are of mixed sizes and formats, with one large image at most."""
    large = [case for case in cases if case["height_px"] * case["width_px"] > LARGE_PIXELS]
    others = [case for case in cases if case["height_px"] * case["width_px"] <= LARGE_PIXELS]
    count = max(len(large), math.ceil(len(cases) / size))
    for start in range(count):
        yield [*large, *others][start::count]


def check_signature(model: Any, name: str, findings: Findings) -> bool:
    """Compares a signature's inputs and outputs with the contract."""
    if name not in model.signatures:
        return findings.add(f"{name} is there", False, f"the model has only {sorted(model.signatures)}")
    argument, dtype, outputs = _SIGNATURES[name]
    signature = model.signatures[name]
    found_in = {key: spec.dtype for key, spec in signature.structured_input_signature[1].items()}
    found_out = {key: spec.dtype for key, spec in signature.structured_outputs.items()}
    passed = found_in == {argument: dtype} and found_out == outputs
    return findings.add(f"{name} is as agreed", passed, f"{_names(found_in)} -> {_names(found_out)}")


def _names(specs: dict[str, tf.DType]) -> str:
    return ", ".join(f"{key}: {dtype.name}" for key, dtype in sorted(specs.items()))


def check_batch(
    model: Any, batch: list[Case], classes: int, ignore_id: int, findings: Findings, masks: dict[str, Ids]
) -> None:
    """Sends a mixed batch through the three signatures that take bytes; adds its masks, by case."""
    images = tf.constant([Path(case["image"]).read_bytes() for case in batch])
    examples = tf.constant([Path(case["example"]).read_bytes() for case in batch])
    served = read_served(model.signatures["serving_default"](image_bytes=images))
    again = read_served(model.signatures["serve_examples"](examples=examples))
    counted = model.signatures["evaluate"](examples=examples)["confusion_matrix"].numpy()
    for case, (ids, confidence), (repeated, _), matrix in zip(batch, served, again, counted, strict=True):
        name = case["name"]
        if not check_ids(f"serving_default, {name}", ids, confidence, case, classes, findings):
            continue
        masks[name] = ids
        flipped = count_flipped(ids, repeated)
        passed = flipped <= allow(MISCOUNTED_SHARE, ids.size)
        findings.add(f"serve_examples, {name}", passed, f"{flipped} pixels differ from serving_default")
        expected = count_pixels(read_ids(Path(case["mask"]).read_bytes()), ids, classes, ignore_id)
        moved = int(np.abs(expected - matrix).sum()) // 2
        passed = matrix.sum() == expected.sum() and moved <= allow(MISCOUNTED_SHARE, ids.size)
        findings.add(f"evaluate, {name}", passed, f"{moved} pixels counted otherwise than in the masks")


def check_alone(model: Any, case: Case, ids: Ids, classes: int, findings: Findings) -> None:
    """Sends one image as a batch of one, and as a tensor where its pixels are what its file says."""
    name = case["name"]
    encoded = Path(case["image"]).read_bytes()
    alone, _ = read_served(model.signatures["serving_default"](image_bytes=tf.constant([encoded])))[0]
    flipped = count_flipped(alone, ids)
    passed = flipped <= allow(FLIPPED_SHARE, ids.size)
    findings.add(f"serving_default alone, {name}", passed, f"{flipped} pixels differ from the batch's")
    if not case["is_rgb"]:
        return
    pixels = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    answer = model.signatures["image_tensor"](image_tensor=tf.constant(np.stack([pixels, pixels[:, ::-1]])))
    both, confidence = answer["class_ids"].numpy(), answer["confidence"].numpy()
    shape = (2, *pixels.shape[:2])
    if both.shape != shape or confidence.shape != shape:
        findings.add(
            f"image_tensor, {name}", False, f"shapes {both.shape} and {confidence.shape}, not {shape}"
        )
        return
    check_ids(f"image_tensor, {name}", both[0], confidence, case, classes, findings)
    flipped = count_flipped(both[0], ids)
    passed = flipped <= allow(FLIPPED_SHARE, ids.size)
    findings.add(f"image_tensor like bytes, {name}", passed, f"{flipped} pixels differ from serving_default")


def check_ids(
    name: str,
    ids: Ids,
    confidence: NDArray[np.float32] | np.float32,
    case: Case,
    classes: int,
    findings: Findings,
) -> bool:
    """Checks a mask's size and range, and that confidences are from 0 to 1."""
    size = (case["height_px"], case["width_px"])
    if ids.shape != size:
        return findings.add(name, False, f"the mask is {ids.shape} for an image of {size}")
    highest, lowest_confidence = int(ids.max()), float(np.min(confidence))
    detail = f"class ids up to {highest} of {classes - 1}, confidence from {lowest_confidence:.3f}"
    # Written so that nan fails.
    passed = highest < classes and 0 <= lowest_confidence <= float(np.max(confidence)) <= 1 + 1e-6
    return findings.add(name, passed, detail)


def read_served(answer: dict[str, tf.Tensor]) -> list[tuple[Ids, np.float32]]:
    """Returns the class ids and the mean confidence of each image."""
    masks, confidences = answer["mask_png_bytes"].numpy(), answer["mean_confidence"].numpy()
    return [(read_ids(mask), confidence) for mask, confidence in zip(masks, confidences, strict=True)]


def read_ids(encoded: bytes) -> Ids:
    """Decodes an 8-bit grey PNG, [height, width]."""
    with Image.open(io.BytesIO(encoded)) as image:
        if image.format != "PNG" or image.mode != "L":
            raise ValueError(f"a mask is {image.format} {image.mode}, not an 8-bit grey PNG")
        return np.asarray(image)


def count_pixels(truth: Ids, prediction: Ids, classes: int, ignore_id: int) -> NDArray[np.int64]:
    """The confusion matrix with plain numpy: rows truth, columns prediction, void dropped."""
    labelled = truth != ignore_id
    pairs = truth[labelled].astype(np.int64) * classes + prediction[labelled]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def count_flipped(first: Ids, second: Ids) -> int:
    """Returns how many pixels differ; all of them if the shapes do."""
    return int((first != second).sum()) if first.shape == second.shape else first.size


def allow(share: float, pixels: int) -> int:
    """Returns how many pixels of an image may differ."""
    return math.ceil(share * pixels)


def main(job_file: str) -> None:
    """Runs a job and writes its report."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    findings = Findings()
    findings.attempt("loads", check_model, job, findings)
    Path(job["report"]).write_text(json.dumps(findings.checks), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
