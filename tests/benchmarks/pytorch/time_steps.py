"""Trains the small FCN in PyTorch on one fixed batch, and says how fast: a program of its own.

Reads one JSON object from the first line of its standard input (``width``, ``head``, ``num_classes``,
``dropout``, ``batch_size``, ``height``, ``width_px``, ``ignore_id``, ``learning_rate``, ``weight_decay``,
``clip_norm``, ``steps``, ``precision``), answers with the number of weights, and then, for each further
line, trains for so many steps and prints the images per second.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import torch
from small_fcn import SmallFcn


def main() -> None:
    """Answers until its standard input ends."""
    job = json.loads(sys.stdin.readline())
    torch.manual_seed(0)
    model = SmallFcn(job["width"], job["head"], job["num_classes"], job["dropout"])
    model = model.to(memory_format=torch.channels_last).train()
    say(sum(weight.numel() for weight in model.parameters()))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=job["learning_rate"], weight_decay=job["weight_decay"], fused=True
    )
    images, masks = make_batch(job)
    for _ in range(2):
        step(model, optimizer, images, masks, job)
    for _ in sys.stdin:
        started = time.perf_counter()
        for _ in range(job["steps"]):
            step(model, optimizer, images, masks, job)
        say(job["steps"] * job["batch_size"] / (time.perf_counter() - started))


def make_batch(job: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns images, padded below and on the right to multiples of 32, and masks likewise with void."""
    height, width = (side + -side % 32 for side in (job["height"], job["width_px"]))
    images = torch.randn(job["batch_size"], 3, height, width).to(memory_format=torch.channels_last)
    masks = torch.randint(0, job["num_classes"], (job["batch_size"], height, width))
    masks[:, job["height"] :], masks[:, :, job["width_px"] :] = job["ignore_id"], job["ignore_id"]
    return images, masks


def step(model: Any, optimizer: Any, images: Any, masks: Any, job: dict[str, Any]) -> None:
    """Takes one step."""
    with torch.autocast("cpu", torch.bfloat16, enabled=job["precision"] == "mixed_bfloat16"):
        logits = model(images)
    loss = torch.nn.functional.cross_entropy(logits.float(), masks, ignore_index=job["ignore_id"])
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), job["clip_norm"])
    optimizer.step()
    loss.item()


def say(answer: Any) -> None:
    """Prints a line at once."""
    print(answer, flush=True)


if __name__ == "__main__":
    main()
