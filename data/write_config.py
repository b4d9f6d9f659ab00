"""Writing a proposal as a commented YAML configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from data.check_report import CheckReport
from data.classes import build_class_table
from data.config import DataConfig
from data.recognise_dataset import Proposal
from data.replace_file import replace_file

_COMMENT_COLUMN = 40


def write_config(proposal: Proposal, path: Path) -> None:
    """Writes the whole configuration of a pipeline for a recognised data set; all of it or nothing."""
    replace_file(path, render_config(proposal))


def render_config(proposal: Proposal) -> str:
    """Returns the configuration as YAML text that says what each setting does and why it was chosen."""
    lines = [
        *_head(proposal),
        *_data_section(proposal),
        *_transform_section(proposal),
        *_training_sections(proposal),
        *_gate_sections(proposal),
    ]
    return "\n".join(lines) + "\n"


def _head(proposal: Proposal) -> Iterator[str]:
    report = proposal.report
    yield "# Written by `deconvflow init`, to be edited. Any value can also be set for one run:"
    yield "#   deconvflow run --config THIS --set trainer.epochs=20"
    counts = ", ".join(f"{split.pairs} {name}" for name, split in report.splits.items())
    yield f"# Found: layout {report.layout}; {report.pairs} pairs ({counts}); {_describe_sizes(report)}."
    if report.examined < report.pairs:
        yield f"# Looked at {report.examined} pairs, evenly spread; `deconvflow check` looks at all."
    for sentence in (*proposal.warnings, *report.notes):
        yield f"# Note: {_plain(sentence)}."
    if report.problems:
        yield f"# {len(report.problems)} problems must be mended before a run: see `deconvflow check`."
    yield ""
    yield _commented(
        f"name: {_scalar(proposal.name)}", "the pipeline's name: its history and pushed versions"
    )
    yield ""


def _data_section(proposal: Proposal) -> Iterator[str]:
    config = proposal.config
    yield "data:"
    yield _commented(f"  root: {_scalar(config.root)}", "a relative one starts at this file's folder")
    yield _commented(f"  layout: {config.layout}", "folder, camvid, voc or cityscapes")
    if config.layout == "folder":
        yield _commented(f"  images: {_scalar(config.images)}", "the images' folder below root")
        yield _commented(f"  masks: {_scalar(config.masks)}", "the masks' folder below root")
        if config.mask_suffix:
            yield _commented(
                f"  mask_suffix: {_scalar(config.mask_suffix)}", "a mask's name is the image's and this"
            )
    yield _commented(f"  mask_encoding: {config.mask_encoding}", "id, palette, rgb or binary (0 and 255)")
    yield _commented(f"  ignore_id: {config.ignore_id}", "what void becomes; never learned, never counted")
    if config.mask_encoding == "rgb":
        yield _commented(
            f"  void_colours: {_flow(config.void_colours)}", "colours in the masks that mean void"
        )
    else:
        yield _commented(f"  void_values: {_flow(config.void_values)}", "values in the masks that mean void")
    if config.attributes is not None:
        yield _commented(f"  attributes: {_scalar(config.attributes)}", "image-level attributes, for slices")
    yield f"  # Class names: {_plain(proposal.classes.source)}. Shares are of all pixels that are not void."
    yield "  classes:"
    yield from _class_rows(config, proposal.report)
    yield "  # To go on without a few bad files: on_bad_example: quarantine, and max_bad_share: 0.01 or so"
    if not proposal.report.own_splits:
        yield "  # The data set has no splits of its own: a hash of the image id decides, stably."
        yield f"  splits: {_flow(config.splits.model_dump())}"
    yield ""


def _class_rows(config: DataConfig, report: CheckReport) -> Iterator[str]:
    pixels = report.total_class_pixels()
    total = max(1, sum(pixels))
    rows = []
    for entry, drawn in zip(config.classes, build_class_table(config).classes, strict=True):
        row: dict[str, Any] = {"id": entry.id, "name": entry.name, "colour": drawn.colour}
        if entry.mask_values is not None:
            row["mask_values"] = entry.mask_values
        rows.append(f"    - {_flow(row)}")
    longest = max(len(row) for row in rows)
    for text, count in zip(rows, pixels, strict=True):
        yield f"{text.ljust(longest)}  # {count / total:7.3%}"


def _transform_section(proposal: Proposal) -> Iterator[str]:
    settings = proposal.settings
    yield "# The working size: images are scaled to fit it and padded; predictions go back to each image's"
    yield "# own size. More pixels show finer things and cost time in proportion; multiples of 8 fit best."
    yield "transform:"
    yield _commented(f"  height_px: {settings.height_px}", f"images: {_describe_sizes(proposal.report)}")
    yield f"  width_px: {settings.width_px}"
    yield ""


def _training_sections(proposal: Proposal) -> Iterator[str]:
    settings = proposal.settings
    flip = "true" if settings.flip_horizontal else "false"
    yield "augment:"
    yield _commented("  scale_min: 0.75", "training images are scaled at random, then cut or padded")
    yield "  scale_max: 1.5"
    yield "  rotation_degrees: 5.0"
    yield _commented(f"  flip_horizontal: {flip}", "false where left and right differ: text, digits, signs")
    yield _commented("  flip_vertical: false", "true for pictures from above or through a microscope")
    yield _commented("  crop_height_px: null", "smaller crops train faster; null is the whole working size")
    yield "  crop_width_px: null"
    yield ""
    yield "trainer:"
    yield "  model:"
    yield _commented("    backbone: small", "small suits a CPU; vgg16, resnet50 and others a GPU")
    yield _commented("    head: fcn8s", "fcn32s, fcn16s, fcn8s, fcn4s: ever finer; unet, segnet")
    yield _commented(f"  batch_size: {settings.batch_size}", "over all devices")
    yield f"  epochs: {settings.epochs}"
    yield _commented(
        f"  max_minutes: {settings.max_minutes:g}",
        "ends training earlier; null on a GPU, or for a better model",
    )
    yield "  learning_rate: 0.002"
    yield _commented(
        "  losses: [{name: cross_entropy}]", "or focal, hard_pixels, dice, lovasz_softmax; or a sum"
    )
    yield _commented(
        "  class_weighting: none", "median_frequency, inverse_sqrt or inverse favour rare classes"
    )
    yield _commented("  devices: auto", "all GPUs, or one CPU device")
    yield "  seed: 0"
    yield ""


def _gate_sections(proposal: Proposal) -> Iterator[str]:
    settings = proposal.settings
    yield "# Averages over flips, scales and windows: inference: {flip_horizontal: true, scales: [1.0, 1.25]}"
    yield "data_gate:"
    yield _commented(
        f"  max_void_share: {settings.max_void_share:g}", "stops a run when an image is void to more"
    )
    skew, comment = settings.max_split_skew, "stops a run when val or test looks less like train (0 to 1)"
    if skew is None:
        comment = "0 to 1; null lets val and test be as unlike train as they are here"
    yield _commented(f"  max_split_skew: {'null' if skew is None else f'{skew:g}'}", comment)
    yield _commented(
        "  near_duplicates: warn", "of images that look like one in another split; or fail, ignore"
    )
    yield ""
    yield "evaluation:"
    yield f"  splits: {_flow(settings.splits)}"
    yield _commented(f"  gate_split: {settings.gate_split}", "decides whether a model is pushed")
    if attributes := proposal.report.attributes:
        yield f"  # By attribute: slices: [{', '.join(f'[{_scalar(name)}]' for name in attributes)}]"
    yield "  gates:"
    yield _commented(
        f"    floors: {{mean_iou: {settings.mean_iou_floor:g}}}",
        "modest; raise it once a model is good. iou/<class> works too",
    )
    yield _commented(
        f"    max_drop: {{mean_iou: {settings.mean_iou_max_drop:g}}}", "against the last pushed model"
    )
    yield ""
    yield "smoke_test:"
    yield _commented(f"  images: {settings.smoke_test_images}", "go through every signature before a push")
    yield ""
    yield "# Where models go, if not into the workspace: push: {root: s3://bucket/serving}"
    yield "beam:"
    yield _commented("  args: []", "as on Beam's command line, e.g. [--direct_num_workers=4]")


def _describe_sizes(report: CheckReport) -> str:
    if not report.sizes:
        return "no image could be read"
    (width, height), _ = report.sizes[0]
    if len(report.sizes) == 1:
        return f"all {width}x{height}"
    return f"{len(report.sizes)} sizes, most often {width}x{height}"


def _commented(text: str, comment: str) -> str:
    return f"{text.ljust(_COMMENT_COLUMN - 2)}  # {comment}"


def _plain(text: str) -> str:
    """Returns a text that can stand in a comment: on one line, without control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _scalar(value: str) -> str:
    return _flow([value])[1:-1]


def _flow(value: Any) -> str:
    """Returns a value as YAML on one line, quoted where it must be."""
    plain = _to_lists(value)
    text = _dump(plain, allow_unicode=True)
    # Line ends and blanks beyond ASCII are safe only as escapes.
    return text if text.isprintable() else _dump(plain, allow_unicode=False)


def _dump(value: Any, allow_unicode: bool) -> str:
    text: str = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=float("inf"), allow_unicode=allow_unicode
    )
    return text.strip("\n")


def _to_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_lists(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_to_lists(item) for item in value]
    return value
