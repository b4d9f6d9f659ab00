"""What a look at a data set should make its owner think about; none of it stops a run."""

from __future__ import annotations

from collections.abc import Iterator

from data.check_report import CheckReport
from data.config import DataConfig
from data.wording import count

FEW_TRAIN_IMAGES = 50
FEW_JUDGED_IMAGES = 10
TINY_SHARE = 0.001
DOMINANT_SHARE = 0.9
MUCH_VOID = 0.5
UNLIKE = 0.4
_SHOWN_FEATURES = 3


def find_warnings(report: CheckReport, config: DataConfig) -> tuple[str, ...]:
    """Returns what looks wrong but may be meant, as sentences."""
    return (
        *_about_counts(report),
        *_about_classes(report),
        *_about_splits(report),
        *_about_images(report, config),
    )


def _about_counts(report: CheckReport) -> Iterator[str]:
    for name, split in report.splits.items():
        if name == "train" and split.pairs < FEW_TRAIN_IMAGES:
            yield f"only {count(split.pairs, 'training image')}: expect a model that knows little else"
        elif name != "train" and split.pairs < FEW_JUDGED_IMAGES:
            yield f"only {count(split.pairs, 'image')} in {name}: metrics on them will jump from run to run"


def _about_classes(report: CheckReport) -> Iterator[str]:
    for name, split in report.splits.items():
        images_of = dict(zip(report.class_names, split.class_images, strict=True))
        absent = [label for label, images in images_of.items() if not images]
        if not any(split.class_images):
            continue
        if absent and name == "train":
            yield f"never seen in train, so never learned: {', '.join(absent)}"
        elif absent:
            yield f"absent from {name}, so without IoU there: {', '.join(absent)}"
        void = split.void_pixels / max(1, split.void_pixels + sum(split.class_pixels))
        if void > MUCH_VOID:
            yield f"{void:.0%} of the pixels in {name} are void"
    train = report.splits.get("train")
    if train is None:
        return
    shares = dict(zip(report.class_names, train.shares(), strict=True))
    tiny = [f"{label} ({share:.2%})" for label, share in shares.items() if 0 < share < TINY_SHARE]
    if tiny:
        yield f"under {TINY_SHARE:.1%} of the training pixels, hard to learn: {', '.join(tiny)}"
    for label, share in shares.items():
        if share > DOMINANT_SHARE:
            yield f"{label} is {share:.1%} of the training pixels: judge by mean IoU, not by pixel accuracy"


def _about_splits(report: CheckReport) -> Iterator[str]:
    for split, distances in report.split_distances.items():
        far = sorted(((value, name) for name, value in distances.items() if value > UNLIKE), reverse=True)
        if far:
            shown = ", ".join(f"{name} ({value:.2f})" for value, name in far[:_SHOWN_FEATURES])
            more = f" and {len(far) - _SHOWN_FEATURES} more" if len(far) > _SHOWN_FEATURES else ""
            yield f"{split} is unlike train in {shown}{more}; 0 is alike, 1 has nothing in common"


def _about_images(report: CheckReport, config: DataConfig) -> Iterator[str]:
    if len(report.sizes) > 1:
        widths = [width for (width, _), _ in report.sizes]
        heights = [height for (_, height), _ in report.sizes]
        yield (
            f"{len(report.sizes)} image sizes, {min(widths)} to {max(widths)} px wide and {min(heights)} to "
            f"{max(heights)} px high: all are fitted into one working size"
        )
    total = sum(report.kinds.values())
    grey = sum(images for kind, images in report.kinds.items() if ", 1 ch" in kind or ", 2 ch" in kind)
    if 0 < grey < total:
        yield f"{grey} of {total} images are grey, the others are in colour"
    deep = sum(images for kind, images in report.kinds.items() if "16 bit" in kind)
    if deep and config.bit_depth == 8:
        yield f"{deep} of {total} images have 16 bits, of which 8 are kept: data.bit_depth: 16 keeps all"
