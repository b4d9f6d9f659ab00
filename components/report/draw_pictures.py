"""Images, masks and errors as small pictures inside the page. Imports no TensorFlow."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from components.report.facts import Picture
from components.report.format_values import format_percent
from data.classes import ClassTable

ERROR_COLOUR = (214, 24, 106)
"""Of wrong pixels: no grey, so that it stands out from the image under it."""
VOID_COLOURS = ((122, 122, 122), (200, 200, 200))
"""Of the hatching of void pixels: a class may be black."""
MAX_SIDE_PX = 480
_PNG_BELOW_PX = 160
_GREYS = 32
_NAMED_CLASSES = 4

Ids = NDArray[np.uint8]


def draw_image(encoded: bytes, image_id: str) -> Picture:
    """Returns the image as it is displayed, scaled down to MAX_SIDE_PX.

    Args:
        encoded: a PNG or JPEG file of 8 or 16 bits, grey or in colour.
        image_id: names it in the alternative text.
    """
    image = open_image(encoded)
    text = f"Image {image_id}, {image.width} by {image.height} pixels"
    image = image.resize(_fit(image.size), Image.Resampling.LANCZOS)
    # JPEG blurs what little a small image has.
    if max(image.size) < _PNG_BELOW_PX:
        return _picture(image, "png", text)
    return _picture(image, "jpeg", text)


def open_image(encoded: bytes) -> Image.Image:
    """Returns a decoded image in RGB with 8 bits, EXIF orientation applied."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded)))
    if image.mode.startswith("I"):
        values = np.asarray(image, np.float64) / 257
        image = Image.fromarray(values.round().astype(np.uint8))
    return image.convert("RGB")


def decode_ids(encoded: bytes) -> Ids:
    """Returns the class ids of an 8-bit grey PNG, uint8 [height, width]."""
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("L"))


def draw_mask(class_ids: Ids, classes: ClassTable, what: str) -> Picture:
    """Returns a mask in the classes' colours, void hatched.

    Args:
        class_ids: uint8 [height, width].
        classes: their names and colours.
        what: begins the alternative text (``Truth``).
    """
    small = _resize_ids(class_ids)
    palette = classes.palette()
    void = small == classes.ignore_id
    # The last ids are those of classes only in a table of 255.
    hatch = (255, 254) if len(classes) <= 254 and classes.ignore_id != 254 else (255, 255)
    indices = np.where(void, _hatch(small.shape, *hatch), small).astype(np.uint8)
    if void.any():
        palette[hatch[1]], palette[hatch[0]] = VOID_COLOURS[1], VOID_COLOURS[0]
    return _picture(_paletted(indices, palette), "png", f"{what}: {_name_classes(class_ids, classes)}")


def draw_error(image: Image.Image, truth: Ids, prediction: Ids, ignore_id: int) -> Picture:
    """Returns the image in pale grey with its wrong pixels in ERROR_COLOUR and void hatched.

    Args:
        image: the image, of the masks' size.
        truth: uint8 [height, width].
        prediction: uint8 [height, width].
        ignore_id: the id of void in ``truth``.
    """
    void = truth == ignore_id
    wrong = (truth != prediction) & ~void
    kinds = _resize_ids(np.where(void, 2, wrong).astype(np.uint8))
    grey = np.asarray(image.convert("L").resize(_fit(image.size), Image.Resampling.LANCZOS))
    indices = grey // (256 // _GREYS)
    indices = np.where(kinds == 1, _GREYS, indices)
    indices = np.where(kinds == 2, _hatch(kinds.shape, _GREYS + 1, _GREYS + 2), indices)
    palette = np.zeros((256, 3), np.uint8)
    palette[:_GREYS] = np.linspace(130, 250, _GREYS).round()[:, None]
    palette[_GREYS : _GREYS + 3] = (ERROR_COLOUR, *VOID_COLOURS)
    labelled = int((~void).sum())
    share = format_percent(int(wrong.sum()) / labelled if labelled else None)
    text = f"Wrong: {share} of the labelled pixels"
    return _picture(_paletted(indices.astype(np.uint8), palette), "png", text)


def _fit(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    scale = min(1.0, MAX_SIDE_PX / max(size))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _resize_ids(ids: Ids) -> Ids:
    height, width = ids.shape
    image = Image.fromarray(ids)
    return np.asarray(image.resize(_fit((width, height)), Image.Resampling.NEAREST))


def _hatch(shape: tuple[int, ...], even: int, odd: int) -> NDArray[np.int64]:
    rows, columns = np.indices(shape)
    return np.where((rows + columns) // 3 % 2 == 0, even, odd)


def _paletted(indices: Ids, palette: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(indices, mode="P")
    image.putpalette(palette.tobytes())
    return image


def _name_classes(class_ids: Ids, classes: ClassTable) -> str:
    labelled = class_ids[class_ids < len(classes)]
    if not labelled.size:
        return "all void"
    shares = np.bincount(labelled.ravel(), minlength=len(classes)) / labelled.size
    order = [int(index) for index in np.argsort(-shares, kind="stable") if shares[index] > 0]
    names = [f"{classes.names[index]} {format_percent(float(shares[index]), 0)}" for index in order]
    more = len(names) - _NAMED_CLASSES
    rest = [f"{more} more"] if more > 0 else []
    return ", ".join(names[:_NAMED_CLASSES] + rest)


def _picture(image: Image.Image, kind: str, text: str) -> Picture:
    stream = io.BytesIO()
    if kind == "jpeg":
        image.save(stream, "JPEG", quality=85, optimize=True)
    else:
        image.save(stream, "PNG", optimize=True)
    encoded = base64.b64encode(stream.getvalue()).decode()
    return Picture(f"data:image/{kind};base64,{encoded}", image.width, image.height, text)
