"""Models pushed as TensorFlow Lite and ONNX: what the files say, against the Keras model; and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components import check_formats
from components.check_formats import find_missing_packages, find_unfit_formats
from components.make_formats import FormatMaker
from components.manifest import list_versions, read_manifest, verify_files
from components.push_version import ModelFacts, push_version
from data.classes import ClassTable, SegmentationClass
from data.errors import RefusedError

HEIGHT, WIDTH, CLASSES = 48, 64, 4
MEAN, STD = [100.0, 90.0, 80.0], [60.0] * 3
TABLE = ClassTable(tuple(SegmentationClass(i, str(i), (i, i, i)) for i in range(CLASSES)), 255)
FACTS = ModelFacts("scenes", "run-1", TABLE, "code-1", {"metrics": {}})


def export(folder: Path, head: str, backbone: str = "small", upsampling: str = "deconvolution") -> Any:
    """Exports a network whose answers differ from place to place; returns the Keras model."""
    import keras

    from data.config import ClassConfig, DataConfig, TransformConfig
    from data.read_transformed import DatasetStatistics
    from trainer.batch_normalization import SynchronizedBatchNormalization
    from trainer.build_model import build_model
    from trainer.export import export_model
    from trainer.model_config import ModelConfig

    keras.utils.set_random_seed(6)
    config = ModelConfig(head=head, backbone=backbone, width=4, upsampling=upsampling)
    model = build_model(config, CLASSES, MEAN, STD)
    rng = np.random.default_rng(6)
    scores = [layer for layer in model.layers if layer.name.startswith("score")]
    for layer in model.layers:
        if layer in scores:
            layer.set_weights([rng.normal(0, 0.5, weight.shape) for weight in layer.get_weights()])
        if isinstance(layer, SynchronizedBatchNormalization):
            layer.momentum = 0.0
    model(random_frames(4), training=True)
    # No class is ahead of the others everywhere.
    (bias,) = (weight for weight in scores[0].weights if weight.name == "bias")
    bias.assign_sub(np.asarray(model(random_frames(1), training=False)).mean(axis=(0, 1, 2)))
    classes = tuple(ClassConfig(id=i, name=str(i)) for i in range(CLASSES))
    statistics = DatasetStatistics(np.array(MEAN), np.array(STD), np.ones(CLASSES), np.ones(CLASSES), 1)
    size = TransformConfig(height_px=HEIGHT, width_px=WIDTH)
    export_model(model, config, DataConfig(root="unused", classes=classes), size, statistics, str(folder))
    return model


def random_frames(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, HEIGHT, WIDTH, 3)).astype(np.float32)


def make_examples(count: int) -> list[bytes]:
    import tensorflow as tf

    from data.features import IMAGE_ENCODED

    images = [tf.io.encode_png(frame.astype(np.uint8)).numpy() for frame in random_frames(count)]
    lists = [tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])) for image in images]
    examples = [tf.train.Example(features=tf.train.Features(feature={IMAGE_ENCODED: one})) for one in lists]
    return [example.SerializeToString() for example in examples]


def run_tflite(file: Path, frame: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    runner = tf.lite.Interpreter(model_path=str(file)).get_signature_runner()
    return runner(image=frame)["logits"]


def run_onnx(file: Path, frame: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"image": frame})[0]


RUN: dict[str, Callable[[Path, np.ndarray], np.ndarray]] = {"tflite": run_tflite, "onnx": run_onnx}


@pytest.mark.slow
@pytest.mark.long("converts a network: half a minute")
def test_a_version_holds_the_formats_and_what_they_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    model, root = export(tmp_path / "model", "fcn8s"), tmp_path / "serving"
    maker = FormatMaker({"tflite": "float32", "onnx": "float32"}, make_examples(2))
    push_version(str(root), str(tmp_path / "model"), FACTS)
    # Another trainer's network, or a converter's mistake.
    monkeypatch.setattr("trainer.convert_onnx.convert_to_onnx", lambda *_: None)
    monkeypatch.setattr("trainer.convert_onnx.open_onnx", lambda _: lambda frame: frame[..., :1] * np.ones(4))
    with pytest.raises(RefusedError, match=r"push\.extra_formats: model\.onnx gives only .* Take onnx out"):
        only_onnx = FormatMaker({"onnx": "float32"}, maker.examples)
        push_version(str(root), str(tmp_path / "model"), FACTS, formats=only_onnx)
    assert list_versions(str(root)) == (1,) and not list(root.glob(".*.tmp"))
    monkeypatch.undo()

    pushed = push_version(str(root), str(tmp_path / "model"), FACTS, formats=maker)

    assert pushed.version == 2 and verify_files(pushed.path) == []
    manifest = json.loads((root / "2/manifest.json").read_text())
    assert {"model.tflite", "model.onnx"} <= set(manifest["files"])
    frame = random_frames(1)
    expected = np.asarray(model(frame, training=False))
    for name, run in RUN.items():
        entry = manifest["formats"][name]
        assert entry["input"]["name"] == "image" and entry["input"]["shape"] == [1, HEIGHT, WIDTH, 3]
        assert entry["output"]["name"] == "logits" and entry["output"]["shape"] == [1, HEIGHT, WIDTH, CLASSES]
        assert entry["padding"] == MEAN and entry["weights"] == "float32"
        assert entry["agreement"]["images"] == 2 and entry["agreement"]["pixels"] == 2 * HEIGHT * WIDTH
        assert entry["agreement"]["class_agreement"] >= 0.999
        np.testing.assert_allclose(run(root / "2" / entry["file"], frame), expected, atol=1e-3)
    # Servers load the folder as before.
    signature = tf.saved_model.load(pushed.path).signatures["predict_tiles"]
    np.testing.assert_allclose(signature(tiles=tf.constant(frame))["logits"], expected, atol=1e-5)
    assert push_version(str(root), str(tmp_path / "model"), FACTS, formats=maker).version == 2


@pytest.mark.slow
@pytest.mark.long("converts a network of each head: minutes")
@pytest.mark.parametrize(
    ("head", "backbone", "upsampling", "formats"),
    [
        ("fcn32s", "small", "deconvolution", ("tflite", "onnx")),
        ("fcn4s", "small", "sub_pixel", ("tflite", "onnx")),
        ("fcn8s", "mobilenet_v3_small", "resize_convolution", ("tflite", "onnx")),
        ("unet", "small", "deconvolution", ("tflite", "onnx")),
        ("segnet", "small_pooled", "deconvolution", ("onnx",)),
        ("deconvnet", "small_pooled", "deconvolution", ("onnx",)),
    ],
)
def test_each_head_says_in_each_format_what_keras_says(
    tmp_path: Path, head: str, backbone: str, upsampling: str, formats: tuple[Any, ...]
) -> None:
    import tensorflow as tf

    model = export(tmp_path / "model", head, backbone, upsampling)
    frame = random_frames(1)
    expected = np.asarray(model(frame, training=False))
    assert len(np.unique(expected.argmax(axis=-1))) > 1, "one answer would prove nothing"
    served = tf.saved_model.load(str(tmp_path / "model")).signatures["predict_tiles"]
    np.testing.assert_allclose(served(tiles=tf.constant(frame))["logits"], expected, atol=1e-4)
    made = FormatMaker(dict.fromkeys(formats, "float32"), make_examples(2)).make(
        str(tmp_path / "model"), tmp_path
    )
    for name in formats:
        np.testing.assert_allclose(RUN[name](tmp_path / made[name].file, frame), expected, atol=1e-3)


@pytest.mark.slow
@pytest.mark.long("converts two networks: a minute")
def test_half_the_weights_and_what_tflite_cannot_hold(tmp_path: Path) -> None:
    export(tmp_path / "fcn", "fcn8s")
    examples, sizes = make_examples(2), []
    for weights in ("float32", "float16"):
        made = FormatMaker({"tflite": weights}, examples).make(str(tmp_path / "fcn"), tmp_path)["tflite"]
        assert made.weights == weights
        sizes.append((tmp_path / made.file).stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]
    export(tmp_path / "segnet", "segnet", "small_pooled")
    with pytest.raises(RefusedError, match="cannot be pushed as tflite: ") as refused:
        FormatMaker({"tflite": "float32"}, examples).make(str(tmp_path / "segnet"), tmp_path)
    assert len(str(refused.value)) < 600


def test_heads_that_tflite_cannot_hold_are_known_before_a_training() -> None:
    assert find_unfit_formats(("tflite", "onnx"), "unet") == []
    assert find_unfit_formats(("onnx",), "segnet") == []
    (problem,) = find_unfit_formats(("tflite", "onnx"), "segnet")
    assert problem.where == "push.extra_formats" and "fcn8s" in problem.remedy


def test_missing_packages_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_missing_packages(("tflite",)) == []
    monkeypatch.setattr(check_formats, "find_spec", lambda name: None if name == "tf2onnx" else object())
    (problem,) = find_missing_packages(("tflite", "onnx"))
    assert "lacks tf2onnx" in problem.what and "make setup" in problem.remedy


def test_manifests_of_earlier_releases_have_no_formats(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/saved_model.pb").write_bytes(b"graph")
    pushed = push_version(str(tmp_path / "serving"), str(tmp_path / "model"), FACTS)
    file = Path(pushed.path, "manifest.json")
    content = json.loads(file.read_text())
    assert content.pop("formats") == {}
    file.write_text(json.dumps(content))
    assert read_manifest(pushed.path).formats == {}
