"""What is exported: the network with its pre- and postprocessing, and its signatures.

Preprocessing is not the Transform graph but the functions that the Transform graph is made of
(``data.decode_image``, ``data.resize_example``). That graph reads masks and the facts of raw examples, and
writes PNGs to be decoded again; serving has images only. What the graph adds are the train split's
statistics: the channel mean pads, mean and standard deviation normalise inside the network.

Flips, scales and windows (``trainer.inference_config``) are part of the graph: evaluation, gates and servers
ask the same signatures, and so get the same answers. ``serve_with_options`` takes them as inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from data import features
from data.config import DataConfig, TransformConfig
from data.resize_example import content_size
from trainer.average_variants import SETTING_SPECS, make_settings
from trainer.inference_config import InferenceConfig
from trainer.memory_need import measure_pixel_bytes
from trainer.network_passes import NetworkPasses, compile_function
from trainer.prepare_images import TOTAL_STRIDE_PX
from trainer.receptive_field import measure_reach_px
from trainer.working_frames import WorkingFrames

_ONE_PASS = InferenceConfig()


class ServedModel(tf.Module):
    """A network with its pre- and postprocessing.

    Args:
        network: images float32 [batch, height, width, 3], 0 to 255, to logits, likewise by classes.
        num_classes: of the logits.
        data: the ignore id and the images' bit depth.
        transform: the working size.
        channel_mean: float [3], 0 to 255: what letterboxed images are padded with.
        inference: flips, scales and windows.
    """

    def __init__(
        self,
        network: keras.Model,
        num_classes: int,
        data: DataConfig,
        transform: TransformConfig,
        channel_mean: Any,
        inference: InferenceConfig = _ONE_PASS,
    ) -> None:
        super().__init__(name="served_model")
        # The variables are what is saved, under names that ``read_weights`` finds them by. The Keras object
        # stays out of the SavedModel: it would add functions of its own, which nobody calls.
        self.weights = {weight.path: weight.value for weight in network.weights}
        self._frames = WorkingFrames(transform, data.bit_depth, channel_mean)
        self._passes = NetworkPasses(network, num_classes, data.ignore_id, self._frames)
        longest_side_px = max(transform.height_px, transform.width_px)
        self._reach_px = int(min(measure_reach_px(network), longest_side_px))
        self._pixel_bytes = measure_pixel_bytes(network)
        self._settings = None if inference.is_plain() else make_settings(inference)

    def serve_images(self, image_bytes: Any) -> dict[str, Any]:
        """Segments encoded images of any sizes.

        Args:
            image_bytes: string [batch], PNG or JPEG.

        Returns:
            ``mask_png_bytes``: string [batch], an 8-bit grey PNG of class ids at each image's own size;
            ``mean_confidence``: float32 [batch], the mean over the pixels of the probability of the
            predicted class.
        """
        if self._settings is not None:
            return self.serve_with_options(image_bytes, *self._settings)
        masks, confidences = self._passes.encode(image_bytes)
        return {"mask_png_bytes": masks, "mean_confidence": confidences}

    def serve_with_options(
        self,
        image_bytes: Any,
        variants: Any,
        window_px: Any,
        window_overlap: Any,
        window_is_gaussian: Any,
        window_is_native: Any,
    ) -> dict[str, Any]:
        """Segments encoded images as ``serve_images`` does, by other flips, scales and windows.

        Args:
            image_bytes: string [batch], PNG or JPEG.
            variants: and the rest: see ``InferenceSettings``.
        """
        settings = (variants, window_px, window_overlap, window_is_gaussian, window_is_native)
        masks, confidences = self._passes.encode_averaged(image_bytes, *settings)
        return {"mask_png_bytes": masks, "mean_confidence": confidences}

    def serve_tensor(self, image_tensor: Any) -> dict[str, Any]:
        """Segments decoded images of one size.

        Args:
            image_tensor: uint8 [batch, height, width, 3].

        Returns:
            ``class_ids``: uint8 [batch, height, width]; ``confidence``: float32 [batch, height, width], the
            probability of the predicted class.
        """
        images = tf.cast(image_tensor, tf.float32)
        if self._settings is not None:
            class_ids, confidence = self._passes.classify_averaged(images, self._settings)
        else:
            class_ids, confidence = self._passes.classify(images)
        return {"class_ids": class_ids, "confidence": confidence}

    def serve_examples(self, examples: Any) -> dict[str, Any]:
        """Segments the images of serialized raw examples, string [batch], as ``serve_images`` does."""
        images = tf.io.parse_example(examples, {features.IMAGE_ENCODED: tf.io.FixedLenFeature([], tf.string)})
        return self.serve_images(images[features.IMAGE_ENCODED])

    def evaluate(self, examples: Any) -> dict[str, Any]:
        """Counts the confusion matrix of each serialized raw example at its mask's own size.

        Args:
            examples: string [batch].

        Returns:
            ``confusion_matrix``: int64 [batch, classes, classes], rows truth, columns prediction.
        """
        keys = (features.IMAGE_ENCODED, features.MASK_ENCODED)
        parsed = tf.io.parse_example(examples, {key: tf.io.FixedLenFeature([], tf.string) for key in keys})
        images, masks = (parsed[key] for key in keys)
        if self._settings is not None:
            matrices = self._passes.count_averaged(images, masks, self._settings)
        else:
            matrices = self._passes.count(images, masks)
        return {"confusion_matrix": matrices}

    def prepare_images(self, image_bytes: Any) -> dict[str, Any]:
        """Decodes and letterboxes images of any sizes, for those who cut large frames into tiles.

        Args:
            image_bytes: string [batch], PNG or JPEG.

        Returns:
            ``frames``: float32 [batch, height, width, 3] at the working size, what the network sees;
            ``sizes_px``: int32 [batch, 2], the images' own heights and widths; ``content_sizes_px``: int32
            [batch, 2], the part of each frame, in its top left corner, that the image fills;
            ``tile_step_px``: int32, tiles must start and, within a frame, end at multiples of it;
            ``tile_reach_px``: int32, so far around a pixel the network looks; ``tile_pixel_bytes``: int32, so
            much memory it needs for each pixel of a tile.
        """
        frames, sizes = self._frames.prepare_all(image_bytes)
        contents = content_size(sizes[:, 0], sizes[:, 1], self._frames.height_px, self._frames.width_px)
        return {
            "frames": frames,
            "sizes_px": sizes,
            "content_sizes_px": tf.stack(contents, axis=-1),
            "tile_step_px": tf.constant(TOTAL_STRIDE_PX),
            "tile_reach_px": tf.constant(self._reach_px),
            "tile_pixel_bytes": tf.constant(self._pixel_bytes),
        }

    def predict_tiles(self, tiles: Any) -> dict[str, Any]:
        """Scores pieces of frames.

        Args:
            tiles: float32 [batch, any height, any width, 3] from ``prepare_images``.

        Returns:
            ``logits``: float32 [batch, height, width, classes].
        """
        return {"logits": self._passes.predict(tiles)}

    def signatures(self) -> Mapping[str, Any]:
        """Returns the traced functions by the names of their signatures."""
        strings, pixels = tf.TensorSpec([None], tf.string), [None, None, None, 3]
        methods: dict[str, tuple[Any, ...]] = {
            "serving_default": (self.serve_images, "image_bytes", strings),
            "image_tensor": (self.serve_tensor, "image_tensor", tf.TensorSpec(pixels, tf.uint8)),
            "serve_examples": (self.serve_examples, "examples", strings),
            "evaluate": (self.evaluate, "examples", strings),
            "serve_with_options": (self.serve_with_options, "image_bytes", strings, *SETTING_SPECS),
            "prepare_images": (self.prepare_images, "image_bytes", strings),
            "predict_tiles": (self.predict_tiles, "tiles", tf.TensorSpec(pixels, tf.float32)),
        }
        return {
            name: compile_function(
                method, tf.TensorSpec(spec.shape, spec.dtype, argument), *others
            ).get_concrete_function()
            for name, (method, argument, spec, *others) in methods.items()
        }
