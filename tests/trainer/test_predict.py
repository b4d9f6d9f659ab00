"""Tiles against one pass, on networks with random weights whose answers differ from place to place."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data.config import ClassConfig, DataConfig, TransformConfig
from data.read_transformed import DatasetStatistics
from trainer import finish_logits, predict
from trainer.backbones import build_vgg16_encoder
from trainer.batch_normalization import SynchronizedBatchNormalization
from trainer.build_model import build_model
from trainer.export import export_model
from trainer.model_config import ModelConfig
from trainer.predict import PredictionError, Predictor, Span, cut_side
from trainer.prepare_images import Normalization, prepare_images
from trainer.receptive_field import measure_reach_px

# Networks are traced.
pytestmark = pytest.mark.slow

CLASSES = 5
MEAN, STD = [110.0, 120.0, 100.0], [60.0] * 3
MakeNetwork = Callable[[ModelConfig], keras.Model]
MakePredictor = Callable[[int, int], Predictor]


def draw_image(seed: int, height: int, width: int) -> np.ndarray:
    """Blobs of all sizes from a dozen pixels on."""
    rng = np.random.default_rng(seed)
    layers = []
    for size in (12, 40, 130):
        coarse = rng.integers(0, 256, (height // size + 2, width // size + 2, 3), np.uint8)
        layers.append(np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)))
    return np.clip(np.mean(layers, axis=0) * 2 - 128, 0, 255).astype(np.uint8)


def to_png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def read_mask(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.fixture(scope="module")
def make_network() -> MakeNetwork:
    def make(config: ModelConfig) -> keras.Model:
        keras.utils.set_random_seed(3)
        model = build_model(config, CLASSES, MEAN, STD)
        rng = np.random.default_rng(3)
        for layer in model.layers:
            if layer.name.startswith("score_"):
                layer.set_weights([rng.normal(0, 0.4, w.shape) for w in layer.get_weights()])
            if isinstance(layer, SynchronizedBatchNormalization):
                layer.momentum = 0.0
        model(np.stack([draw_image(seed, 64, 96) for seed in range(4)]).astype(np.float32), training=True)
        return model

    return make


@pytest.fixture(scope="module")
def make_predictor(make_network: MakeNetwork, tmp_path_factory: pytest.TempPathFactory) -> MakePredictor:
    made: dict[tuple[int, int], Predictor] = {}

    def make(height: int, width: int) -> Predictor:
        if (height, width) not in made:
            config = ModelConfig(width=8, head="fcn4s")
            folder = str(tmp_path_factory.mktemp("model") / "exported")
            statistics = DatasetStatistics(
                np.array(MEAN), np.array(STD), np.ones(CLASSES), np.ones(CLASSES), 1
            )
            classes = tuple(ClassConfig(id=i, name=str(i)) for i in range(CLASSES))
            data = DataConfig(root="unused", classes=classes)
            transform = TransformConfig(height_px=height, width_px=width)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(finish_logits, "BAND_SCORES", 20_000)
                export_model(make_network(config), config, data, transform, statistics, folder)
            made[height, width] = Predictor(folder)
        return made[height, width]

    return make


@pytest.mark.parametrize(
    ("working", "native", "tile_px"),
    [
        ((400, 560), (400, 560), 32),  # as it is
        ((400, 560), (730, 1019), 100),  # enlarged
        ((400, 560), (151, 333), 256),  # shrunk; fills a part of the frame
        ((333, 701), (500, 300), 100),  # sides that the network pads; a column of the frame
        ((333, 701), (171, 230), 1000),  # one tile: bands against the whole
    ],
)
def test_tiles_give_what_one_pass_gives(
    make_predictor: MakePredictor, working: tuple[int, int], native: tuple[int, int], tile_px: int
) -> None:
    predictor = make_predictor(*working)
    image = to_png(draw_image(1, *native))
    whole, tiled = predictor.predict([image])[0], predictor.predict_by_tiles(image, tile_px)
    expected, found = read_mask(whole.mask_png), read_mask(tiled.mask_png)
    assert found.shape == native
    assert (found == expected).mean() > 0.999
    assert tiled.mean_confidence == pytest.approx(whole.mean_confidence, abs=1e-4)
    assert np.bincount(expected.ravel(), minlength=CLASSES).max() < 0.9 * expected.size, "proves nothing"


def test_without_their_surroundings_tiles_would_differ(
    make_predictor: MakePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = make_predictor(400, 560)
    image = to_png(draw_image(1, 400, 560))
    expected = read_mask(predictor.predict([image])[0].mask_png)
    cut = predict.cut_side
    monkeypatch.setattr(predict, "cut_side", lambda *sides: cut(*sides[:-1], 0))
    found = read_mask(predictor.predict_by_tiles(image, 64).mask_png)
    assert (found == expected).mean() < 0.995


@pytest.mark.parametrize(
    ("content", "native", "frame", "tile_px"),
    [(400, 400, 400, 64), (133, 1000, 150, 32), (400, 37, 400, 100), (1, 1, 64, 32), (401, 999, 401, 1)],
)
def test_tiles_decide_each_pixel_once(content: int, native: int, frame: int, tile_px: int) -> None:
    spans = cut_side(content, native, frame, tile_px, 32, 50)
    assert [pixel for span in spans for pixel in range(span.first, span.end)] == list(range(native))
    for span in spans:
        assert span.start % 32 == 0 and (span.stop % 32 == 0 or span.stop == frame)
        # Where the outermost of its pixels lie in the frame, with the 50 pixels that the network sees.
        nearest = (span.first + 0.5) * content / native - 0.5
        farthest = (span.end - 0.5) * content / native - 0.5
        assert span.start <= max(0, nearest - 50) and min(frame, farthest + 50) <= span.stop


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(width=4, head="fcn32s"),
        ModelConfig(width=4, head="fcn8s"),
        ModelConfig(width=4, head="fcn4s"),
    ],
)
def test_nothing_beyond_the_reach_changes_a_pixel(make_network: MakeNetwork, config: ModelConfig) -> None:
    network = make_network(config)
    reach = measure_reach_px(network)
    # Row 480 + d of the image changes: nothing before 480 - reach may change, and something near it must.
    image = np.zeros((1, 960, 32, 3), np.float32) + 128
    other = image.copy()
    other[:, 480:] = 255 * np.random.default_rng(0).random((480, 32, 3))
    change = np.abs(np.asarray(network(image)) - np.asarray(network(other))).max(axis=(0, 2, 3))
    touched = np.flatnonzero(change > 0)
    assert 480 - reach <= touched.min() <= 480 - reach / 4
    image, other = image[:, ::-1], other[:, ::-1]
    change = np.abs(np.asarray(network(image)) - np.asarray(network(other))).max(axis=(0, 2, 3))
    assert 480 + reach / 4 <= np.flatnonzero(change > 0).max() < 480 + reach


def test_vgg_reach_is_what_its_kernels_add_up_to() -> None:
    prepared = prepare_images(Normalization(MEAN, STD))
    encoded = build_vgg16_encoder(prepared, 0.0, "float32", width=2, dense_width=2)
    # 3x3 convolutions at strides 1, 2, 4, 8, 16 (2, 2, 3, 3, 3 of them), then fc6's 7x7 at stride 32.
    deepest = keras.Model(encoded.images, encoded.features[32])
    assert measure_reach_px(deepest) == 2 + 4 + 12 + 24 + 48 + 3 * 32


def test_tiles_that_would_all_need_the_whole_frame_are_one() -> None:
    whole = Span(0, 300, 0, 700)
    assert cut_side(300, 700, 300, 64, 32, 300) == [whole]
    assert len(cut_side(300, 700, 300, 64, 32, 100)) == 5


def test_small_frames_need_no_tiles_and_large_ones_do(
    make_predictor: MakePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = make_predictor(400, 560)
    assert predictor.choose_tile_px() is None and predictor.batch_limit() == 8
    monkeypatch.setattr(Predictor, "_frame_shape", lambda _: (3000, 4000, 11))
    monkeypatch.setattr(Predictor, "_pixel_bytes", lambda _: 800)
    assert predictor.batch_limit() == 1
    tile = predictor.choose_tile_px()
    assert tile is not None and 256 <= tile <= 1500


def test_what_is_no_image_is_refused(make_predictor: MakePredictor) -> None:
    predictor = make_predictor(400, 560)
    with pytest.raises(PredictionError):
        predictor.predict([to_png(draw_image(1, 30, 40)), b"no image"])
    with pytest.raises(PredictionError):
        predictor.predict_by_tiles(b"no image", 64)
    assert [len(predictor.predict([])), predictor.can_tile] == [0, True]


def test_a_model_of_an_earlier_release_predicts_without_tiles(
    make_predictor: MakePredictor, tmp_path: Path
) -> None:
    loaded = make_predictor(400, 560)._model
    tf.saved_model.save(
        loaded, str(tmp_path / "old"), signatures={"serving_default": loaded.signatures["serving_default"]}
    )
    old = Predictor(str(tmp_path / "old"))
    assert not old.can_tile and old.choose_tile_px() is None
    assert read_mask(old.predict([to_png(draw_image(1, 30, 40))])[0].mask_png).shape == (30, 40)
