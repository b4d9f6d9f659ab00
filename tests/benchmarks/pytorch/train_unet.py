"""Trains segmentation_models.pytorch's U-Net with ResNet-18 on CamVid for some minutes, and scores it.

    make torch && .venv-torch/bin/python tests/benchmarks/pytorch/train_unet.py CAMVID --minutes 10

What a user of that library would write: AdamW, a one-cycle learning rate fitted to the time, random scale,
crop, flip and colours, cross entropy without void; from random weights. Training images wait decoded in
memory, the time is spent on steps alone, and scoring is not counted. Predictions are scaled to 360x480 and
counted in one confusion matrix over the split, void dropped. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image

CLASSES, VOID = 11, 11
MEAN, STD = torch.tensor([0.41, 0.42, 0.43]), torch.tensor([0.30, 0.31, 0.30])


def main() -> None:
    """Trains and scores."""
    options = parse()
    torch.manual_seed(options.seed)
    images, masks = read_split(options.camvid, "train", options.scale)
    model = smp.Unet("resnet18", encoder_weights=None, classes=CLASSES).to(memory_format=torch.channels_last)
    steps, losses = train(model, images, masks, options)
    matrix = score(model, options)
    print(json.dumps({**vars(options), "camvid": None, "steps": steps, "loss": losses, **metrics(matrix)}))


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("camvid", type=Path, help="folder with train, trainannot, val, valannot")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--scale", type=float, default=0.5, help="working size over the images' own")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    return parser.parse_args()


def read_split(folder: Path, split: str, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Reads a split: images float32 [count, 3, height, width], normalised, and masks int64."""
    images, masks = [], []
    for path in sorted((folder / split).iterdir()):
        image, mask = Image.open(path).convert("RGB"), Image.open(folder / f"{split}annot" / path.name)
        size = (round(image.width * scale), round(image.height * scale))
        pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float32) / 255
        images.append((torch.from_numpy(pixels) - MEAN) / STD)
        masks.append(
            torch.from_numpy(np.asarray(mask.resize(size, Image.Resampling.NEAREST)).astype("int64"))
        )
    return torch.stack(images).permute(0, 3, 1, 2), torch.stack(masks)


def train(
    model: torch.nn.Module, images: torch.Tensor, masks: torch.Tensor, options: argparse.Namespace
) -> tuple[int, float]:
    """Trains until the time is over; returns the steps and the mean loss of the last hundred."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, weight_decay=1e-2)
    started, losses, order = time.monotonic(), list[float](), torch.empty(0, dtype=torch.int64)
    model.train()
    while (share := (time.monotonic() - started) / (options.minutes * 60)) < 1:
        rise = share / 0.05 if share < 0.05 else 0.5 * (1 + math.cos(math.pi * (share - 0.05) / 0.95))
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * rise
        if len(order) < options.batch_size:
            order = torch.cat([order, torch.randperm(len(images))])
        chosen, order = order[: options.batch_size], order[options.batch_size :]
        batch, truth = augment(images[chosen], masks[chosen])
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bfloat16"):
            logits = model(batch.to(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), truth, ignore_index=VOID)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if len(losses) % 100 == 0:
            print(f"{share:.0%}, step {len(losses)}, loss {np.mean(losses[-100:]):.3f}", file=sys.stderr)
    return len(losses), float(np.mean(losses[-100:]))


def augment(images: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales by 0.75 to 1.5, cuts or pads to sides that are multiples of 32, flips, changes colours."""
    count, _, height, width = images.shape
    height, width = (side + -side % 32 for side in (height, width))
    scale = math.exp(float(torch.empty(1).uniform_(math.log(0.75), math.log(1.5))))
    images = F.interpolate(images, scale_factor=scale, mode="bilinear", antialias=True)
    masks = F.interpolate(masks[:, None].float(), size=images.shape[2:], mode="nearest")
    below, right = (max(a - b, 0) for a, b in zip((height, width), images.shape[2:], strict=True))
    images, masks = F.pad(images, (0, right, 0, below)), F.pad(masks, (0, right, 0, below), value=VOID)
    top, left = (
        int(torch.randint(0, a - b + 1, (1,))) for a, b in zip(images.shape[2:], (height, width), strict=True)
    )
    images = images[:, :, top : top + height, left : left + width]
    masks = masks[:, 0, top : top + height, left : left + width].long()
    flipped = torch.rand(count) < 0.5
    images = torch.where(flipped[:, None, None, None], images.flip(3), images)
    masks = torch.where(flipped[:, None, None], masks.flip(2), masks)
    contrast, shift = torch.empty(count, 1, 1, 1).uniform_(0.7, 1.3), torch.empty(count, 1, 1, 1)
    return images * contrast + shift.uniform_(-0.3, 0.3), masks


@torch.no_grad()
def score(model: torch.nn.Module, options: argparse.Namespace) -> np.ndarray:
    """Counts the validation split: int64 [classes, classes], rows truth, at the masks' own size."""
    model.eval()
    images, _ = read_split(options.camvid, "val", options.scale)
    matrix = np.zeros((CLASSES, CLASSES), np.int64)
    for image, path in zip(images, sorted((options.camvid / "valannot").iterdir()), strict=True):
        truth = np.asarray(Image.open(path))
        height, width = image.shape[1:]
        padded = F.pad(image[None], (0, -width % 32, 0, -height % 32))
        logits = model(padded)[:, :, :height, :width]
        logits = F.interpolate(logits, size=truth.shape, mode="bilinear")
        known = truth != VOID
        pairs = CLASSES * truth[known].astype(np.int64) + logits.argmax(1)[0].numpy()[known]
        matrix += np.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    return matrix


def metrics(matrix: np.ndarray) -> dict[str, object]:
    """Returns pixel accuracy and mean IoU; written out here, so that nothing is shared with ours."""
    hits = np.diag(matrix)
    iou = hits / (matrix.sum(0) + matrix.sum(1) - hits)
    return {"pixel_accuracy": hits.sum() / matrix.sum(), "mean_iou": float(iou.mean()), "iou": iou.tolist()}


if __name__ == "__main__":
    main()
