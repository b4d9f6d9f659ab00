"""The exported model: a SavedModel with signatures that plain TensorFlow and TF Serving run.

Preprocessing is not the Transform graph but the functions that the Transform graph is made of
(``data.decode_image``, ``data.resize_example``). That graph reads masks and the facts of raw examples, and
writes PNGs to be decoded again; serving has images only. What the graph adds are the train split's
statistics: the channel mean pads, mean and standard deviation normalise inside the network.

Flips, scales and windows (``trainer.inference_config``) are part of the graph: evaluation, gates and servers
ask the same signatures, and so get the same answers. ``serve_with_options`` takes them as inputs.

The export is float32 at any training precision: weights are float32 anyway, and a model is served on
other hardware than it was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from data import features
from data.config import DataConfig, TransformConfig
from data.decode_image import decode_image, decode_mask_png
from data.read_transformed import DatasetStatistics
from data.resize_example import content_size, letterbox_image, restore_rows
from trainer.average_variants import SETTING_SPECS, InferenceSettings, average_variants, make_settings
from trainer.build_model import build_model
from trainer.classify import BAND_SCORES, classify
from trainer.count_pixels import count_pixels
from trainer.inference_config import InferenceConfig
from trainer.inference_file import INFERENCE_FILE
from trainer.model_config import ModelConfig
from trainer.prepare_images import TOTAL_STRIDE_PX
from trainer.receptive_field import measure_reach_px
from trainer.sliding_window import slide_windows

_SIZE = tf.TensorSpec([2], tf.int32)
_PIXELS = (tf.TensorSpec([None, None], tf.uint8), tf.TensorSpec([None, None], tf.float32))
"""Class ids and their probabilities."""
_ENCODED = (tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.float32))
"""A PNG of class ids, and their mean probability."""
_LEAST_PROBABILITY = 1e-37
"""Its logarithm is a number still."""
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
        strings = tf.TensorSpec([None], tf.string)
        images = tf.TensorSpec([None, None, None, 3], tf.float32)
        # Traced once each, and called by every signature: tracing is most of an export's time.
        self._predict = _compile(lambda images: _predict_any_number(network, images), images)
        self._predict_encoded = _compile(self._prepare_and_predict, strings)
        self._serve_encoded = _compile(self._predict_and_encode, strings)
        self._classify_image = _compile(
            self._average, tf.TensorSpec(images.shape[1:], tf.float32), *SETTING_SPECS
        )
        self._serve_averaged = _compile(self._average_and_encode, strings, *SETTING_SPECS)
        self._num_classes = num_classes
        self._data = data.model_copy()
        self._height_px, self._width_px = transform.height_px, transform.width_px
        self._fill = tf.constant(channel_mean, tf.float32)
        longest_side_px = max(transform.height_px, transform.width_px)
        self._reach_px = int(min(measure_reach_px(network), longest_side_px))
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
        masks, confidences = self._serve_encoded(image_bytes)
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
        masks, confidences = self._serve_averaged(image_bytes, *settings)
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
            class_ids, confidence = _map_one_by_one(self._classify_as_built, images, _PIXELS)
            return {"class_ids": class_ids, "confidence": confidence}
        frames = tf.map_fn(
            self._letterbox,
            images,
            fn_output_signature=tf.TensorSpec([self._height_px, self._width_px, 3], tf.float32),
        )
        size = tf.shape(image_tensor)[1:3]
        class_ids, confidence = tf.map_fn(
            lambda logits: self._classify(logits, size),
            self._predict_frames(frames),
            fn_output_signature=_PIXELS,
        )
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
        matrix = tf.TensorSpec([self._num_classes, self._num_classes], tf.int64)
        if self._settings is not None:
            matrices = _map_one_by_one(self._classify_and_count, (images, masks), matrix)
        else:
            logits, _ = self._predict_encoded(images)
            matrices = tf.map_fn(self._count_mask, (logits, masks), fn_output_signature=matrix)
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
            ``tile_reach_px``: int32, so far around a pixel the network looks.
        """
        frames, sizes = self._prepare_encoded(image_bytes)
        contents = content_size(sizes[:, 0], sizes[:, 1], self._height_px, self._width_px)
        return {
            "frames": frames,
            "sizes_px": sizes,
            "content_sizes_px": tf.stack(contents, axis=-1),
            "tile_step_px": tf.constant(TOTAL_STRIDE_PX),
            "tile_reach_px": tf.constant(self._reach_px),
        }

    def predict_tiles(self, tiles: Any) -> dict[str, Any]:
        """Scores pieces of frames.

        Args:
            tiles: float32 [batch, any height, any width, 3] from ``prepare_images``.

        Returns:
            ``logits``: float32 [batch, height, width, classes].
        """
        return {"logits": self._predict(tiles)}

    def signatures(self) -> Mapping[str, Any]:
        """Returns the traced functions by the names of their signatures."""
        strings = tf.TensorSpec([None], tf.string)

        def trace(method: Any, name: str, spec: tf.TensorSpec, *others: tf.TensorSpec) -> Any:
            spec = tf.TensorSpec(spec.shape, spec.dtype, name=name)
            return _compile(method, spec, *others).get_concrete_function()

        return {
            "serving_default": trace(self.serve_images, "image_bytes", strings),
            "image_tensor": trace(
                self.serve_tensor, "image_tensor", tf.TensorSpec([None, None, None, 3], tf.uint8)
            ),
            "serve_examples": trace(self.serve_examples, "examples", strings),
            "evaluate": trace(self.evaluate, "examples", strings),
            "serve_with_options": trace(self.serve_with_options, "image_bytes", strings, *SETTING_SPECS),
            "prepare_images": trace(self.prepare_images, "image_bytes", strings),
            "predict_tiles": trace(
                self.predict_tiles, "tiles", tf.TensorSpec([None, None, None, 3], tf.float32)
            ),
        }

    def _average(self, image: Any, *options: Any) -> tuple[Any, Any]:
        """Returns class ids uint8 [height, width] and their probabilities float32, at the image's own size.

        Args:
            image: float32 [height, width, 3].
            options: the fields of ``InferenceSettings``.
        """
        settings, size = InferenceSettings(*options), tf.shape(image)[:2]

        def slide(pixels: Any, finish: Callable[[Any], Any]) -> Any:
            return slide_windows(
                lambda piece: average_variants(self._predict, piece, settings.variants, self._num_classes),
                pixels,
                settings.window_px,
                settings.window_overlap,
                settings.window_is_gaussian,
                self._num_classes,
                finish,
            )

        def classify_own_size() -> tuple[Any, Any]:
            class_ids, probability = slide(image, lambda band: classify(_to_logits(band)))
            return class_ids, probability

        def classify_frame() -> tuple[Any, Any]:
            (logits,) = slide(self._letterbox(image), lambda band: [_to_logits(band)])
            shape = [self._height_px, self._width_px, self._num_classes]
            return self._classify(tf.ensure_shape(logits, shape), size)

        would_shrink = tf.reduce_any(size > [self._height_px, self._width_px])
        return tf.cond(settings.window_is_native & would_shrink, classify_own_size, classify_frame)

    def _classify_as_built(self, image: Any) -> tuple[Any, Any]:
        class_ids, probability = self._classify_image(image, *(self._settings or ()))
        return class_ids, probability

    def _classify_and_count(self, image_and_mask: tuple[Any, Any]) -> Any:
        image, mask = image_and_mask
        class_ids, _ = self._classify_as_built(decode_image(image, self._data.bit_depth))
        return self._count(decode_mask_png(mask), class_ids)

    def _average_and_encode(self, image_bytes: Any, *options: Any) -> tuple[Any, Any]:
        """Returns PNGs of class ids, string [batch], and mean confidences, float32 [batch]."""

        def encode(encoded: Any) -> tuple[Any, Any]:
            image = decode_image(encoded, self._data.bit_depth)
            class_ids, probability = self._classify_image(image, *options)
            return tf.io.encode_png(class_ids[..., tf.newaxis]), tf.reduce_mean(probability)

        return _map_one_by_one(encode, image_bytes, _ENCODED)

    def _predict_and_encode(self, image_bytes: Any) -> tuple[Any, Any]:
        """Returns PNGs of class ids, string [batch], and mean confidences, float32 [batch]."""
        return tf.map_fn(
            self._encode_mask,
            self._predict_encoded(image_bytes),
            fn_output_signature=_ENCODED,
        )

    def _prepare_and_predict(self, image_bytes: Any) -> tuple[Any, Any]:
        """Returns logits [batch, height, width, classes] and the images' own sizes, int32 [batch, 2]."""
        frames, sizes = self._prepare_encoded(image_bytes)
        return self._predict_frames(frames), sizes

    def _prepare_encoded(self, image_bytes: Any) -> tuple[Any, Any]:
        """Returns frames [batch, height, width, 3] and the images' own sizes, int32 [batch, 2]."""
        frame = tf.TensorSpec([self._height_px, self._width_px, 3], tf.float32)
        return tf.map_fn(self._prepare, image_bytes, fn_output_signature=(frame, _SIZE))

    def _predict_frames(self, frames: Any) -> Any:
        """Returns logits float32 [batch, height, width, classes] at the working size."""
        shape = [None, self._height_px, self._width_px, self._num_classes]
        return tf.ensure_shape(self._predict(frames), shape)

    def _prepare(self, encoded: Any) -> tuple[Any, Any]:
        image = decode_image(encoded, self._data.bit_depth)
        return self._letterbox(image), tf.shape(image)[:2]

    def _letterbox(self, image: Any) -> Any:
        return letterbox_image(image, self._height_px, self._width_px, self._fill, self._data.bit_depth)

    def _classify(self, logits: Any, size: Any) -> tuple[Any, Any]:
        """Returns class ids uint8 [height, width] and their probabilities float32, at the given size."""
        class_ids, probability = self._map_bands(logits, size, lambda band, _: classify(band), _PIXELS)
        return _join_bands(class_ids, size), _join_bands(probability, size)

    def _encode_mask(self, logits_and_size: tuple[Any, Any]) -> tuple[Any, Any]:
        logits, size = logits_and_size

        def classify_band(band: Any, row_count: Any) -> tuple[Any, Any]:
            class_ids, probability = classify(band)
            return class_ids, tf.reduce_sum(probability[:row_count])

        specs = (tf.TensorSpec([None, None], tf.uint8), tf.TensorSpec([], tf.float32))
        class_ids, sums = self._map_bands(logits, size, classify_band, specs)
        mean = tf.reduce_sum(sums) / tf.cast(size[0] * size[1], tf.float32)
        return tf.io.encode_png(_join_bands(class_ids, size)[..., tf.newaxis]), mean

    def _count_mask(self, logits_and_mask: tuple[Any, Any]) -> Any:
        logits, encoded = logits_and_mask
        mask = decode_mask_png(encoded)
        prediction = self._map_bands(
            logits,
            tf.shape(mask),
            lambda band, _: tf.cast(tf.argmax(band, axis=-1), tf.uint8),
            tf.TensorSpec([None, None], tf.uint8),
        )
        return self._count(mask, _join_bands(prediction, tf.shape(mask)))

    def _count(self, mask: Any, class_ids: Any) -> Any:
        """Returns the confusion matrix of one image, int64 [classes, classes]."""
        ignore_id = self._data.ignore_id
        return count_pixels(mask[tf.newaxis], class_ids[tf.newaxis], self._num_classes, ignore_id)[0]

    def _map_bands(self, logits: Any, size: Any, function: Callable[[Any, Any], Any], specs: Any) -> Any:
        """Applies a function to bands of logits at an image's own size, one band after the other.

        Args:
            logits: float32 [height, width, classes] at the working size.
            size: int32 [2], the image's own.
            function: of float32 [rows, image's width, classes] and of how many of the rows lie within the
                image; the last band may go beyond.
            specs: of what it returns.

        Returns:
            What the function returned, [bands, ...].
        """
        rows = tf.clip_by_value(BAND_SCORES // (size[1] * self._num_classes), 1, size[0])

        def apply(first_row: Any) -> Any:
            band = restore_rows(logits, size[0], size[1], first_row, rows)
            return function(band, tf.minimum(rows, size[0] - first_row))

        starts = tf.range(0, size[0], rows)
        return tf.map_fn(apply, starts, fn_output_signature=specs, parallel_iterations=1)


def _predict_any_number(network: keras.Model, images: Any) -> Any:
    """Returns logits of [batch, height, width, 3]. oneDNN's kernels fail on a batch of none: it gets one."""
    count = tf.shape(images)[0]
    filled = tf.pad(images, [[0, tf.cast(count == 0, tf.int32)], [0, 0], [0, 0], [0, 0]])
    return network(filled, training=False)[:count]


def _join_bands(bands: Any, size: Any) -> Any:
    """Returns [height, width] of pixels [bands, rows, width]."""
    return tf.reshape(bands, [-1, size[1]])[: size[0]]


def _to_logits(probabilities: Any) -> Any:
    """Returns logits whose softmax these probabilities are."""
    return tf.math.log(tf.maximum(probabilities, _LEAST_PROBABILITY))


def _map_one_by_one(function: Any, elements: Any, specs: Any) -> Any:
    """Maps a function over images of which only one shall be held at a time."""
    return tf.map_fn(function, elements, fn_output_signature=specs, parallel_iterations=1)


def _compile(function: Any, *specs: tf.TensorSpec) -> Any:
    """Compiles a function of tensors. No Python control flow depends on tensors: nothing to convert."""
    return tf.function(function, input_signature=specs, autograph=False)


def export_model(
    trained: keras.Model,
    config: ModelConfig,
    data: DataConfig,
    transform: TransformConfig,
    statistics: DatasetStatistics,
    folder: str,
    inference: InferenceConfig = _ONE_PASS,
) -> None:
    """Exports a trained network as a SavedModel, which appears whole or not at all.

    Args:
        trained: the network, at any precision and on any devices.
        config: what it was built from.
        data: the class table, the ignore id, the bit depth.
        transform: the working size.
        statistics: of the train split, as the network was built with.
        folder: is made; anything there is replaced.
        inference: flips, scales and windows of every signature; also written beside the graph.
    """
    mean, std = statistics.channel_mean.tolist(), statistics.channel_std.tolist()
    network = build_model(config, len(data.classes), mean, std, "float32")
    network.set_weights(trained.get_weights())
    served = ServedModel(network, len(data.classes), data, transform, mean, inference)
    unfinished = f"{folder.rstrip('/')}.unfinished"
    for path in (unfinished, folder):
        if tf.io.gfile.exists(path):
            tf.io.gfile.rmtree(path)
    tf.saved_model.save(served, unfinished, signatures=served.signatures())
    described = f"{unfinished}/{INFERENCE_FILE}"
    tf.io.gfile.makedirs(described.rpartition("/")[0])
    with tf.io.gfile.GFile(described, "w") as file:
        file.write(inference.model_dump_json())
    tf.io.gfile.rename(unfinished, folder)
