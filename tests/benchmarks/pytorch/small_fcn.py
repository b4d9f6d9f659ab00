"""The small encoder with FCN skips, once more in PyTorch: the same layers, channels and weights' count."""

from __future__ import annotations

import torch
from torch import nn

SKIPS = {"fcn32s": (), "fcn16s": (16,), "fcn8s": (16, 8), "fcn4s": (16, 8, 4)}


class SmallFcn(nn.Module):
    """Images float [batch, 3, height, width], sides multiples of 32, to logits of the same size.

    Args:
        width: channels at stride 4.
        head: which skips are fused, as in ``trainer/fcn.py``.
        num_classes: channels of the logits.
        dropout: share of the deepest features that training drops.
    """

    def __init__(self, width: int, head: str, num_classes: int, dropout: float) -> None:
        super().__init__()
        channels = [width * min(2**stage, 4) for stage in range(4)]
        self.stem = convolve(3, width // 2, 2)
        self.stages = nn.ModuleList(
            nn.Sequential(convolve(before, after, 2), Residual(after))
            for before, after in zip([width // 2, *channels], channels, strict=False)
        )
        self.dropout = nn.Dropout(dropout)
        strides = (32, *SKIPS[head])
        self.scores = nn.ModuleDict(
            {str(s): nn.Conv2d(channels[s.bit_length() - 3], num_classes, 1) for s in strides}
        )
        factors = [a // b for a, b in zip(strides, (*strides[1:], 1), strict=True)]
        self.upsamplings = nn.ModuleList(
            nn.ConvTranspose2d(num_classes, num_classes, 2 * f, f, f // 2, bias=False) for f in factors
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images)
        features = {}
        for stage, stride in zip(self.stages, (4, 8, 16, 32), strict=True):
            x = features[stride] = stage(x)
        features[32] = self.dropout(features[32])
        scores = None
        for (stride, score), upsample in zip(self.scores.items(), self.upsamplings, strict=True):
            here = score(features[int(stride)]).float()
            scores = here if scores is None else scores + here
            scores = upsample(scores)
        return scores


class Residual(nn.Module):
    """Two convolutions beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolve(channels, channels, 1), *list(convolve(channels, channels, 1))[:-1]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.body(x))


def convolve(before: int, after: int, stride: int) -> nn.Sequential:
    """A 3x3 convolution without bias, batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )
