"""Any class table on any pixels: the ids that a plain dictionary gives."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from data.config import DataConfig
from data.decode_mask import build_mask_codec

NAME = "labels"


def check(data: bytes) -> None:
    """Holds the codec of ``config`` against a dictionary, on the PNG of ``pixels``."""
    try:
        document = json.loads(data)
        tree = json.dumps({"root": "unused", **document["config"]})
        config = DataConfig.model_validate_json(tree, strict=True)
        pixels = np.array(document["pixels"], np.uint16)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, ValidationError):
        return
    is_rgb = config.mask_encoding == "rgb"
    if pixels.ndim != (3 if is_rgb else 2) or not pixels.size or (is_rgb and pixels.shape[2] != 3):
        return
    narrow = is_rgb or pixels.max() < 256
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8) if narrow else pixels).save(stream, "PNG")
    found = build_mask_codec(config).decode(stream.getvalue())
    stored = pixels.astype(np.uint8) if narrow else pixels
    values = [tuple(p) if is_rgb else p for row in stored.tolist() for p in row]
    meaning = _read_meaning(config)
    expected = [meaning.get(value, config.ignore_id) for value in values]
    assert found.class_ids.ravel().tolist() == expected
    assert dict(found.unknown) == Counter(value for value in values if value not in meaning)
    assert found.is_canonical == (narrow and not is_rgb and not found.unknown and expected == values)


def _read_meaning(config: DataConfig) -> dict[Any, int]:
    """Returns what each value or colour means: what a table says counts before what goes without saying."""
    if config.mask_encoding == "rgb":
        said: dict[Any, int] = {entry.colour: entry.id for entry in config.classes}
        return {colour: config.ignore_id for colour in config.void_colours} | said
    void = {value: config.ignore_id for value in config.void_values}
    unsaid, said = {}, {}
    for entry in config.classes:
        if entry.mask_values is not None:
            said |= dict.fromkeys(entry.mask_values, entry.id)
        else:
            foreground = config.mask_encoding == "binary" and entry.id == 1
            unsaid |= dict.fromkeys((1, 255) if foreground else (entry.id,), entry.id)
    return void | unsaid | said


_VALUES = st.one_of(
    st.integers(0, 6), st.sampled_from([17, 85, 200, 254, 255, 256, 65535]), st.integers(-2, 70_000)
)
_COLOURS = st.tuples(*(st.sampled_from([0, 1, 127, 255]),) * 3).map(list)


@st.composite
def _documents(draw: st.DrawFn) -> bytes:
    encoding = draw(st.sampled_from(["id", "palette", "rgb", "binary"]))
    count = 2 if encoding == "binary" else draw(st.integers(2, 5))
    rows: list[dict[str, Any]] = [{"id": index, "name": f"c{index}"} for index in range(count)]
    for row in rows:
        if encoding == "rgb":
            row["colour"] = draw(_COLOURS)
        elif draw(st.booleans()):
            row["mask_values"] = draw(st.lists(_VALUES, max_size=3))
    config: dict[str, Any] = {"classes": rows, "mask_encoding": encoding}
    if draw(st.booleans()):
        config["ignore_id"] = draw(st.sampled_from([255, 254, 100, 5]))
    if draw(st.booleans()):
        config["void_values"] = draw(st.lists(_VALUES, max_size=3))
    if draw(st.booleans()):
        config["void_colours"] = draw(st.lists(_COLOURS, max_size=2))
    height, width = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    known = st.sampled_from([value for row in rows for value in row.get("mask_values") or [row["id"]]] or [0])
    one = _COLOURS if encoding == "rgb" else st.one_of(known, _VALUES).map(lambda value: value % 65536)
    pixels = [[draw(one) for _ in range(width)] for _ in range(height)]
    return json.dumps({"config": config, "pixels": pixels}).encode()


INPUTS: st.SearchStrategy[bytes] = _documents()
