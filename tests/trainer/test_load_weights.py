"""First weights: what fits is taken over, what does not is named, and ImageNet's stand where they belong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from data.config import ClassConfig, DataConfig, TransformConfig
from data.errors import RefusedError
from data.read_transformed import DatasetStatistics
from trainer.build_model import build_model
from trainer.checkpoints import name_training
from trainer.export import export_model
from trainer.load_weights import fetch_imagenet, load_weights, read_imagenet
from trainer.model_config import ModelConfig
from trainer.read_weights import fingerprint_weights, read_weights

MEAN, STD = [100.0, 110.0, 120.0], [50.0, 60.0, 70.0]
CONFIG = ModelConfig(width=4, head="fcn16s")


def build(
    config: ModelConfig = CONFIG, classes: int = 5, seed: int = 0, mean: list[float] = MEAN
) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return build_model(config, classes, mean, STD)


def by_path(model: keras.Model) -> dict[str, np.ndarray]:
    return {weight.path: np.asarray(weight) for weight in model.weights}


def load(model: keras.Model, path: Path | str, config: ModelConfig = CONFIG) -> Any:
    return load_weights(model, config.model_copy(update={"weights": str(path)}))


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    model = build(seed=7)
    rng = np.random.default_rng(7)
    for layer in model.layers:
        if layer.name != "normalize":
            layer.set_weights([rng.uniform(0.5, 1, weight.shape) for weight in layer.get_weights()])
    return model


@pytest.fixture(scope="module")
def weight_file(trained: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "net.weights.h5"
    trained.save_weights(path)
    return path


def test_random_weights_are_left_alone() -> None:
    assert load_weights(build(), CONFIG) is None


def test_a_weight_file_of_the_same_network_is_taken_whole(trained: keras.Model, weight_file: Path) -> None:
    model = build(mean=[1.0, 2.0, 3.0])
    first = load(model, weight_file)
    assert first.fresh == () and first.taken == len(trained.weights) - 2
    expected = by_path(trained)
    assert all(np.array_equal(value, expected[path]) for path, value in by_path(model).items())
    # The normalisation that they were trained with came along.
    np.testing.assert_allclose(np.asarray(model.get_layer("normalize").offset), [-2, -110 / 60, -120 / 70])


def test_other_classes_stay_fresh_and_are_named(
    trained: keras.Model, weight_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = build(classes=6)
    before, expected = by_path(model), by_path(trained)
    with caplog.at_level("INFO"):
        first = load(model, weight_file)
    fresh = {
        *("score_stride32/kernel", "score_stride32/bias", "score_stride16/kernel", "score_stride16/bias"),
        *("upsample_to_stride16/kernel", "upsample_to_image/kernel"),
    }
    assert set(first.fresh) == fresh
    assert f"{first.taken} weights come from {weight_file}, 6 are fresh." in caplog.text
    assert "Fresh: score_stride16/bias" in caplog.text
    for path, value in by_path(model).items():
        np.testing.assert_array_equal(value, (before if path in fresh else expected)[path])


@pytest.mark.slow
def test_another_head_takes_the_encoder(trained: keras.Model, weight_file: Path) -> None:
    config = ModelConfig(width=4, head="unet")
    model = build(config)
    first = load(model, weight_file, config)
    kernel = "stride32_block_2_conv/kernel"
    np.testing.assert_array_equal(by_path(model)[kernel], by_path(trained)[kernel])
    assert first.taken == 13 + 13 * 4 and all(
        path.startswith(("decode", "upsample", "score")) for path in first.fresh
    )


def test_nothing_that_fits_is_refused(weight_file: Path) -> None:
    config = ModelConfig(width=6)
    with pytest.raises(RefusedError, match=r"none of its \d+ weights fits small_fcn8s .*weights: none"):
        load(build(config, classes=3), weight_file, config)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: folder / "absent.weights.h5", "is not there"),
        (lambda folder: folder / "absent", "there is no such folder"),
        (lambda folder: folder, "holds no variables/"),
    ],
)
def test_what_is_no_weights_is_refused(make: Callable[[Path], Path], says: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=f"trainer.model.weights: is .*{says}.*weights: none"):
        read_weights(str(make(tmp_path)))


def test_damaged_and_deceitful_files_are_refused(tmp_path: Path, weight_file: Path) -> None:
    damaged = tmp_path / "damaged.weights.h5"
    damaged.write_bytes(weight_file.read_bytes()[:100])
    with pytest.raises(RefusedError, match="cannot be read"):
        read_weights(str(damaged))
    deceitful = tmp_path / "deceitful.weights.h5"
    with h5py.File(deceitful, "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group.attrs["name"] = "stem_conv"
        group["0"] = h5py.ExternalLink(str(weight_file), "layers/conv2d/vars/0")
    with pytest.raises(RefusedError, match="0 is no array of its own"):
        read_weights(str(deceitful))


def test_the_format_of_keras_2_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"stem_conv", b"relu"]
        file.create_group("relu").attrs["weight_names"] = []
        group = file.create_group("stem_conv")
        group.attrs["weight_names"] = [b"stem_conv/kernel:0"]
        group["stem_conv/kernel:0"] = np.full((3, 3, 3, 2), 0.25, np.float32)
    model = build()
    assert load(model, path).taken == 1
    assert (by_path(model)["stem_conv/kernel"] == 0.25).all()


@pytest.mark.slow
def test_a_pushed_version_is_taken_over_for_other_classes(trained: keras.Model, tmp_path: Path) -> None:
    folder = tmp_path / "boxes" / "3"
    classes = tuple(ClassConfig(id=i, name=str(i)) for i in range(5))
    statistics = DatasetStatistics(np.array(MEAN), np.array(STD), np.ones(5), np.ones(5), 1)
    size = TransformConfig(height_px=32, width_px=32)
    export_model(trained, CONFIG, DataConfig(root="unused", classes=classes), size, statistics, str(folder))
    model = build(classes=4)
    first = load(model, folder)
    assert len(first.fresh) == 6
    kernel = "stride32_block_2_conv/kernel"
    np.testing.assert_array_equal(by_path(model)[kernel], by_path(trained)[kernel])
    assert load(build(), folder).fresh == ()
    with pytest.raises(RefusedError, match="holds no variables/"):
        read_weights(str(folder.parent))
    # Only the weights count, not the graph around them.
    before = fingerprint_weights(str(folder))
    (folder / "saved_model.pb").write_bytes(b"")
    assert fingerprint_weights(str(folder)) == before


def test_an_export_without_names_is_refused(tmp_path: Path) -> None:
    module = tf.Module()
    module.weights = [tf.Variable([1.0])]
    tf.saved_model.save(module, str(tmp_path / "1"))
    with pytest.raises(RefusedError, match="an earlier release wrote it, without the names"):
        read_weights(str(tmp_path / "1"))


def test_checkpoints_are_named_after_the_weights_content(tmp_path: Path) -> None:
    path = tmp_path / "net.weights.h5"
    path.write_bytes(b"first")
    sections = {"trainer": {"model": {"weights": str(path)}}}
    name = name_training(sections, "code", [])
    assert name == name_training(sections, "code", [])
    path.write_bytes(b"other")
    assert name_training(sections, "code", []) != name
    plain = {"trainer": {"model": {"weights": "none"}}}
    assert name_training(plain, "code", []) == name_training(plain, "code", [])


def pretend_download(monkeypatch: pytest.MonkeyPatch, source: keras.Model, folder: Path) -> list[str]:
    """Lets Keras find weights without a network; returns the names that it asks for."""
    asked: list[str] = []
    path = folder / "downloaded.weights.h5"
    source.save_weights(path)

    def get_file(name: str, *_: object, **__: object) -> str:
        asked.append(name)
        return str(path)

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    return asked


def randomize(model: keras.Model) -> None:
    rng = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.8, 1.2, weight.shape) for weight in layer.get_weights()])


LONG = pytest.mark.skipif(not os.environ.get("DECONVFLOW_LONG_TESTS"), reason="set DECONVFLOW_LONG_TESTS=1")
APPLICATIONS = keras.applications


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "make", "preprocess", "deepest"),
    [
        pytest.param(
            "mobilenet_v3_small",
            lambda: APPLICATIONS.MobileNetV3Small(include_top=False, weights=None),
            lambda image: image,
            "stride32_dropout",
        ),
        pytest.param(
            "resnet50",
            lambda: APPLICATIONS.ResNet50(include_top=False, weights=None),
            APPLICATIONS.resnet50.preprocess_input,
            "stride32_dropout",
            marks=LONG,
        ),
        pytest.param(
            "mobilenet_v3_large",
            lambda: APPLICATIONS.MobileNetV3Large(include_top=False, weights=None),
            lambda image: image,
            "stride32_dropout",
            marks=LONG,
        ),
        pytest.param(
            "efficientnet_v2_b0",
            lambda: APPLICATIONS.EfficientNetV2B0(include_top=False, weights=None),
            lambda image: image,
            "stride32_dropout",
            marks=LONG,
        ),
    ],
)
def test_imagenet_features_are_those_of_keras_on_its_own_preprocessing(
    backbone: str,
    make: Callable[[], keras.Model],
    preprocess: Callable[[Any], Any],
    deepest: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The original, which preprocesses inside where Keras does, against our clone with its weights."""
    original = make()
    randomize(original)
    config = ModelConfig(backbone=backbone, head="fcn32s", weights="imagenet")
    model = build(config)
    asked = pretend_download(monkeypatch, original, tmp_path)
    first = load_weights(model, config)
    assert len(asked) == 1 and asked[0].endswith(".h5")
    assert set(first.fresh) == {"score_stride32/kernel", "score_stride32/bias", "upsample_to_image/kernel"}
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    ours = keras.Model(model.input, model.get_layer(deepest).output)(image, training=False)
    theirs = original(preprocess(image.copy()), training=False)
    assert np.abs(theirs).max() > 1e-3
    np.testing.assert_allclose(
        np.asarray(ours), np.asarray(theirs), rtol=1e-3, atol=1e-4 * np.abs(theirs).max()
    )


@pytest.mark.slow
def test_vgg16_of_imagenet_is_turned_to_rgb_and_its_dense_layers_to_convolutions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kernel = np.random.default_rng(0).normal(size=(7 * 7 * 2, 4)).astype(np.float32)
    inputs = keras.Input((7, 7, 3))
    x = keras.layers.Conv2D(2, 3, padding="same", name="block1_conv1")(inputs)
    x = keras.layers.Dense(4, name="fc1")(keras.layers.Flatten()(x))
    source = keras.Model(inputs, keras.layers.Dense(3, name="fc2")(x))
    source.get_layer("fc1").set_weights([kernel, np.arange(4)])
    monkeypatch.setattr(keras.applications, "VGG16", lambda **options: source)
    weights = read_imagenet(ModelConfig(backbone="vgg16", weights="imagenet"))
    assert weights["fc6/kernel"].shape == (7, 7, 2, 4) and weights["fc7/kernel"].shape == (1, 1, 4, 3)
    image = np.random.default_rng(1).normal(size=(1, 7, 7, 3)).astype(np.float32)
    # The dense layer on BGR, and the convolutions on RGB, where they cover the whole image.
    dense = np.asarray(keras.Model(inputs, source.get_layer("fc1").output)(image[..., ::-1]))
    features = tf.nn.conv2d(image, weights["block1_conv1/kernel"], 1, "SAME") + weights["block1_conv1/bias"]
    convolved = tf.nn.conv2d(features, weights["fc6/kernel"], 1, "VALID") + weights["fc6/bias"]
    np.testing.assert_allclose(np.asarray(convolved)[0, 0], dense, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "file"),
    [
        ({"backbone": "vgg16", "head": "fcn8s"}, "vgg16_weights_tf_dim_ordering_tf_kernels.h5"),
        ({"backbone": "vgg16", "head": "unet"}, "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ({"backbone": "resnet50"}, "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ],
)
def test_a_download_that_fails_says_which_file_and_where_it_goes(
    settings: dict[str, Any], file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(_: object) -> None:
        raise Exception("URL fetch failure")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("trainer.load_weights._build_original", fail)
    config = ModelConfig(weights="imagenet", **settings)
    with pytest.raises(RefusedError):
        read_imagenet(config)
    with pytest.raises(RefusedError) as caught:
        fetch_imagenet(config)
    sentence = caught.value.problems[0].sentence()
    assert (
        f"trainer.model.weights: is imagenet, and keras.applications cannot get {file} (URL fetch" in sentence
    )
    assert f"by hand, as {tmp_path / 'models' / file}, or set weights: none." in sentence
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / file).touch()
    fetch_imagenet(config)
    fetch_imagenet(ModelConfig())
