"""``deconvflow predict`` with a real exported network, against its own serving signature."""

from __future__ import annotations

import functools
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from data.errors import RefusedError
from pipeline import predict_command, predict_images
from pipeline.cli import app, run_app
from pipeline.find_served import find_served
from pipeline.prediction_documents import PredictDocument, PredictedImage
from pipeline.workspace import Workspace

# A network is exported.
pytestmark = pytest.mark.slow

NAMES = ("ground", "tree", "sky", "unicorn")
COLOURS = ((200, 10, 10), (10, 200, 10), (10, 10, 200), (200, 200, 10))


def draw_image(seed: int, height: int, width: int) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def to_bytes(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with version 1 of ``boxes``: a network with random weights."""
    import keras

    from components.push_version import ModelFacts, push_version
    from data.classes import ClassTable, SegmentationClass
    from data.config import ClassConfig, DataConfig, TransformConfig
    from data.read_transformed import DatasetStatistics
    from trainer.build_model import build_model
    from trainer.export import export_model
    from trainer.model_config import ModelConfig

    keras.utils.set_random_seed(5)
    mean, std, config = [120.0, 127.0, 127.0], [70.0, 74.0, 74.0], ModelConfig(width=8, head="fcn4s")
    network = build_model(config, len(NAMES), mean, std)
    rng = np.random.default_rng(5)
    for layer in network.layers:
        if layer.name.startswith("score_"):
            layer.set_weights([rng.normal(0, 0.5, weight.shape) for weight in layer.get_weights()])
    folder = tmp_path_factory.mktemp("predict")
    classes = tuple(ClassConfig(id=i, name=name) for i, name in enumerate(NAMES))
    statistics = DatasetStatistics(np.array(mean), np.array(std), np.ones(4), np.ones(4), 1)
    data, transform = DataConfig(root="unused", classes=classes), TransformConfig(height_px=64, width_px=96)
    export_model(network, config, data, transform, statistics, str(folder / "model"))
    rows = zip(range(4), NAMES, COLOURS, strict=True)
    table = ClassTable(tuple(SegmentationClass(*row) for row in rows), 255)
    verdict = {"metrics": {}, "data_fingerprint": "data-1"}
    facts = ModelFacts("boxes", "run-1", table, "code-1", verdict)
    push_version(str(folder / "workspace/serving/boxes"), str(folder / "model"), facts)
    return folder / "workspace"


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six good images in a tree: PNG and JPEG, one turned by EXIF, one grey."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for seed, size in enumerate(((64, 96), (37, 53), (130, 71))):
        (folder / f"{seed}.png").write_bytes(to_bytes(draw_image(seed, *size), "PNG"))
    exif = Image.Exif()
    exif[0x0112] = 6
    (folder / "deep/turned.jpg").write_bytes(to_bytes(draw_image(8, 40, 90), "JPEG", exif=exif))
    (folder / "deep/grey.png").write_bytes(to_bytes(draw_image(9, 50, 50).convert("L"), "PNG"))
    (folder / "deep/0.jpeg").write_bytes(to_bytes(draw_image(10, 300, 400), "JPEG"))
    return folder


@pytest.fixture
def predict(workspace: Path) -> Callable[..., Any]:
    def run(*arguments: object, model: str = "boxes") -> Any:
        words = ["predict", "-w", str(workspace), "--model", model, *map(str, arguments)]
        return CliRunner().invoke(app, words)

    return run


_load, _loaded = predict_command._load, dict[Path, Any]()


@pytest.fixture(autouse=True)
def _load_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads each model once for all tests of this file."""

    def load(model: Any) -> Any:
        return _loaded.get(model.folder) or _loaded.setdefault(model.folder, _load(model))

    monkeypatch.setattr(predict_command, "_load", load)


@functools.cache
def load_model(folder: Path) -> Any:
    import tensorflow as tf

    return tf.saved_model.load(str(folder))


def ask(workspace: Path, image: Path) -> tuple[np.ndarray, float]:
    """Returns what serving_default itself says."""
    import tensorflow as tf

    answer = load_model(workspace / "serving/boxes/1").signatures["serving_default"](
        image_bytes=tf.constant([image.read_bytes()])
    )
    mask = Image.open(io.BytesIO(answer["mask_png_bytes"].numpy()[0]))
    return np.asarray(mask), float(answer["mean_confidence"][0])


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_masks_are_those_of_serving_default_and_every_image_has_a_line(
    predict: Callable[..., Any], photos: Path, workspace: Path
) -> None:
    result = predict(photos, "--out", "out", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    PredictDocument.model_validate_json(result.stdout)
    lines = [json.loads(line) for line in Path("out/predictions.jsonl").read_text().splitlines()]
    assert lines == document["predictions"] and document["predicted"] == len(lines) == 6
    assert [Path(line["image"]).relative_to(photos).as_posix() for line in lines] == [
        "0.png", "1.png", "2.png", "deep/0.jpeg", "deep/grey.png", "deep/turned.jpg",
    ]  # fmt: skip
    seen: set[int] = set()
    for line in lines:
        PredictedImage.model_validate(line)
        expected, confidence = ask(workspace, Path(line["image"]))
        mask = read(Path(line["mask"]))
        # Sums of floats differ between batches, and so may pixels on the border between two classes.
        assert mask.shape == expected.shape and (mask == expected).mean() > 0.999
        assert (line["height_px"], line["width_px"]) == mask.shape
        assert line["mean_confidence"] == pytest.approx(confidence, abs=1e-4)
        for number, name in enumerate(NAMES):
            assert line["shares"][name] == pytest.approx((mask == number).mean(), abs=1e-6)
        seen |= set(np.unique(mask))
    assert len(seen) > 1, "a network of one answer would prove nothing"
    assert lines[-1]["height_px"] == 90, "turned as EXIF says"
    files = {path.relative_to("out").as_posix() for path in Path("out").rglob("*") if path.is_file()}
    assert files == {
        "0.png", "1.png", "2.png", "deep/0.png", "deep/grey.png", "deep/turned.png", "predictions.jsonl",
    }  # fmt: skip


def test_colours_and_overlays(predict: Callable[..., Any], photos: Path) -> None:
    turned = photos / "deep/turned.jpg"
    assert predict(photos / "1.png", turned, "--out", "ids").exit_code == 0
    assert predict(photos / "1.png", turned, "--out", "out", "--colours", "--overlay").exit_code == 0
    for name, upright in (("1", read(photos / "1.png")), ("turned", np.rot90(read(turned), -1))):
        ids, colours = read(Path(f"ids/{name}.png")), read(Path(f"out/{name}.png"))
        np.testing.assert_array_equal(colours, np.array(COLOURS, np.uint8)[ids])
        blended = (upright.astype(float) + colours) / 2
        np.testing.assert_allclose(read(Path(f"out/{name}.overlay.png")), blended, atol=2)


def test_bad_images_are_told_and_the_others_are_done(predict: Callable[..., Any], photos: Path) -> None:
    (photos / "0a-empty.png").write_bytes(b"")
    (photos / "1a-text.png").write_text("no image")
    whole = (photos / "deep/0.jpeg").read_bytes()
    (photos / "1b-cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "1c-huge.png").write_bytes(
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x80\x00\x00\x00\x80\x00\x08\x02\x00\x00\x00"
    )
    (photos / "2a.bmp.png").write_bytes(to_bytes(draw_image(1, 20, 20), "BMP"))
    result = predict(photos, "--out", "out", "--json")
    assert result.exit_code == 1, result.output
    document = json.loads(result.stdout)
    errors = {Path(one["image"]).name: one["error"] for one in document["predictions"] if one["error"]}
    assert (document["predicted"], document["failed"]) == (6, 5)
    assert "empty" in errors["0a-empty.png"] and "text" in errors["1a-text.png"]
    assert "truncated" in errors["1b-cut.jpg"] and "BMP" in errors["2a.bmp.png"]
    assert errors["1c-huge.png"].endswith("Restore or replace the file, or leave it out.")
    for name, error in errors.items():
        assert f"{photos / name}: {error}" in result.stderr
    assert not Path("out/1b-cut.png").exists() and Path("out/deep/turned.png").exists()


@pytest.mark.parametrize("tile", ["32", "auto", "off"])
def test_tiles_are_an_option(predict: Callable[..., Any], photos: Path, tile: str) -> None:
    assert predict(photos / "0.png", photos / "2.png", "--out", "out", "--tile", tile).exit_code == 0
    if tile == "32":
        assert predict(photos, "--out", "whole").exit_code == 0
        for name in ("0", "2"):
            assert (read(Path(f"out/{name}.png")) == read(Path(f"whole/{name}.png"))).mean() > 0.999
    line = json.loads(Path("out/predictions.jsonl").read_text().splitlines()[0])
    assert line["tile_px"] == (32 if tile == "32" else None)


def test_flips_scales_and_windows_are_options(
    predict: Callable[..., Any], photos: Path, workspace: Path
) -> None:
    import tensorflow as tf

    from trainer.average_variants import make_settings
    from trainer.inference_config import InferenceConfig

    asked = ("--flip", "--scales", "0.75,1", "--window", "32x48", "--json")
    result = predict(photos / "2.png", "--out", "out", *asked)
    assert result.exit_code == 0, result.output
    inference = InferenceConfig(
        flip_horizontal=True, scales=(0.75, 1.0), window_height_px=32, window_width_px=48
    )
    assert json.loads(result.stdout)["inference"] == inference.model_dump(mode="json")
    answer = load_model(workspace / "serving/boxes/1").signatures["serve_with_options"](
        image_bytes=tf.constant([(photos / "2.png").read_bytes()]), **make_settings(inference)._asdict()
    )
    expected = np.asarray(Image.open(io.BytesIO(answer["mask_png_bytes"].numpy()[0])))
    np.testing.assert_array_equal(read(Path("out/2.png")), expected)
    assert (ask(workspace, photos / "2.png")[0] != expected).mean() > 0.01
    assert json.loads((workspace / "serving/boxes/1/manifest.json").read_text())["inference"] == (
        InferenceConfig().model_dump(mode="json")
    )


def test_tiles_of_more_than_one_pass_are_refused_before_anything_is_written(
    predict: Callable[..., Any], photos: Path
) -> None:
    result = predict(photos, "--out", "out", "--tile", "32", "--flip")
    assert isinstance(result.exception, RefusedError) and not Path("out").exists()
    assert "--tile 32: does not go with horizontal flip. Leave it out" in str(result.exception)


def test_a_model_of_an_earlier_release_knows_no_flips(
    predict: Callable[..., Any], photos: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        predict_command._load(find_served(Workspace(workspace), "boxes")), "can_average", False
    )
    result = predict(photos / "1.png", "--out", "out", "--flip")
    assert isinstance(result.exception, RefusedError)
    assert "boxes/1: was exported by an earlier release and knows no flips" in str(result.exception)


def test_a_second_call_overwrites_only_when_told(predict: Callable[..., Any], photos: Path) -> None:
    assert predict(photos / "1.png", "--out", "out").exit_code == 0
    Path("out/1.png").write_bytes(b"mine")
    refused = predict(photos / "1.png", "--out", "out")
    assert isinstance(refused.exception, RefusedError) and "is there already" in str(refused.exception)
    assert Path("out/1.png").read_bytes() == b"mine"
    assert predict(photos / "1.png", "--out", "out", "--force").exit_code == 0
    assert read(Path("out/1.png")).shape == (37, 53)


def test_a_link_in_the_output_folder_leads_nowhere_else(predict: Callable[..., Any], photos: Path) -> None:
    Path("elsewhere").mkdir()
    Path("out").mkdir()
    Path("out/deep").symlink_to(Path("elsewhere").resolve())
    result = predict(photos, "--out", "out", "--json")
    assert result.exit_code == 1
    assert (json.loads(result.stdout)["predicted"], json.loads(result.stdout)["failed"]) == (3, 3)
    assert not list(Path("elsewhere").iterdir())


def test_an_interrupted_call_says_what_was_done(
    predict: Callable[..., Any], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = predict_images._finish

    def finish_or_stop(read: Any, *arguments: Any) -> Any:
        if read.planned.image.endswith("2.png"):
            raise KeyboardInterrupt
        return finish(read, *arguments)

    monkeypatch.setattr(predict_images, "_finish", finish_or_stop)
    result = predict(photos, "--out", "out")
    assert result.exit_code == 130
    assert "interrupted: 2 of 6 images were done" in result.stderr
    assert len(Path("out/predictions.jsonl").read_text().splitlines()) == 2


def test_batches_end_where_sizes_do_not_permit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict_images, "_BATCH_PIXELS", 100)
    reads = [predict_images._Read(None, b"", pixels, None, 0.0) for pixels in (40, 50, 30, 500, 10, 0, 20)]  # type: ignore[arg-type]
    batches = [[one.pixels for one in batch] for batch in predict_images._group(reads, 3)]
    assert batches == [[40, 50], [30], [500], [10, 0, 20]]


class TestFindServed:
    """Names, versions and paths."""

    @pytest.fixture
    def place(self, workspace: Path, tmp_path: Path) -> Workspace:
        """Versions 1 and 10 of boxes, and 1 of discs."""
        root = tmp_path / "workspace"
        for name, version in (("boxes", 1), ("boxes", 10), ("discs", 1)):
            folder = root / "serving" / name / str(version)
            shutil.copytree(workspace / "serving/boxes/1", folder)
            manifest = json.loads((folder / "manifest.json").read_text())
            (folder / "manifest.json").write_text(json.dumps(manifest | {"name": name, "version": version}))
        return Workspace(root)

    @pytest.mark.parametrize(
        ("text", "label"),
        [("boxes", "boxes/10"), ("discs", "discs/1"), ("boxes/1", "boxes/1"), ("10", "boxes/10")],
    )
    def test_names_and_versions(self, place: Workspace, text: str, label: str) -> None:
        assert find_served(place, text).label == label

    def test_paths(self, place: Workspace, tmp_path: Path) -> None:
        copied = shutil.copytree(place.serving("boxes") / "1", tmp_path / "copy")
        assert find_served(Workspace(tmp_path / "none"), str(copied)).label == "boxes/1"
        assert find_served(Workspace(tmp_path / "none"), str(place.serving("boxes"))).label == "boxes/10"

    def test_what_cannot_be_told_is_refused(self, place: Workspace, tmp_path: Path) -> None:
        for text, sentence in (
            ("1", "may be any of boxes/1, discs/1. Give NAME/VERSION"),
            ("boxes/2", "There are boxes/10, discs/1"),
            ("nothing", "was not pushed to"),
            (str(tmp_path), "there is no manifest.json in it"),
        ):
            with pytest.raises(RefusedError, match=f"(?s).*{sentence}"):
                find_served(place, text)
        with pytest.raises(RefusedError, match="Nothing was pushed there yet"):
            find_served(Workspace(tmp_path / "none"), "boxes")

    def test_a_version_that_is_not_as_it_was_pushed_is_refused(self, place: Workspace) -> None:
        folder = place.serving("discs") / "1"
        with (folder / "saved_model.pb").open("ab") as stream:
            stream.write(b"more")
        with pytest.raises(RefusedError, match=r"saved_model.pb: has changed since it was pushed"):
            find_served(place, "discs")
        (folder / "manifest.json").unlink()
        with pytest.raises(RefusedError, match=r"manifest.json: is missing"):
            find_served(place, "discs")


@pytest.mark.parametrize("tile", ["0", "-3", "big", "99999"])
def test_a_tile_that_is_none_is_refused(tile: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RefusedError, match=r"is no size of tiles\. Take auto, off"):
        predict_command.read_tile(tile)
    words = ["predict", "-m", "boxes", "a.png", "-o", "out", f"--tile={tile}"]
    assert run_app(lambda: app(words, standalone_mode=False)) == 2
    assert "is no size of tiles" in capsys.readouterr().err
