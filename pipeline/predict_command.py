"""``deconvflow predict``: masks of images by a pushed model."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from data import progress
from data.errors import Problem, RefusedError
from pipeline import console
from pipeline.choose_inference import InferenceOptions, choose_inference
from pipeline.find_served import ServedModel, find_served
from pipeline.format_answers import format_seconds
from pipeline.plan_predictions import LINES_FILE, PredictionPlan, plan_predictions
from pipeline.prediction_documents import (
    PredictDocument,
    PredictedImage,
    PredictedInference,
    PredictedModel,
)
from pipeline.workspace import Workspace
from pipeline.write_predictions import write_below

if TYPE_CHECKING:
    from pipeline.predict_images import OutputOptions
    from trainer.inference_config import InferenceConfig
    from trainer.predict import Predictor

EXIT_SOME_FAILED = 1
EXIT_INTERRUPTED = 130
_SHOWN_FAILURES = 20
_LARGEST_TILE_PX = 16_384


@dataclass(frozen=True)
class PredictQuery:
    """The options of the command."""

    model: str
    images: tuple[str, ...]
    out: Path
    colours: bool = False
    overlay: bool = False
    tile: str = "auto"
    force: bool = False
    inference: InferenceOptions = field(default_factory=InferenceOptions)


def print_predictions(workspace: Workspace, query: PredictQuery, as_json: bool) -> int:
    """Predicts images. Returns the exit status: 0, or 1 if some could not be predicted.

    Raises:
        RefusedError: if the model, an image's path, the output folder or an option will not do.
    """
    tile_px = read_tile(query.tile)
    model = find_served(workspace, query.model)
    inference = choose_inference(model.manifest.inference, query.inference)
    _refuse_tiles(tile_px, inference)
    plan = plan_predictions(query.images, query.out, query.force)
    _make_folder(query.out)
    with tempfile.TemporaryDirectory() as logs, console.quiet(Path(logs, "predict.log"), verbose=False):
        console.install_reporter()
        document, interrupted = _predict(model, plan, query, tile_px, inference)
    for note in document.notes:
        console.messages.print(f"note: {note}", markup=False, soft_wrap=True)
    _print_failures(document)
    if as_json:
        print(document.model_dump_json())
    else:
        _print_summary(document, len(plan.images), inference)
    if interrupted:
        return EXIT_INTERRUPTED
    return EXIT_SOME_FAILED if document.failed else 0


def read_tile(text: str) -> int | str:
    """Returns ``auto``, ``off``, or the side of a tile in pixels.

    Raises:
        RefusedError: if it is none of them.
    """
    if text in ("auto", "off"):
        return text
    if text.isdecimal() and 1 <= int(text) <= _LARGEST_TILE_PX:
        return int(text)
    what = "is no size of tiles"
    remedy = f"Take auto, off, or a number of pixels from 1 to {_LARGEST_TILE_PX}"
    raise RefusedError([Problem(f"--tile {text}", what, remedy, "bad_option")])


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"cannot be made or is no folder ({error.strerror})"
        raise RefusedError([Problem(str(out), what, "Choose another folder with --out", "bad_out")]) from None


def _predict(
    model: ServedModel,
    plan: PredictionPlan,
    query: PredictQuery,
    tile_px: int | str,
    inference: InferenceConfig,
) -> tuple[PredictDocument, bool]:
    """Predicts all images; returns the document, and whether the user stopped it."""
    from pipeline.predict_images import OutputOptions

    started = time.monotonic()
    with progress.current().stage(f"loading {model.label}"):
        predictor = _load(model)
    notes = list(plan.notes)
    if inference != predictor.inference and not predictor.can_average:
        what = "was exported by an earlier release and knows no flips, scales or windows"
        remedy = "Train and push it again, or leave out --flip, --scales and --window"
        raise RefusedError([Problem(model.label, what, remedy, "bad_option")])
    side = _choose_tile(predictor, model, tile_px, notes) if inference.is_plain() else None
    done: list[PredictedImage] = []
    interrupted = False
    try:
        options = OutputOptions(query.out, query.colours, query.overlay, side, inference)
        _predict_all(predictor, model, plan, options, done)
    except KeyboardInterrupt:
        interrupted = True
        notes.append(f"interrupted: {len(done)} of {len(plan.images)} images were done")
    finally:
        text = "".join(one.model_dump_json() + "\n" for one in done)
        lines = _write_lines(query.out, text)
    manifest = model.manifest
    return PredictDocument(
        model=PredictedModel(
            name=manifest.name,
            version=manifest.version,
            path=str(model.folder),
            run_id=manifest.run_id,
            model_fingerprint=manifest.model_fingerprint,
        ),
        out=str(query.out),
        lines=str(lines),
        inference=PredictedInference(**inference.model_dump()),
        predicted=sum(one.error is None for one in done),
        failed=sum(one.error is not None for one in done),
        seconds=round(time.monotonic() - started, 3),
        predictions=tuple(done),
        notes=tuple(notes),
    ), interrupted


def _load(model: ServedModel) -> Predictor:
    from trainer.predict import Predictor

    try:
        return Predictor(str(model.folder))
    except Exception as error:  # TensorFlow raises what it likes for a SavedModel that is none.
        what = f"cannot be loaded by TensorFlow ({type(error).__name__}: {str(error).splitlines()[0][:200]})"
        remedy = "Push the model again"
        raise RefusedError([Problem(str(model.folder), what, remedy, "damaged_model")]) from error


def _refuse_tiles(tile_px: int | str, inference: InferenceConfig) -> None:
    """Refuses tiles where there is more than one pass: they give the answer of one."""
    if isinstance(tile_px, int) and not inference.is_plain():
        what = f"does not go with {inference.describe()}"
        remedy = "Leave it out, and bound memory by --window; or add --no-flip --scales 1 --window off"
        raise RefusedError([Problem(f"--tile {tile_px}", what, remedy, "bad_option")])


def _choose_tile(
    predictor: Predictor, model: ServedModel, tile_px: int | str, notes: list[str]
) -> int | None:
    if tile_px == "off":
        return None
    if not predictor.can_tile:
        if tile_px != "auto":
            notes.append(
                f"{model.label} was exported by an earlier release and cannot work by tiles: every image "
                "goes through in one piece. Train and push it again to have tiles"
            )
        return None
    return predictor.choose_tile_px() if tile_px == "auto" else int(tile_px)


def _predict_all(
    predictor: Predictor,
    model: ServedModel,
    plan: PredictionPlan,
    options: OutputOptions,
    done: list[PredictedImage],
) -> None:
    from pipeline.predict_images import predict_images

    classes = model.manifest.class_table()
    with progress.current().stage("predict", total=len(plan.images)) as stage:
        for predicted in predict_images(predictor, plan.images, classes, options):
            done.append(predicted)
            stage.advance(1, Path(predicted.image).name)


def _write_lines(out: Path, text: str) -> Path:
    try:
        return write_below(out, LINES_FILE, text.encode())
    except OSError as error:
        what = f"cannot be written ({error})"
        raise RefusedError([Problem(str(out / LINES_FILE), what, "Make room for it", "bad_out")]) from None


def _print_failures(document: PredictDocument) -> None:
    failures = [one for one in document.predictions if one.error is not None]
    for one in failures[:_SHOWN_FAILURES]:
        console.messages.print(f"{one.image}: {one.error}", markup=False, soft_wrap=True)
    if len(failures) > _SHOWN_FAILURES:
        more = len(failures) - _SHOWN_FAILURES
        console.messages.print(f"... and {more} more; {document.lines} has all", markup=False, soft_wrap=True)


def _print_summary(document: PredictDocument, planned: int, inference: InferenceConfig) -> None:
    good = [one for one in document.predictions if one.shares is not None]
    if good:
        console.answers.print(_share_table(good))
    label = f"{document.model.name}/{document.model.version}"
    seconds = format_seconds(document.seconds)
    for line in (
        f"{document.predicted} of {planned} images predicted by {label} in {seconds}",
        f"inference: {inference.describe()}",
        f"masks: {document.out}",
        f"a line an image: {document.lines}",
    ):
        console.answers.print(line, markup=False, soft_wrap=True)


def _share_table(predictions: Sequence[PredictedImage]) -> Table:
    """Returns how much of all pixels each class has, and in how many images it is."""
    table = Table(header_style="bold")
    table.add_column("class")
    table.add_column("share of pixels", justify="right")
    table.add_column("images with it", justify="right")
    pixels = {id(one): (one.height_px or 0) * (one.width_px or 0) for one in predictions}
    total = sum(pixels.values())
    for name in predictions[0].shares or {}:
        shares = [(one.shares or {}).get(name, 0.0) for one in predictions]
        share = sum(value * pixels[id(one)] for value, one in zip(shares, predictions, strict=True)) / total
        table.add_row(escape(name), f"{100 * share:.2f} %", str(sum(value > 0 for value in shares)))
    return table
