"""The network of a model in the formats that are pushed besides the SavedModel.

Imports TensorFlow when there is something to make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.config import ExtraFormat, WeightsType
from components.manifest import ManifestAgreement, ManifestFormat, ManifestTensor
from data.errors import Problem, RefusedError
from data.features import IMAGE_ENCODED
from data.pushed_files import FORMAT_FILES

if TYPE_CHECKING:
    from trainer.compare_networks import Predict
    from trainer.exported_network import ExportedNetwork

TOLERANCES: dict[WeightsType, float] = {"float32": 1e-3, "float16": 2e-2}
"""Of logits, as a share of the largest one. Sums in another order differ by less than the first; a weight of
float16 is rounded by up to 0.0005 of itself, and a logit has passed many layers."""

_KEY = "push.extra_formats"
_AXES = ("batch", "height", "width")


@dataclass(frozen=True)
class FormatMaker:
    """What is wanted, and what it is to be tried on.

    Attributes:
        wanted: the type of the weights of each format.
        examples: serialized raw examples.
    """

    wanted: Mapping[ExtraFormat, WeightsType]
    examples: Sequence[bytes]

    def make(self, model_dir: str, folder: Path) -> dict[str, ManifestFormat]:
        """Writes the files, and holds each network against the SavedModel's.

        Args:
            model_dir: folder of the SavedModel.
            folder: where the files go, by the names of ``FORMAT_FILES``.

        Raises:
            RefusedError: a format cannot hold the network, or its network says something else.
        """
        from trainer.exported_network import ConversionError, ExportedNetwork

        network = ExportedNetwork(model_dir)
        made: dict[str, ManifestFormat] = {}
        for name, weights in self.wanted.items():
            try:
                predict = _convert(name, weights, network, folder / FORMAT_FILES[name])
                agreement = self._compare(name, weights, network, predict)
            except ConversionError as error:
                what = f"the network cannot be pushed as {name}: {error}"
                remedy = f"Take {name} out of {_KEY}, or take another trainer.model.head"
                raise RefusedError([Problem(_KEY, what, remedy, "format_not_made")]) from error
            made[name] = _describe(name, weights, network, agreement)
        return made

    def _compare(
        self, name: ExtraFormat, weights: WeightsType, network: ExportedNetwork, predict: Predict
    ) -> ManifestAgreement:
        import tensorflow as tf

        from trainer.compare_networks import compare_networks, find_disagreement
        from trainer.exported_network import ConversionError

        feature = {IMAGE_ENCODED: tf.io.FixedLenFeature([], tf.string)}
        images = (tf.io.parse_single_example(example, feature)[IMAGE_ENCODED] for example in self.examples)
        frames = (network.prepare(image.numpy()) for image in images)
        try:
            agreement = compare_networks(network.predict, predict, frames)
        except Exception as error:  # Each runtime has exceptions of its own.
            raise ConversionError(f"it does not run: {' '.join(str(error).split())[:300]}") from error
        if what := find_disagreement(agreement, TOLERANCES[weights]):
            remedy = f"Take {name} out of {_KEY}" + (
                ", or set push.tflite_weights to float32" if weights == "float16" else ""
            )
            problem = Problem(_KEY, f"{FORMAT_FILES[name]} {what}", remedy, "format_disagrees")
            raise RefusedError([problem])
        return ManifestAgreement(**asdict(agreement), tolerance=TOLERANCES[weights])


def _convert(name: ExtraFormat, weights: WeightsType, network: ExportedNetwork, file: Path) -> Predict:
    """Writes one file; returns the function that it holds."""
    if name == "tflite":
        from trainer.convert_tflite import convert_to_tflite, open_tflite

        convert_to_tflite(network, file, float16_weights=weights == "float16")
        return open_tflite(file)
    from trainer.convert_onnx import convert_to_onnx, open_onnx

    convert_to_onnx(network, file)
    return open_onnx(file)


def _describe(
    name: ExtraFormat, weights: WeightsType, network: ExportedNetwork, agreement: ManifestAgreement
) -> ManifestFormat:
    from trainer.exported_network import INPUT_NAME, OUTPUT_NAME

    height_px, width_px, _ = network.frame_shape
    return ManifestFormat(
        file=FORMAT_FILES[name],
        weights=weights,
        input=ManifestTensor(
            name=INPUT_NAME,
            dtype="float32",
            shape=(1, height_px, width_px, 3),
            axes=(*_AXES, "channel"),
            meaning="RGB from 0 to 255; the network normalises by itself",
        ),
        output=ManifestTensor(
            name=OUTPUT_NAME,
            dtype="float32",
            shape=(1, height_px, width_px, network.num_classes),
            axes=(*_AXES, "class"),
            meaning="logits in the order of classes: the largest is the pixel's class",
        ),
        padding=network.find_padding(),
        agreement=agreement,
    )
