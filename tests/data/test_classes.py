from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data.classes import ClassTable, SegmentationClass, build_class_table
from data.config import ClassConfig, DataConfig


def test_given_colours_are_kept_and_absent_ones_chosen_apart(make_config: Callable[..., DataConfig]) -> None:
    first_choice = build_class_table(make_config(num_classes=3)).classes[2].colour
    rows = [{"id": 0, "name": "sky", "colour": first_choice}, {"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    table = build_class_table(make_config(classes=rows))
    assert table.names == ("sky", "a", "b") and len(table) == 3
    assert table.classes[0].colour == first_choice
    assert table.classes[2].colour != first_choice


@given(st.integers(2, 255))
def test_all_colours_differ_and_none_is_voids_black(count: int) -> None:
    config = DataConfig(root="x", classes=tuple(ClassConfig(id=i, name=f"c{i}") for i in range(count)))
    colours = {entry.colour for entry in build_class_table(config).classes}
    assert len(colours) == count and (0, 0, 0) not in colours


def test_adding_a_class_leaves_the_others_their_colours(make_config: Callable[..., DataConfig]) -> None:
    few = build_class_table(make_config(num_classes=20)).classes
    assert build_class_table(make_config(num_classes=21)).classes[:20] == few


def test_a_background_is_grey_so_that_classes_stand_out(make_config: Callable[..., DataConfig]) -> None:
    rows = [{"id": 0, "name": "Background"}, {"id": 1, "name": "background"}, {"id": 2, "name": "cell"}]
    colours = [entry.colour for entry in build_class_table(make_config(classes=rows)).classes]
    assert colours[0] == (72, 76, 84)
    assert len(set(colours)) == 3


def test_palette_holds_class_colours_and_black_elsewhere() -> None:
    table = ClassTable((SegmentationClass(0, "a", (1, 2, 3)), SegmentationClass(1, "b", (9, 8, 7))), 255)
    palette = table.palette()
    assert palette.dtype == np.uint8 and palette.shape == (256, 3)
    assert palette[:2].tolist() == [[1, 2, 3], [9, 8, 7]] and not palette[2:].any()


def test_json_round_trip(make_config: Callable[..., DataConfig]) -> None:
    table = build_class_table(make_config(num_classes=4, ignore_id=200))
    assert ClassTable.from_json(table.to_json()) == table
    assert table.to_json()["classes"][3] == {"id": 3, "name": "c3", "colour": list(table.classes[3].colour)}
