"""Transform's preprocessing: raw examples to transformed examples, at the working size.

The same functions prepare images in serving (``decode_image``, ``letterbox_image`` with the channel mean),
which needs neither masks nor this module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from data import features
from data.config import DataConfig, TransformConfig
from data.decode_image import BitDepth, decode_image, decode_mask_png
from data.resize_example import letterbox_image, letterbox_mask, resize_content

# Sums are taken about the middle of the range, where squares stay small.
_MIDDLE = 128.0
# Records are compressed again as a whole: more effort here costs time and saves next to nothing.
_PNG_COMPRESSION = 1


def preprocessing_fn(inputs: Mapping[str, Any], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Decodes, letterboxes and re-encodes images and masks, and analyses the train split.

    TFX Transform calls it by its dotted path. The analysers see all pixels of the images at working size,
    padding left out, each pixel once whatever image it is from.

    Args:
        inputs: raw examples (``data.features``), a string or int64 tensor [batch] or [batch, 1] a feature.
        custom_config: ``config`` is JSON with the sections ``data`` and ``transform``.

    Returns:
        The tensors of transformed examples (``data.features``): strings [batch]; float32 [batch, 3] or
        [batch, classes] for the statistics, which are the same in every example.
    """
    sections = json.loads(custom_config["config"])
    data = DataConfig.model_validate(sections["data"])
    transform = TransformConfig.model_validate(sections["transform"])
    images = _as_vector(inputs[features.IMAGE_ENCODED])
    masks = _as_vector(inputs[features.MASK_ENCODED])
    mean, std = analyse_channels(images, transform, data.bit_depth)
    keys = [features.class_pixels_key(entry.name) for entry in data.classes]
    counts = tf.stack([_as_vector(inputs[key]) for key in keys], axis=1)
    class_pixels, class_image_pixels = analyse_classes(counts)
    same_in_all = {
        features.CHANNEL_MEAN: mean,
        features.CHANNEL_STD: std,
        features.CLASS_PIXELS: class_pixels,
        features.CLASS_IMAGE_PIXELS: class_image_pixels,
    }
    batch = tf.shape(images)[0]
    return {
        features.IMAGE_ID: _as_vector(inputs[features.IMAGE_ID]),
        features.IMAGE_PNG: _map_images(partial(_letterbox_png, mean, transform, data.bit_depth), images),
        features.MASK_PNG: _map_images(partial(_letterbox_mask_png, transform, data.ignore_id), masks),
        **{key: tf.tile(value[tf.newaxis], [batch, 1]) for key, value in same_in_all.items()},
    }


def analyse_channels(
    images: tf.Tensor, transform: TransformConfig, bit_depth: BitDepth
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns mean and standard deviation of each channel over all pixels of the analysed split.

    Args:
        images: string [batch], PNG or JPEG files.
        transform: pixels are counted at this working size, without padding.
        bit_depth: of the records.

    Returns:
        float32 [3] each, on the scale 0 to 255; over the data set, not over the batch.
    """
    sums = tf.map_fn(
        partial(_sum_pixels, transform, bit_depth),
        images,
        fn_output_signature=tf.TensorSpec([7], tf.float64),
    )
    total = tft.sum(sums, reduce_instance_dims=False, name="sum_pixels")
    pixels = tf.maximum(total[6], 1)
    mean = total[:3] / pixels
    variance = tf.maximum(total[3:6] / pixels - tf.square(mean), 0)
    return tf.cast(mean + _MIDDLE, tf.float32), tf.cast(tf.sqrt(variance), tf.float32)


def analyse_classes(counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns how frequent each class is in the analysed split, for class weights.

    Args:
        counts: int64 [batch, classes], pixels of each class in each mask, at the mask's own size.

    Returns:
        float32 [classes] each: pixels of each class; and non-void pixels of all images in which the class
        occurs, the denominator of median frequency balancing (Eigen and Fergus, ICCV 2015, section 6.3.2).
    """
    labelled = tf.reduce_sum(counts, axis=1, keepdims=True)
    where_present = tf.where(counts > 0, labelled, 0)
    class_pixels = tft.sum(counts, reduce_instance_dims=False, name="class_pixels")
    class_image_pixels = tft.sum(where_present, reduce_instance_dims=False, name="class_image_pixels")
    return tf.cast(class_pixels, tf.float32), tf.cast(class_image_pixels, tf.float32)


def _sum_pixels(transform: TransformConfig, bit_depth: BitDepth, encoded: tf.Tensor) -> tf.Tensor:
    """Returns float64 [7]: sums and sums of squares of the three channels, and the number of pixels."""
    image = decode_image(encoded, bit_depth)
    content = resize_content(image, transform.height_px, transform.width_px, bit_depth)
    centred = tf.reshape(tf.cast(content, tf.float64) - _MIDDLE, [-1, 3])
    pixels = tf.cast(tf.shape(centred)[:1], tf.float64)
    return tf.concat([tf.reduce_sum(centred, 0), tf.reduce_sum(tf.square(centred), 0), pixels], axis=0)


def _letterbox_png(
    mean: tf.Tensor, transform: TransformConfig, bit_depth: BitDepth, encoded: tf.Tensor
) -> tf.Tensor:
    image = decode_image(encoded, bit_depth)
    framed = letterbox_image(image, transform.height_px, transform.width_px, mean, bit_depth)
    stored = tf.cast(framed, tf.uint8) if bit_depth == 8 else tf.cast(tf.round(framed * 257), tf.uint16)
    return tf.io.encode_png(stored, compression=_PNG_COMPRESSION)


def _letterbox_mask_png(transform: TransformConfig, ignore_id: int, encoded: tf.Tensor) -> tf.Tensor:
    framed = letterbox_mask(decode_mask_png(encoded), transform.height_px, transform.width_px, ignore_id)
    return tf.io.encode_png(framed[..., tf.newaxis], compression=_PNG_COMPRESSION)


def _map_images(encode: Any, encoded: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(encode, encoded, fn_output_signature=tf.TensorSpec([], tf.string))


def _as_vector(values: Any) -> tf.Tensor:
    """Returns a feature with one value an example as [batch], whether the schema says so or not."""
    if isinstance(values, tf.SparseTensor):
        values = values.values
    return tf.reshape(values, [-1])
