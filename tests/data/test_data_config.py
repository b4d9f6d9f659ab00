from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from data.config import DataConfig

Make = Callable[..., DataConfig]
RED, BLUE = [255, 0, 0], [0, 0, 255]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"num_classes": 3, "mask_encoding": "binary"}, "binary needs exactly 2 classes, got 3"),
        ({"void_values": [1]}, "1 in a mask means both void and c1"),
        (
            {"classes": [{"id": 0, "name": "a"}, {"id": 1, "name": "b", "mask_values": [0, 1]}]},
            "0 in a mask means both a and b",
        ),
        (
            {
                "classes": [{"id": 0, "name": "a", "colour": RED}, {"id": 1, "name": "b", "colour": RED}],
                "mask_encoding": "rgb",
            },
            "(255, 0, 0) in a mask means both a and b",
        ),
        (
            {
                "classes": [{"id": 0, "name": "a", "colour": RED}, {"id": 1, "name": "b", "colour": BLUE}],
                "mask_encoding": "rgb",
                "void_colours": [BLUE],
            },
            "(0, 0, 255) in a mask means both void and b",
        ),
    ],
)
def test_ambiguous_masks_are_refused(make_config: Make, keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make_config(**keys)
    assert said in str(caught.value)


def test_what_is_not_ambiguous_passes(make_config: Make) -> None:
    make_config(mask_encoding="binary", void_values=[255])
    make_config(
        mask_encoding="rgb", classes=[{"id": i, "name": str(i), "colour": [i, 0, 0]} for i in range(2)]
    )
    # Equal colours only matter where masks hold colours.
    make_config(classes=[{"id": i, "name": str(i), "colour": RED} for i in range(2)])
