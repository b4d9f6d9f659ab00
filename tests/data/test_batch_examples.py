from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from data import features
from data.batch_examples import make_dataset
from data.batch_part import WHOLE, Part
from data.config import AugmentConfig, TransformConfig
from data.errors import RefusedError
from data.read_transformed import count_examples, read_statistics

VOID = 255
HEIGHT, WIDTH = 9, 12
TRANSFORM = TransformConfig(height_px=HEIGHT, width_px=WIDTH)
MEMORY, FILES = 10**9, 0


def make_example(number: int, bit_depth: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Returns an image and a mask whose first pixel is the example's number."""
    rng = np.random.default_rng(number)
    image = rng.integers(0, 2**bit_depth, size=(HEIGHT, WIDTH, 3)).astype(
        np.uint8 if bit_depth == 8 else np.uint16
    )
    mask = rng.integers(0, 5, size=(HEIGHT, WIDTH)).astype(np.uint8)
    mask[0, 0] = number
    return image, mask


def serialize(image: np.ndarray, mask: np.ndarray) -> bytes:
    feature = {
        features.IMAGE_PNG: _bytes(tf.io.encode_png(image).numpy()),
        features.MASK_PNG: _bytes(tf.io.encode_png(mask[..., None]).numpy()),
        features.CHANNEL_MEAN: _floats([100.0, 110.0, 120.0]),
        features.CHANNEL_STD: _floats([30.0, 40.0, 50.0]),
        features.CLASS_PIXELS: _floats([7.0, 8.0]),
        features.CLASS_IMAGE_PIXELS: _floats([70.0, 80.0]),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _floats(values: list[float]) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def write_records(folder: Path, sizes: Sequence[int], bit_depth: int = 8) -> list[str]:
    """Writes one compressed file of so many examples a size, numbered through, and returns a pattern."""
    number = 0
    folder.mkdir(exist_ok=True)
    for shard, size in enumerate(sizes):
        path = str(folder / f"transformed_examples-{shard:05d}-of-{len(sizes):05d}.gz")
        with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions("GZIP")) as writer:
            for _ in range(size):
                writer.write(serialize(*make_example(number, bit_depth)))
                number += 1
    return [str(folder / "*.gz")]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_records(tmp_path_factory.mktemp("records"), [7, 4])


def take(records: list[str], batches: int, **changes: Any) -> list[dict[str, np.ndarray]]:
    options: dict[str, Any] = {"batch_size": 4, "ignore_id": VOID, "shuffle": True, "repeat": True, **changes}
    return list(make_dataset(records, TRANSFORM, **options).take(batches).as_numpy_iterator())


def numbers(batches: list[dict[str, np.ndarray]]) -> list[int]:
    return [int(mask[0, 0]) for batch in batches for mask in batch["mask"]]


@pytest.mark.parametrize("cache", [MEMORY, FILES])
def test_validation_has_every_example_once_and_fills_up_with_void(records: list[str], cache: int) -> None:
    options: dict[str, Any] = {"shuffle": False, "repeat": False, "cache_in_memory_bytes": cache}
    batches = take(records, 99, **options)
    assert numbers(batches) == [*range(11), VOID]
    for batch in batches:
        assert batch["image"].shape == (4, HEIGHT, WIDTH, 3) and batch["image"].dtype == np.float32
        assert batch["mask"].shape == (4, HEIGHT, WIDTH) and batch["mask"].dtype == np.uint8
    images = np.concatenate([batch["image"] for batch in batches])
    masks = np.concatenate([batch["mask"] for batch in batches])
    for number in range(11):
        image, mask = make_example(number)
        np.testing.assert_array_equal(images[number], image)
        np.testing.assert_array_equal(masks[number], mask)
    assert (masks[11] == VOID).all() and (images[11] == 0).all()


@pytest.mark.parametrize("cache", [MEMORY, FILES])
@pytest.mark.parametrize("batch_size", [4, 11, 25])
def test_each_epoch_has_every_example_once_in_an_order_of_its_own(
    records: list[str], cache: int, batch_size: int
) -> None:
    batches = take(records, -(-44 // batch_size), batch_size=batch_size, cache_in_memory_bytes=cache)
    order = numbers(batches)
    epochs = [order[start : start + 11] for start in (0, 11, 22, 33)]
    assert all(sorted(epoch) == list(range(11)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert list(range(11)) not in epochs
    for batch in batches:
        for image, mask in zip(batch["image"], batch["mask"], strict=True):
            np.testing.assert_array_equal(image, make_example(int(mask[0, 0]))[0])


@pytest.mark.slow
@pytest.mark.parametrize("cache", [MEMORY, FILES])
def test_batches_follow_from_seed_and_step_alone(records: list[str], cache: int) -> None:
    options: dict[str, Any] = {"augment": AugmentConfig(), "cache_in_memory_bytes": cache, "seed": 5}
    whole = take(records, 8, **options)
    for again in (
        take(records, 8, **options),
        [*take(records, 3, **options), *take(records, 5, start_step=3, **options)],
    ):
        for batch, same in zip(whole, again, strict=True):
            np.testing.assert_array_equal(batch["image"], same["image"])
            np.testing.assert_array_equal(batch["mask"], same["mask"])
    other = take(records, 8, **{**options, "seed": 6})
    assert not any(np.array_equal(a["image"], b["image"]) for a, b in zip(whole, other, strict=True))
    assert len({batch["image"].tobytes() for batch in whole}) == 8


@pytest.mark.slow
def test_augmented_batches_do_not_depend_on_the_number_of_threads(records: list[str]) -> None:
    def batches(threads: int) -> list[dict[str, np.ndarray]]:
        dataset = make_dataset(
            records,
            TRANSFORM,
            batch_size=4,
            ignore_id=VOID,
            augment=AugmentConfig(),
            shuffle=True,
            repeat=True,
        )
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        return list(dataset.with_options(options).take(6).as_numpy_iterator())

    for one, many in zip(batches(1), batches(8), strict=True):
        np.testing.assert_array_equal(one["image"], many["image"])
        np.testing.assert_array_equal(one["mask"], many["mask"])


def test_augmentation_fills_with_the_rounded_channel_mean_and_void(records: list[str]) -> None:
    still: dict[str, Any] = {"brightness": 0, "contrast": 0, "saturation": 0, "rotation_degrees": 0}
    augment = AugmentConfig(
        scale_min=1, scale_max=1, flip_horizontal=False, crop_height_px=20, crop_width_px=16, **still
    )
    for batch in take(records, 3, augment=augment):
        assert batch["image"].shape == (4, 20, 16, 3) and batch["mask"].shape == (4, 20, 16)
        for image, mask in zip(batch["image"], batch["mask"], strict=True):
            assert (mask != VOID).sum() == HEIGHT * WIDTH
            np.testing.assert_array_equal(
                image[mask == VOID], np.broadcast_to([100, 110, 120], (320 - 108, 3))
            )


@pytest.mark.slow
def test_shapes_are_static_so_that_batches_can_be_shared_out(records: list[str]) -> None:
    for cache in (MEMORY, FILES):
        for repeat in (True, False):
            dataset = make_dataset(
                records, TRANSFORM, batch_size=4, ignore_id=VOID, repeat=repeat, cache_in_memory_bytes=cache
            )
            assert dataset.element_spec["image"].shape == (4, HEIGHT, WIDTH, 3)
            assert dataset.element_spec["mask"].shape == (4, HEIGHT, WIDTH)


@pytest.mark.parametrize("cache", [MEMORY, FILES])
def test_16_bit_records_keep_their_fractions(tmp_path: Path, cache: int) -> None:
    records = write_records(tmp_path, [3], bit_depth=16)
    options: dict[str, Any] = {"bit_depth": 16, "shuffle": False, "repeat": False}
    (batch,) = take(records, 9, cache_in_memory_bytes=cache, **options)
    for number in range(3):
        image, _ = make_example(number, 16)
        np.testing.assert_array_equal(np.rint(batch["image"][number] * 257), image)
        assert batch["image"][number].max() <= 255


def test_a_single_example_makes_batches(tmp_path: Path) -> None:
    records = write_records(tmp_path, [1])
    assert numbers(take(records, 2)) == [0] * 8


def test_statistics_come_from_the_records_and_the_count_from_all_files(records: list[str]) -> None:
    statistics = read_statistics(records)
    assert statistics.channel_mean.tolist() == [100, 110, 120] and statistics.channel_std.tolist() == [
        30,
        40,
        50,
    ]
    assert statistics.class_pixels.tolist() == [7, 8] and statistics.class_image_pixels.tolist() == [70, 80]
    assert statistics.channel_mean.dtype == np.float32
    assert statistics.example_count == 11


def test_uncompressed_files_are_read_too(tmp_path: Path) -> None:
    path = str(tmp_path / "examples")
    with tf.io.TFRecordWriter(path) as writer:
        for number in range(5):
            writer.write(serialize(*make_example(number)))
    assert count_examples([path]) == 5
    assert numbers(take([path], 9, shuffle=False, repeat=False)) == [0, 1, 2, 3, 4, VOID, VOID, VOID]


def test_no_files_and_no_examples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="holds no transformed examples"):
        make_dataset([str(tmp_path / "*.gz")], TRANSFORM, batch_size=4, ignore_id=VOID)
    empty = write_records(tmp_path, [0])
    with pytest.raises(RefusedError, match="holds no transformed examples"):
        make_dataset(empty, TRANSFORM, batch_size=4, ignore_id=VOID)


def test_records_of_another_size_are_an_error(records: list[str]) -> None:
    other = TransformConfig(height_px=HEIGHT, width_px=WIDTH + 4)
    with pytest.raises(tf.errors.InvalidArgumentError):
        list(make_dataset(records, other, batch_size=4, ignore_id=VOID))


@pytest.mark.parametrize("cache", [MEMORY, FILES])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("parts", [2, 3])
def test_parts_are_the_whole_batches_parts(tmp_path: Path, cache: int, training: bool, parts: int) -> None:
    # Seven examples: without repetition the second batch of six has one, so that parts of it are empty.
    patterns = write_records(tmp_path, [3, 4])
    settings: dict[str, Any] = {"batch_size": 6, "ignore_id": VOID, "cache_in_memory_bytes": cache}
    if training:
        settings |= {"augment": AugmentConfig(), "shuffle": True, "repeat": True, "seed": 5, "start_step": 3}
    whole, *shared = (
        list(make_dataset(patterns, TRANSFORM, part=part, **settings).take(4).as_numpy_iterator())
        for part in (WHOLE, *(Part(index, parts) for index in range(parts)))
    )
    assert len(whole) == (4 if training else 2)
    assert all(len(one) == len(whole) for one in shared)
    for number, batch in enumerate(whole):
        for key, values in batch.items():
            joined = np.concatenate([one[number][key] for one in shared])
            np.testing.assert_allclose(joined, values, atol=1e-4 if key == "image" else 0)
