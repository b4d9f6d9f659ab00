from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from data.decode_image import decode_image, decode_mask_png, read_exif_orientation

# Decoding takes whole numbers; Pillow and TensorFlow use the same accurate inverse cosine transform.
JPEG_TOLERANCE = 1


def make_pixels(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Returns uint8 [height, width, channels]: smooth, different in every corner and channel."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(-9, 10, size=(height, width, channels)).cumsum(axis=0).cumsum(axis=1)
    ramp = np.linspace(0, 120, width)[None, :, None] + np.linspace(0, 100, height)[:, None, None]
    return np.clip(ramp + steps % 30, 0, 255).astype(np.uint8)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def expected(encoded: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB"), np.float32)


def exif_bytes(
    orientation: int, order: str = "<", kind: int = 3, before: int = 2, count: int = 1, offset: int = 8
) -> bytes:
    """Returns a hand-made Exif payload whose directory starts at ``offset`` and has other entries first."""
    entries = b"".join(struct.pack(order + "HHII", 0x00C0 + i, 4, 1, 6) for i in range(before))
    value = struct.pack(
        order + ("HH" if kind == 3 else "I"), *((orientation, 0) if kind == 3 else (orientation,))
    )
    entries += struct.pack(order + "HHI", 0x0112, kind, count) + value
    entries += struct.pack(order + "HHII", 0x0128, 3, 1, 5)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", offset)
    directory = struct.pack(order + "H", before + 2) + entries + struct.pack(order + "I", 0)
    return b"Exif\0\0" + head.ljust(offset, b"\0") + directory


def insert_segments(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
    """Returns the JPEG with segments (marker, payload) put right behind its first two bytes."""
    packed = b"".join(struct.pack(">HH", marker, len(data) + 2) + data for marker, data in segments)
    return jpeg[:2] + packed + jpeg[2:]


@pytest.fixture(scope="module")
def decode() -> Callable[[bytes], np.ndarray]:
    graph = tf.function(decode_image, input_signature=[tf.TensorSpec([], tf.string)])
    return lambda encoded: graph(tf.constant(encoded)).numpy()


@pytest.fixture(scope="module")
def orientation_of() -> Callable[[bytes], int]:
    graph = tf.function(read_exif_orientation, input_signature=[tf.TensorSpec([], tf.string)])
    return lambda encoded: int(graph(tf.constant(encoded)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_orientation_is_obeyed_as_pillow_obeys_it(decode: Any, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    encoded = encode(Image.fromarray(make_pixels(37, 52)), "JPEG", quality=95, exif=exif)
    image = decode(encoded)
    assert image.dtype == np.float32
    assert image.shape == ((37, 52, 3) if orientation < 5 else (52, 37, 3))
    np.testing.assert_allclose(image, expected(encoded), atol=JPEG_TOLERANCE)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_both_byte_orders_and_both_number_types_are_read(
    decode: Any, order: str, kind: int, orientation: int
) -> None:
    plain = encode(Image.fromarray(make_pixels(20, 30)), "JPEG", quality=95)
    encoded = insert_segments(plain, (0xFFE1, exif_bytes(orientation, order, kind)))
    assert Image.open(io.BytesIO(encoded)).getexif()[0x0112] == orientation
    np.testing.assert_allclose(decode(encoded), expected(encoded), atol=JPEG_TOLERANCE)


def test_exif_is_found_behind_other_segments_and_far_directories(orientation_of: Any) -> None:
    plain = encode(Image.fromarray(make_pixels(20, 30)), "JPEG", quality=95)
    xmp = (0xFFE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
    colours = (0xFFE2, b"ICC_PROFILE\0" + bytes(60_000))
    comment = (0xFFFE, b"Exif\0\0 is only mentioned here")
    exif = (0xFFE1, exif_bytes(5, ">", offset=200, before=40))
    assert orientation_of(insert_segments(plain, xmp, colours, comment, exif)) == 5
    assert orientation_of(insert_segments(plain, xmp, colours, comment)) == 1


def test_fill_bytes_before_a_marker_are_skipped(orientation_of: Any) -> None:
    plain = encode(Image.fromarray(make_pixels(20, 30)), "JPEG", quality=95)
    with_exif = insert_segments(plain, (0xFFE1, exif_bytes(6)))
    assert orientation_of(with_exif[:2] + b"\xff\xff\xff" + with_exif[2:]) == 6


@pytest.mark.parametrize(
    "payload",
    [
        exif_bytes(0),
        exif_bytes(9),
        exif_bytes(6, kind=4)[:-30],
        exif_bytes(6)[:6],
        exif_bytes(6)[:12],
        exif_bytes(6, count=2),
        exif_bytes(6).replace(b"II*\0", b"XX*\0"),
        b"Exif\0\0II*\0" + struct.pack("<I", 0xFFFFFFF0),
        b"Exif\0\0II*\0" + struct.pack("<I", 0x7FFFFFFF),
        b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 0xFFFF),
        b"Exif\0\0",
    ],
)
def test_broken_exif_means_no_orientation(decode: Any, payload: bytes) -> None:
    plain = encode(Image.fromarray(make_pixels(20, 30)), "JPEG", quality=95)
    encoded = insert_segments(plain, (0xFFE1, payload))
    np.testing.assert_array_equal(decode(encoded), decode(plain))


def test_exif_behind_the_image_data_does_not_count(orientation_of: Any) -> None:
    plain = encode(Image.fromarray(make_pixels(20, 30)), "JPEG", quality=95)
    payload = exif_bytes(6)
    assert orientation_of(plain + struct.pack(">HH", 0xFFE1, len(payload) + 2) + payload) == 1


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1"])
def test_png_modes_become_rgb_without_alpha(decode: Any, mode: str) -> None:
    image = Image.fromarray(make_pixels(23, 17)).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(make_pixels(23, 17, seed=1)[..., 0]))
    encoded = encode(image, "PNG")
    opaque = image.convert("L" if mode == "LA" else "RGB").convert("RGB")
    np.testing.assert_array_equal(decode(encoded), np.asarray(opaque, np.float32))


def test_a_palette_with_transparency_keeps_its_colours(decode: Any) -> None:
    image = Image.fromarray(make_pixels(23, 17)).quantize(16)
    encoded = encode(image, "PNG", transparency=3)
    np.testing.assert_array_equal(decode(encoded), np.asarray(image.convert("RGB"), np.float32))


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 2}, {"optimize": True}])
def test_jpeg_variants_decode_as_pillow_decodes_them(decode: Any, options: dict[str, Any]) -> None:
    encoded = encode(Image.fromarray(make_pixels(41, 33)), "JPEG", quality=92, **options)
    np.testing.assert_allclose(decode(encoded), expected(encoded), atol=JPEG_TOLERANCE)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_jpegs_become_rgb(decode: Any, mode: str) -> None:
    encoded = encode(Image.fromarray(make_pixels(40, 32)).convert(mode), "JPEG", quality=95)
    np.testing.assert_allclose(decode(encoded), expected(encoded), atol=JPEG_TOLERANCE)


def test_16_bit_pngs_keep_all_bits_or_their_upper_half() -> None:
    values = np.random.default_rng(0).integers(0, 65536, size=(9, 7, 3)).astype(np.uint16)
    encoded = tf.io.encode_png(values)
    np.testing.assert_array_equal(np.rint(decode_image(encoded, 16).numpy() * 257), values)
    np.testing.assert_array_equal(decode_image(encoded, 8).numpy(), values >> 8)
    grey = Image.fromarray(values[..., 0])
    assert grey.mode == "I;16"
    from_grey = decode_image(tf.constant(encode(grey, "PNG")), 16).numpy()
    np.testing.assert_array_equal(np.rint(from_grey * 257), np.repeat(values[..., :1], 3, axis=2))


def test_8_bit_files_are_the_same_at_either_depth() -> None:
    pixels = make_pixels(12, 15)
    png = tf.constant(encode(Image.fromarray(pixels), "PNG"))
    np.testing.assert_array_equal(decode_image(png, 16).numpy(), pixels)
    jpeg = tf.constant(encode(Image.fromarray(pixels), "JPEG"))
    np.testing.assert_array_equal(decode_image(jpeg, 16).numpy(), decode_image(jpeg, 8).numpy())


def test_masks_keep_every_id() -> None:
    ids = np.arange(256, dtype=np.uint8).reshape(8, 32)
    mask = decode_mask_png(tf.constant(encode(Image.fromarray(ids), "PNG")))
    assert mask.dtype == tf.uint8
    np.testing.assert_array_equal(mask.numpy(), ids)


@pytest.mark.parametrize("encoded", [b"", b"not an image", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_an_invalid_argument(encoded: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(tf.constant(encoded))


def test_it_works_in_map_fn_in_tf_data_and_in_a_model_that_knows_none_of_this_code(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    files = [
        encode(Image.fromarray(make_pixels(30, 20)), "JPEG", quality=95, exif=exif),
        encode(Image.fromarray(make_pixels(9, 11)), "PNG"),
        encode(Image.fromarray(make_pixels(16, 8)), "JPEG", quality=95),
    ]
    means = [expected(file).mean(axis=(0, 1)) for file in files]

    def mean_colour(encoded: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(decode_image(encoded), axis=[0, 1])

    class Decoder(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, encoded: tf.Tensor) -> tf.Tensor:
            return tf.map_fn(mean_colour, encoded, fn_output_signature=tf.TensorSpec([3], tf.float32))

    tf.saved_model.save(Decoder(), str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(loaded(tf.constant(files)).numpy(), means, atol=0.2)
    dataset = tf.data.Dataset.from_tensor_slices(files).map(mean_colour, num_parallel_calls=tf.data.AUTOTUNE)
    np.testing.assert_allclose(list(dataset.as_numpy_iterator()), means, atol=0.2)
