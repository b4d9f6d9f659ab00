from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from data.config import DataConfig
from data.errors import RefusedError
from data.propose_classes import ProposedClasses, propose_classes
from data.read_class_names import NamedClass
from data.survey_masks import MaskSurvey


def propose(
    values: Iterable[int] = (), colours: Iterable[Any] = (), named: Any = None, **keys: Any
) -> ProposedClasses:
    """Proposes for masks that hold these values or colours, each once."""
    counts, painted = dict.fromkeys(values, 1), dict.fromkeys(colours, 1)
    kind = keys.pop("kind", "colour" if painted else "grey")
    masks_of_value: dict[Any, int] = dict.fromkeys([*counts, *painted], keys.pop("masks", 1))
    masks_of_value |= keys.pop("rare", {})
    survey = MaskSurvey({kind: max(masks_of_value.values())}, counts, painted, masks_of_value)
    proposal = propose_classes(keys.pop("layout", "folder"), survey, named, "root")
    # What is proposed must be a configuration that loads.
    DataConfig(
        root="root",
        mask_encoding=proposal.encoding,
        classes=proposal.classes,
        void_values=proposal.void_values,
        void_colours=proposal.void_colours,
    )
    return proposal


def meanings(proposal: ProposedClasses) -> dict[str, int]:
    """Class name -> value in the mask files."""
    return {entry.name: (entry.mask_values or (entry.id,))[0] for entry in proposal.classes}


def test_binary_masks() -> None:
    proposal = propose([0, 255])
    assert proposal.encoding == "binary" and meanings(proposal) == {"background": 0, "foreground": 1}


@pytest.mark.parametrize(("values", "void"), [([0, 1], ()), ([0, 1, 255], (255,))])
def test_two_ids(values: list[int], void: tuple[int, ...]) -> None:
    proposal = propose(values)
    assert proposal.encoding == "id" and proposal.void_values == void
    assert meanings(proposal) == {"background": 0, "foreground": 1}


def test_dense_ids_with_a_gap() -> None:
    proposal = propose([0, 1, 2, 4, 5, 65535])
    assert [entry.name for entry in proposal.classes] == [f"class_{index}" for index in range(6)]
    assert proposal.void_values == (65535,) and "[3]" in proposal.warnings[0]
    assert all(entry.mask_values is None for entry in proposal.classes)


@pytest.mark.parametrize("values", [[0, 38, 75, 113], [1, 2, 3], [0, 128, 255], [7000, 8000]])
def test_sparse_values_become_mask_values(values: list[int]) -> None:
    proposal = propose(values)
    assert meanings(proposal) == {f"class_{value}": value for value in values}
    assert proposal.void_values == () and "gaps" in proposal.warnings[0]


def test_palette_masks() -> None:
    assert propose([0, 1, 2], kind="palette").encoding == "palette"
    voc = propose([0, 15, 255], kind="palette", layout="voc")
    assert meanings(voc)["person"] == 15 and voc.void_values == (255,) and len(voc.classes) == 21
    assert len(propose([0, 1, 40], kind="palette", layout="voc").classes) == 3


def test_camvid_and_cityscapes() -> None:
    camvid = propose([0, 3, 11], layout="camvid")
    assert meanings(camvid)["Bicyclist"] == 10 and camvid.void_values == (11,) and len(camvid.classes) == 11
    city = propose([7, 26, 4], layout="cityscapes")
    assert meanings(city)["car"] == 26 and len(city.classes) == 19 and 4 in city.void_values
    assert len(propose([0, 12], layout="camvid").classes) == 2


def test_named_values() -> None:
    names = [NamedClass(name, value, None) for value, name in enumerate(["void", "road", "sky"])]
    proposal = propose([0, 1, 2], named=("classes.txt", names))
    assert meanings(proposal) == {"road": 1, "sky": 2} and proposal.void_values == (0,)
    assert proposal.source == "classes.txt" and not proposal.warnings


def test_one_value_behind_the_names_is_void_and_others_are_classes() -> None:
    names = [NamedClass("road", 0, None), NamedClass("sky", 1, None)]
    proposal = propose([0, 1, 2, 9, 255], named=("classes.txt", names))
    assert meanings(proposal) == {"road": 0, "sky": 1, "class_9": 9} and proposal.void_values == (2, 255)
    assert any("2 is one behind" in text for text in proposal.warnings)
    assert any("[9]" in text for text in proposal.warnings)


def test_names_of_binary_masks() -> None:
    names = [NamedClass("skin", 0, None), NamedClass("lesion", 1, None)]
    proposal = propose([0, 255], named=("classes.txt", names))
    assert proposal.encoding == "binary" and meanings(proposal) == {"skin": 0, "lesion": 1}


def test_colours_with_and_without_names() -> None:
    colours = [(128, 0, 0), (0, 0, 0), (1, 2, 3)]
    bare = propose(colours=colours)
    assert [(entry.name, entry.colour) for entry in bare.classes] == [
        ("background", (0, 0, 0)),
        ("class_1", (1, 2, 3)),
        ("class_2", (128, 0, 0)),
    ]
    names = [
        NamedClass("Void", 0, (0, 0, 0)),
        NamedClass("roof", 1, (128, 0, 0)),
        NamedClass("sea", 2, (0, 0, 9)),
    ]
    named = propose(colours=colours, named=("label_colors.txt", names))
    assert [entry.name for entry in named.classes] == ["roof", "sea", "colour_1_2_3"]
    assert named.void_colours == ((0, 0, 0),) and "(1, 2, 3)" in named.warnings[0]


def test_a_grey_mask_among_colour_masks_shows_grey_colours() -> None:
    survey = MaskSurvey({"colour": 3, "grey": 1}, {0: 5}, {(9, 0, 0): 1}, {})
    classes = propose_classes("folder", survey, None, "root").classes
    assert [entry.colour for entry in classes] == [(0, 0, 0), (9, 0, 0)]


def test_photographs_and_instance_ids_are_refused() -> None:
    with pytest.raises(RefusedError, match="more than 255 colours"):
        propose(colours=[(index, 0, index % 7) for index in range(256)])
    with pytest.raises(RefusedError, match="300 values"):
        propose(range(300))
    with pytest.raises(RefusedError, match="none of its masks can be read"):
        propose_classes("folder", MaskSurvey({"unreadable": 4}, {}, {}, {}), None, "root")


@pytest.mark.parametrize(
    ("values", "stray", "keys", "count"),
    [
        ([0, 1, 2, 42, 255], 42, {}, 3),
        ([0, 3, 11, 12], 12, {"layout": "camvid"}, 11),
        ([0, 20, 21, 255], 21, {"layout": "voc"}, 21),
        ([0, 128, 255], 128, {}, 2),
        ([0, 1, 7], 7, {"named": ("f", [NamedClass("a", 0, None), NamedClass("b", 1, None)])}, 2),
    ],
)
def test_one_odd_mask_makes_no_class(values: list[int], stray: int, keys: dict[str, Any], count: int) -> None:
    proposal = propose(values, masks=100, rare={stray: 2}, **keys)
    assert len(proposal.classes) == count and stray not in proposal.void_values
    assert f"[{stray}]" in proposal.warnings[-1] and "mistakes" in proposal.warnings[-1]
    meant = propose(values, masks=100, rare={stray: 3}, **keys)
    assert not any("mistakes" in warning for warning in meant.warnings)


def test_a_rare_neighbour_of_other_values_is_a_class() -> None:
    assert len(propose([0, 1, 2, 3], masks=100, rare={3: 1}).classes) == 4


def test_a_photograph_among_colour_masks_makes_no_classes() -> None:
    photo = [(index % 256, index // 256, 7) for index in range(900)]
    proposal = propose(colours=[(0, 0, 0), (9, 9, 200), *photo], masks=100, rare=dict.fromkeys(photo, 1))
    assert [entry.colour for entry in proposal.classes] == [(0, 0, 0), (9, 9, 200)]


def test_one_value_only_still_makes_two_classes() -> None:
    for values in ([0], [5], [255], [1]):
        proposal = propose(values)
        assert len(proposal.classes) >= 2
