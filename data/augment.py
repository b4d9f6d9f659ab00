"""Random changes to a batch of training images; geometry moves image and mask together.

All geometry of an example is one projective transform, applied once: scale, rotation, flips, crop and
shift cost one interpolation, and image and mask are sampled at the very same points. The image is
interpolated bilinearly, which reads every pixel down to scale 0.5 (sampling points are then two pixels
apart, as wide as the interpolating triangle). Below that pixels are skipped: nothing is filtered first.
"""

from __future__ import annotations

import math

import tensorflow as tf

from data.batch_part import WHOLE, Part
from data.config import AugmentConfig

# Weights of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)
_COLOUR_DRAWS, _GEOMETRY_DRAWS = 3, 6


def augment_batch(
    images: tf.Tensor,
    masks: tf.Tensor,
    config: AugmentConfig,
    seed: tf.Tensor,
    ignore_id: int,
    fill: tf.Tensor,
    part: Part = WHOLE,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Changes every example of a batch at random, image and mask alike.

    Args:
        images: float32 [batch, height, width, 3] in 0 to 255.
        masks: uint8 [batch, height, width] of class ids.
        config: how much may change. Without a crop size the frame keeps its size.
        seed: int32 or int64 [2]; the same seed gives the same result, on any number of threads.
        ignore_id: the id of void, given to pixels that lie outside of the original.
        fill: float32 [3], the colour that such pixels have: what letterboxed images are padded with.
        part: which part of the batch this is. The parts together are what the whole would be.

    Returns:
        float32 [batch, crop height, crop width, 3] in 0 to 255, and uint8 [batch, crop height, crop width].
    """
    height = config.crop_height_px or masks.shape[1]
    width = config.crop_width_px or masks.shape[2]
    count = _COLOUR_DRAWS + _GEOMETRY_DRAWS
    size = tf.shape(images)[0]
    draws = tf.random.stateless_uniform([size * part.count, count], seed, -1.0, 1.0)
    if part.count > 1:
        draws = draws[size * part.index : size * (part.index + 1)]
    images = change_colours(images, config, draws[:, :_COLOUR_DRAWS])
    if not _moves(config, masks.shape[1], masks.shape[2]):
        return images, masks
    content = find_labelled_size(masks, ignore_id)
    transforms = draw_transforms(draws[:, _COLOUR_DRAWS:], content, height, width, config)
    return warp_batch(images, masks, transforms, height, width, ignore_id, fill)


def warp_batch(
    images: tf.Tensor,
    masks: tf.Tensor,
    transforms: tf.Tensor,
    height: int,
    width: int,
    ignore_id: int,
    fill: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Samples images bilinearly and masks at the nearest pixel, both at the same points.

    Args:
        images: float32 [batch, any height, any width, 3].
        masks: uint8 [batch, any height, any width].
        transforms: float32 [batch, 8], rows (a0, a1, a2, b0, b1, b2, c0, c1): the new pixel in column x and
            row y is read at column (a0 x + a1 y + a2) / k and row (b0 x + b1 y + b2) / k of the original,
            with k = c0 x + c1 y + 1. Whole numbers are centres of pixels.
        height: of the result, in pixels.
        width: of the result, in pixels.
        ignore_id: mask value outside of the original.
        fill: float32 [3], image value outside of the original.

    Returns:
        float32 [batch, height, width, 3] and uint8 [batch, height, width].
    """

    def sample(pixels: tf.Tensor, interpolation: str, outside: float) -> tf.Tensor:
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=pixels,
            transforms=transforms,
            output_shape=[height, width],
            interpolation=interpolation,
            fill_mode="CONSTANT",
            fill_value=outside,
        )

    # The op fills all channels alike, so the fill is made zero first. It is a whole number, as in 8-bit
    # records, so that taking it off and adding it again changes no bit.
    base = tf.round(tf.cast(fill, tf.float32))
    warped_images = sample(images - base, "BILINEAR", 0.0) + base
    warped_masks = sample(masks[..., tf.newaxis], "NEAREST", float(ignore_id))[..., 0]
    shape = [images.shape[0], height, width]
    return tf.ensure_shape(warped_images, [*shape, 3]), tf.ensure_shape(warped_masks, shape)


def draw_transforms(
    draws: tf.Tensor, content: tf.Tensor, height: int, width: int, config: AugmentConfig
) -> tf.Tensor:
    """Makes one transform an example, for ``warp_batch``.

    Scales are uniform in their logarithm, angles and places uniform. A window that is smaller than the
    content lies anywhere inside of it; a larger one has all of the content anywhere inside. A shift widens
    that room on all sides.

    Args:
        draws: float32 [batch, 6], uniform in -1 to 1: scale, rotation, place downwards, place across,
            vertical flip, horizontal flip.
        content: float32 [batch, 2], height and width of what each example shows, from the top left corner.
        height: of the window, in pixels.
        width: of the window, in pixels.
        config: the ranges.

    Returns:
        float32 [batch, 8].
    """
    low, high = math.log(config.scale_min), math.log(config.scale_max)
    step = tf.exp(-(low + (high - low) * (draws[:, 0] + 1) / 2))
    angle = draws[:, 1] * math.radians(config.rotation_degrees)
    room_y = tf.abs(content[:, 0] - height * step) / 2 + config.shift * height * step
    room_x = tf.abs(content[:, 1] - width * step) / 2 + config.shift * width * step
    centre_y = content[:, 0] / 2 + draws[:, 2] * room_y
    centre_x = content[:, 1] / 2 + draws[:, 3] * room_x
    flip_y = tf.where(draws[:, 4] < 0, -1.0 if config.flip_vertical else 1.0, 1.0)
    flip_x = tf.where(draws[:, 5] < 0, -1.0 if config.flip_horizontal else 1.0, 1.0)
    cos, sin = tf.cos(angle) * step, tf.sin(angle) * step
    row_x = _place_row(cos * flip_x, -sin * flip_y, centre_x, height, width)
    row_y = _place_row(sin * flip_x, cos * flip_y, centre_y, height, width)
    none = tf.zeros_like(step)
    return tf.stack([*row_x, *row_y, none, none], axis=1)


def _place_row(
    across: tf.Tensor, down: tf.Tensor, centre: tf.Tensor, height: int, width: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns a row of a transform that reads the window's middle at ``centre``.

    Sides are measured from edge to edge, and pixel i has its centre at i + 0.5. The shift is rounded: at
    scale 1 pixels are then copied, never blurred, and elsewhere half a pixel of shift means nothing.
    """
    shift = centre - 0.5 - across * (width - 1) / 2 - down * (height - 1) / 2
    return across, down, tf.round(shift)


def find_labelled_size(masks: tf.Tensor, ignore_id: int) -> tf.Tensor:
    """Returns the size of what each example shows: up to the last row and column that are not all void.

    Letterboxed examples are padded with void at the bottom and on the right; windows shall not lie there.

    Args:
        masks: uint8 [batch, height, width].
        ignore_id: the id of void.

    Returns:
        float32 [batch, 2], height and width; those of the frame where all is void.
    """
    is_labelled = masks != ignore_id
    sizes = []
    for side, other in ((1, 2), (2, 1)):
        length = masks.shape[side]
        last = tf.reduce_max(
            tf.where(tf.reduce_any(is_labelled, axis=other), tf.range(1, length + 1), 0), axis=1
        )
        sizes.append(tf.where(last > 0, last, length))
    return tf.cast(tf.stack(sizes, axis=1), tf.float32)


def change_colours(images: tf.Tensor, config: AugmentConfig, draws: tf.Tensor) -> tf.Tensor:
    """Changes brightness, contrast (about the image's mean) and saturation of each image.

    Args:
        images: float32 [batch, height, width, 3] in 0 to 255.
        config: the ranges.
        draws: float32 [batch, 3], uniform in -1 to 1: brightness, contrast, saturation.

    Returns:
        float32 [batch, height, width, 3], clipped to 0 to 255.
    """
    if config.brightness == config.contrast == config.saturation == 0:
        return images
    per_image = draws[:, :, tf.newaxis, tf.newaxis, tf.newaxis]
    shift = per_image[:, 0] * config.brightness * 255
    contrast = 1 + per_image[:, 1] * config.contrast
    saturation = 1 + per_image[:, 2] * config.saturation
    grey = tf.tensordot(images, tf.constant(_LUMA, shape=[3, 1]), axes=1)
    mean = tf.reduce_mean(grey, axis=(1, 2), keepdims=True)
    # contrast * (saturation * image + (1 - saturation) * grey - mean) + mean + shift, in two passes.
    offset = contrast * (1 - saturation) * grey + (1 - contrast) * mean + shift
    return tf.clip_by_value(contrast * saturation * images + offset, 0.0, 255.0)


def _moves(config: AugmentConfig, height: int, width: int) -> bool:
    is_still = config.scale_min == config.scale_max == 1 and config.rotation_degrees == config.shift == 0
    is_flipped = config.flip_horizontal or config.flip_vertical
    crops = (config.crop_height_px or height, config.crop_width_px or width) != (height, width)
    return is_flipped or crops or not is_still
