"""From what the masks hold to a class table that explains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from data.config import MAX_CLASSES, ClassConfig, LayoutName, MaskEncoding
from data.count_colours import Colour
from data.errors import Problem, RefusedError
from data.known_classes import (
    CAMVID_VOID,
    CITYSCAPES_VOID,
    VOC_VOID,
    camvid_classes,
    cityscapes_classes,
    voc_classes,
)
from data.read_class_names import NamedClass
from data.survey_masks import MaskSurvey

IGNORE_ID = 255
_LARGEST_GAP_SHARE = 0.5
_FEWEST_MASKS, _STRAY_SHARE = 5, 0.02
_VOID_OF_8_BITS, _VOID_OF_16_BITS = 255, 65535


@dataclass(frozen=True)
class ProposedClasses:
    """A class table, and how mask files hold it.

    Attributes:
        encoding: of the mask files.
        classes: with the ids 0, 1, 2, ...
        void_values: values that mean void (id and palette masks).
        void_colours: colours that mean void (RGB masks).
        source: where the names come from, as part of a sentence.
        warnings: what the owner should look at, as sentences.
    """

    encoding: MaskEncoding
    classes: tuple[ClassConfig, ...]
    void_values: tuple[int, ...] = ()
    void_colours: tuple[Colour, ...] = ()
    source: str = "made up from the masks' values"
    warnings: tuple[str, ...] = ()


def propose_classes(
    layout: LayoutName,
    survey: MaskSurvey,
    named: tuple[str, Sequence[NamedClass]] | None,
    root: str,
) -> ProposedClasses:
    """Returns the class table that the masks of a data set speak for.

    Args:
        layout: of the data set; the public ones have class tables of their own.
        survey: what the masks hold.
        named: a class file's path and its classes, if there is one.
        root: of the data set, for the problem's sake.

    Raises:
        RefusedError: if the masks hold no classes but, say, photographs.
    """
    if not survey.values and not survey.colours:
        raise RefusedError([_no_masks(root)])
    if len(survey.colours) > 0 and survey.kinds.get("colour", 0) * 2 > sum(survey.kinds.values()):
        return _from_colours(survey, named, root)
    strays = _find_strays(layout, survey, named)
    values = set(survey.values) - strays
    proposal = _from_grey(layout, survey, values, named, root)
    if not strays:
        return proposal
    warning = (
        f"the values {sorted(strays)} are in hardly any mask: taken for mistakes, not for classes; "
        "add them to data.classes or data.void_values if they are meant"
    )
    return replace(proposal, warnings=(*proposal.warnings, warning))


def _from_grey(
    layout: LayoutName,
    survey: MaskSurvey,
    values: set[int],
    named: tuple[str, Sequence[NamedClass]] | None,
    root: str,
) -> ProposedClasses:
    if layout == "cityscapes":
        return ProposedClasses(
            "id", cityscapes_classes(), CITYSCAPES_VOID, source="Cityscapes' 19 evaluated classes"
        )
    if layout == "camvid" and values <= set(range(CAMVID_VOID + 1)) and named is None:
        return ProposedClasses("id", camvid_classes(), (CAMVID_VOID,), source="CamVid's 11 classes")
    encoding: MaskEncoding = "palette" if survey.kinds.get("palette") else "id"
    if layout == "voc" and values <= {*range(21), VOC_VOID} and named is None:
        return ProposedClasses(encoding, voc_classes(), (VOC_VOID,), source="PASCAL VOC's 20 classes")
    if len(values) > MAX_CLASSES + 1:
        raise RefusedError([_too_many(root, f"{len(values)} values")])
    if named is not None:
        return _from_named_values(encoding, values, *named)
    return _from_values(encoding, values)


def _find_strays(
    layout: LayoutName, survey: MaskSurvey, named: tuple[str, Sequence[NamedClass]] | None
) -> set[int]:
    """Returns values that few masks hold and that nothing explains: one bad mask must not make a class."""
    masks = sum(survey.kinds.values()) - survey.kinds.get("unreadable", 0)
    if masks < _FEWEST_MASKS:
        return set()
    values = set(survey.values)
    explained: set[int] = {_VOID_OF_8_BITS, _VOID_OF_16_BITS}
    if named is not None:
        explained |= {entry.value for entry in named[1]} | {len(named[1])}
    elif layout == "camvid":
        explained |= set(range(CAMVID_VOID + 1))
    elif layout == "voc":
        explained |= set(range(len(voc_classes())))
    else:
        # Neighbours of other values are as likely to be rare classes.
        explained |= {value for value in values if {value - 1, value + 1} & values}
    rare = max(1, masks * _STRAY_SHARE)
    return {value for value in values - explained if survey.masks_of_value.get(value, 0) <= rare}


def _from_values(encoding: MaskEncoding, values: set[int]) -> ProposedClasses:
    if values == {0, 255} and encoding == "id":
        return ProposedClasses("binary", _number(["background", "foreground"]))
    void = {_VOID_OF_8_BITS, _VOID_OF_16_BITS} & values
    kept = sorted(values - void)
    dense = bool(kept) and kept[0] == 0 and len(kept) >= (1 - _LARGEST_GAP_SHARE) * (kept[-1] + 1)
    warnings: list[str] = []
    if dense and kept[-1] < MAX_CLASSES:
        count = max(2, kept[-1] + 1)
        names = ["background", "foreground"] if count == 2 else [f"class_{index}" for index in range(count)]
        if absent := sorted(set(range(count)) - values):
            warnings.append(f"no mask holds the values {absent}: check that they are classes")
        return ProposedClasses(encoding, _number(names), tuple(void), warnings=tuple(warnings))
    every = sorted(values)
    if len(every) < 2:
        every = sorted({0, *every, 1})[:2]
        warnings.append("all masks hold one value only: there is nothing to tell apart")
    warnings.append(f"the masks' values {every} have gaps: check which of them are classes and which void")
    classes = tuple(
        ClassConfig(id=index, name=f"class_{value}", mask_values=(value,))
        for index, value in enumerate(every)
    )
    return ProposedClasses(encoding, classes, warnings=tuple(warnings))


def _from_named_values(
    encoding: MaskEncoding, values: set[int], source: str, named: Sequence[NamedClass]
) -> ProposedClasses:
    void = {entry.value for entry in named if entry.is_void}
    classes = [entry for entry in named if not entry.is_void]
    known = {entry.value for entry in named}
    if values == {0, 255} and known == {0, 1}:
        return ProposedClasses("binary", _number([entry.name for entry in classes]), source=source)
    unnamed = sorted(values - known)
    void |= set(unnamed) & {_VOID_OF_8_BITS, _VOID_OF_16_BITS, len(named)}
    extra = [value for value in unnamed if value not in void]
    warnings = []
    if len(named) in void and len(named) in unnamed:
        warnings.append(f"the value {len(named)} is one behind the last class of {source}: taken for void")
    if extra:
        warnings.append(f"the masks hold the values {extra}, which {source} does not name")
        classes += [NamedClass(f"class_{value}", value, None) for value in extra]
    rows = tuple(
        ClassConfig(
            id=index,
            name=entry.name,
            colour=entry.colour,
            mask_values=None if entry.value == index else (entry.value,),
        )
        for index, entry in enumerate(sorted(classes, key=lambda entry: entry.value))
    )
    return ProposedClasses(encoding, rows, tuple(sorted(void)), source=source, warnings=tuple(warnings))


def _from_colours(
    survey: MaskSurvey, named: tuple[str, Sequence[NamedClass]] | None, root: str
) -> ProposedClasses:
    colours = dict(survey.colours)
    for value, pixels in survey.values.items():
        # A mask that is grey throughout shows the grey colours of the others.
        colours[value, value, value] = colours.get((value, value, value), 0) + pixels
    if len(colours) > MAX_CLASSES:
        # A photograph among the masks holds thousands of colours that no other mask has.
        rare = max(1, sum(survey.kinds.values()) * _STRAY_SHARE)
        colours = {key: n for key, n in colours.items() if survey.masks_of_value.get(key, rare + 1) > rare}
    if not 0 < len(colours) <= MAX_CLASSES:
        raise RefusedError([_too_many(root, f"more than {MAX_CLASSES} colours")])
    if named is not None and any(entry.colour for entry in named[1]):
        return _from_named_colours(colours, *named)
    rows = []
    for index, colour in enumerate(sorted(colours)):
        name = "background" if colour == (0, 0, 0) else f"class_{index}"
        rows.append(ClassConfig(id=index, name=name, colour=colour))
    warnings = ("the colours have no names yet: name them, and move those that mean void to void_colours",)
    return ProposedClasses("rgb", tuple(rows), source="made up from the masks' colours", warnings=warnings)


def _from_named_colours(
    colours: Mapping[Colour, int], source: str, named: Sequence[NamedClass]
) -> ProposedClasses:
    void = tuple(entry.colour for entry in named if entry.is_void and entry.colour is not None)
    entries = [(entry.name, entry.colour) for entry in named if not entry.is_void and entry.colour]
    known = {colour for _, colour in entries} | set(void)
    warnings = []
    if extra := sorted(set(colours) - known):
        warnings.append(f"the masks hold the colours {extra}, which {source} does not name")
        entries += [("colour_{}_{}_{}".format(*colour), colour) for colour in extra]
    rows = tuple(
        ClassConfig(id=index, name=name, colour=colour) for index, (name, colour) in enumerate(entries)
    )
    return ProposedClasses("rgb", rows, void_colours=void, source=source, warnings=tuple(warnings))


def _number(names: Sequence[str]) -> tuple[ClassConfig, ...]:
    return tuple(ClassConfig(id=index, name=name) for index, name in enumerate(names))


def _no_masks(root: str) -> Problem:
    what = "none of its masks can be read"
    return Problem(root, what, "Give it PNG masks of class ids, palette indices or colours", "no_masks")


def _too_many(root: str, count: str) -> Problem:
    what = f"its masks hold {count}, more than there can be classes"
    remedy = "Use masks of class ids: no instance ids, photographs, smoothed pictures or former JPEGs"
    return Problem(root, what, remedy, "too_many_classes")
