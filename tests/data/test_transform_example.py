from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data import features
from data.config import ClassConfig, DataConfig, TransformConfig

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 24, 32
TRANSFORM = TransformConfig(height_px=HEIGHT, width_px=WIDTH)
CLASSES = ("sky", "road", "car")
SIZES = [(40, 50), (24, 32), (31, 17), (9, 12), (64, 20), (50, 50)]


def encode(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def make_rows(bit_depth: int) -> list[dict[str, Any]]:
    """Returns raw examples of several sizes and formats, some without the last class."""
    rng = np.random.default_rng(0)
    rows = []
    for number, (height, width) in enumerate(SIZES):
        image = np.clip(rng.normal((60, 120, 200), 25, size=(height, width, 3)), 0, 255)
        mask = rng.choice([0, 1, 2 if number % 2 else 0, 255], size=(height, width)).astype(np.uint8)
        if number == 1:
            exif = Image.Exif()
            exif[0x0112] = 6
            encoded = encode(image.astype(np.uint8), "JPEG", quality=95, exif=exif)
            mask = np.rot90(mask, -1)
        elif bit_depth == 16:
            import tensorflow as tf

            encoded = tf.io.encode_png((image * 257).astype(np.uint16)).numpy()
        else:
            encoded = encode(image.astype(np.uint8), "PNG")
        counts = {
            features.class_pixels_key(name): int((mask == index).sum()) for index, name in enumerate(CLASSES)
        }
        rows.append(
            {
                features.IMAGE_ENCODED: encoded,
                features.IMAGE_ID: f"scene/{number}".encode(),
                features.MASK_ENCODED: encode(np.ascontiguousarray(mask), "PNG"),
                **counts,
            }
        )
    return rows


def run_transform(rows: list[dict[str, Any]], folder: Path, bit_depth: int, shape: list[int]) -> str:
    """Runs preprocessing_fn in Beam as TFX Transform does; returns the name of a TFRecord file."""
    import apache_beam as beam
    import tensorflow as tf
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

    from data.transform_example import preprocessing_fn

    data = DataConfig(
        root="unused",
        classes=tuple(ClassConfig(id=index, name=name) for index, name in enumerate(CLASSES)),
        bit_depth=bit_depth,
    )
    config = {"data": data.model_dump(mode="json"), "transform": TRANSFORM.model_dump(mode="json")}
    custom_config = {"config": json.dumps(config)}
    spec = {
        key: tf.io.FixedLenFeature(shape, tf.string if isinstance(value, bytes) else tf.int64)
        for key, value in rows[0].items()
    }
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    runner = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
    with (
        beam.Pipeline(runner=runner) as pipeline,
        tft_beam.Context(temp_dir=str(folder / "temp"), desired_batch_size=4),
    ):
        values = [{key: value if shape == [] else [value] for key, value in row.items()} for row in rows]
        raw = pipeline | beam.Create(values, reshuffle=False)
        (transformed, transformed_metadata), _ = (
            raw,
            metadata,
        ) | tft_beam.AnalyzeAndTransformDataset(lambda inputs: preprocessing_fn(inputs, custom_config))
        coder = tft.coders.ExampleProtoCoder(transformed_metadata.schema)
        _ = (
            transformed
            | beam.Map(coder.encode)
            | beam.io.WriteToTFRecord(str(folder / "transformed"), file_name_suffix=".gz", num_shards=1)
        )
    (path,) = folder.glob("transformed*.gz")
    return str(path)


def read_examples(path: str) -> dict[str, dict[str, Any]]:
    """Returns the transformed examples by image id, with features as bytes or arrays."""
    import tensorflow as tf

    examples = {}
    for record in tf.data.TFRecordDataset(path, "GZIP"):
        feature = tf.train.Example.FromString(record.numpy()).features.feature
        values = {
            key: value.bytes_list.value[0] if value.bytes_list.value else np.array(value.float_list.value)
            for key, value in feature.items()
        }
        examples[values[features.IMAGE_ID].decode()] = values
    return examples


def letterboxed(row: dict[str, Any], bit_depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns content, float64 [rows, columns, 3], and mask, uint8, by functions tested on their own."""
    import tensorflow as tf

    from data.decode_image import decode_image, decode_mask_png
    from data.resize_example import letterbox_mask, resize_content

    image = decode_image(tf.constant(row[features.IMAGE_ENCODED]), bit_depth)
    mask = decode_mask_png(tf.constant(row[features.MASK_ENCODED]))
    assert image.shape[:2] == mask.shape
    content = resize_content(image, HEIGHT, WIDTH, bit_depth).numpy().astype(np.float64)
    return content, letterbox_mask(mask, HEIGHT, WIDTH, 255).numpy()


@pytest.mark.parametrize(("bit_depth", "shape"), [(8, []), (16, [1])])
def test_records_and_statistics_are_what_numpy_says(tmp_path: Path, bit_depth: int, shape: list[int]) -> None:
    import tensorflow as tf

    from data.batch_examples import make_dataset
    from data.read_transformed import read_statistics
    from data.resize_example import letterbox_image

    rows = make_rows(bit_depth)
    path = run_transform(rows, tmp_path, bit_depth, shape)
    prepared = [letterboxed(row, bit_depth) for row in rows]

    statistics = read_statistics([path])
    pixels = np.concatenate([content.reshape(-1, 3) for content, _ in prepared])
    np.testing.assert_allclose(statistics.channel_mean, pixels.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(statistics.channel_std, pixels.std(axis=0), rtol=1e-5)
    counts = np.array([[row[features.class_pixels_key(name)] for name in CLASSES] for row in rows])
    np.testing.assert_array_equal(statistics.class_pixels, counts.sum(axis=0))
    labelled = counts.sum(axis=1, keepdims=True) * (counts > 0)
    np.testing.assert_array_equal(statistics.class_image_pixels, labelled.sum(axis=0))
    assert labelled.sum(axis=0)[2] < labelled.sum(axis=0)[0]
    assert statistics.example_count == len(rows)

    examples = read_examples(path)
    assert set(examples) == {f"scene/{number}" for number in range(len(rows))}
    keys = {features.IMAGE_ID, features.IMAGE_PNG, features.MASK_PNG}
    constants = {
        features.CHANNEL_MEAN,
        features.CHANNEL_STD,
        features.CLASS_PIXELS,
        features.CLASS_IMAGE_PIXELS,
    }
    (batch,) = make_dataset(
        [path],
        TRANSFORM,
        batch_size=len(rows),
        ignore_id=255,
        bit_depth=bit_depth,  # type: ignore[arg-type]
    ).as_numpy_iterator()
    ids = list(examples)
    for number, row in enumerate(rows):
        example = examples[f"scene/{number}"]
        assert set(example) == keys | constants
        for key in constants:
            np.testing.assert_array_equal(example[key], examples["scene/0"][key])
        content, mask = prepared[number]
        place = ids.index(f"scene/{number}")
        np.testing.assert_array_equal(batch["mask"][place], mask)
        # What training reads is, bit for bit, what serving computes.
        served = letterbox_image(
            tf_decode(row, bit_depth), HEIGHT, WIDTH, tf.constant(statistics.channel_mean), bit_depth
        )
        np.testing.assert_array_equal(batch["image"][place], served)
        rows_px, columns_px = content.shape[:2]
        padding = np.ones((HEIGHT, WIDTH), bool)
        padding[:rows_px, :columns_px] = False
        levels = 1 if bit_depth == 8 else 257
        fill = np.rint(pixels.mean(axis=0) * levels) / levels
        np.testing.assert_allclose(
            batch["image"][place][padding], np.broadcast_to(fill, (padding.sum(), 3)), atol=1e-4
        )
        assert (batch["mask"][place][padding] == 255).all()
    if bit_depth == 8:
        assert Image.open(io.BytesIO(examples["scene/0"][features.IMAGE_PNG])).mode == "RGB"


def tf_decode(row: dict[str, Any], bit_depth: int) -> Any:
    import tensorflow as tf

    from data.decode_image import decode_image

    return decode_image(tf.constant(row[features.IMAGE_ENCODED]), bit_depth)  # type: ignore[arg-type]
