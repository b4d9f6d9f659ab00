"""Opening an image and its mask: what they are, or everything that is wrong with them."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from data.count_colours import cut_strips
from data.decode_mask import DecodedMask, MaskCodec, encode_id_mask
from data.errors import Problem
from data.fingerprint_dataset import hash_bytes
from data.measure_image import measure_image
from data.open_files import FileTooLargeError, read_bytes
from data.open_image import MAX_FILE_BYTES, UnreadableImageError, claim_pixels, open_image
from data.pairs import Pair
from data.read_orientation import read_orientation

_MANY_PIXELS = 1 << 23
_one_at_a_time = threading.Lock()
"""Held while a large picture is decoded: several threads with one each would fill the memory."""

_SHOWN_VALUES = 5


@dataclass(frozen=True)
class PairFacts:
    """What is in a sound pair of files.

    Attributes:
        pair: which pair.
        image_sha256: hex digest of the image file; mask_sha256: of the mask file.
        height_px: as displayed, EXIF orientation applied; width_px likewise.
        channels: as stored: 1 grey, 2 grey with alpha, 3, or 4 with alpha. A palette counts as 3 or 4.
        bit_depth: 8 or 16, as stored.
        image_format: ``png`` or ``jpeg``, by content.
        image_mean: over pixels and colour channels (no alpha), 0 to 255.
        class_pixels: pixels of each class, in the order of ids.
        unknown_pixels: pixels whose value the class table does not name.
        void_share: void pixels over all pixels.
        image_bytes: the image file.
        mask_png: 8-bit grey PNG of class ids: the mask file itself where it is that already.
        perceptual_hash: of ``data.hash_thumbnail``, as displayed; empty where there is too little to see.
    """

    pair: Pair
    image_sha256: str
    mask_sha256: str
    height_px: int
    width_px: int
    channels: int
    bit_depth: int
    image_format: str
    image_mean: float
    class_pixels: tuple[int, ...]
    unknown_pixels: int
    void_share: float
    image_bytes: bytes
    mask_png: bytes
    perceptual_hash: str = ""


@dataclass(frozen=True)
class BadPair:
    """A pair of files that is no example.

    Attributes:
        pair: which pair.
        image_sha256: as ``hash_pair`` finds it in what was read; None if one of the files cannot be read.
        mask_sha256: likewise.
        problems: everything that is wrong with the two files.
    """

    pair: Pair
    image_sha256: str | None
    mask_sha256: str | None
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _ImageFacts:
    stored_size: tuple[int, int]
    displayed_size: tuple[int, int]
    channels: int
    bit_depth: int
    format: str
    mean: float
    perceptual_hash: str


def examine_pair(
    pair: Pair, codec: MaskCodec, *, allow_unknown: bool = False, keep_bytes: bool = True
) -> PairFacts | BadPair:
    """Decodes both files of a pair in full.

    Args:
        pair: which files.
        codec: what the mask's values mean.
        allow_unknown: let values that the class table does not name pass as void, and only count them.
        keep_bytes: False leaves ``image_bytes`` and ``mask_png`` empty, for those who only look.

    Returns:
        The facts, or every problem of the two files.
    """
    problems: list[Problem] = []
    image_bytes = _read(pair.image_path, problems)
    mask_bytes = _read(pair.mask_path, problems)
    with _take_turns(image_bytes, mask_bytes):
        image, mask = _decode(pair, codec, (image_bytes, mask_bytes), problems)
        if mask is not None and mask.unknown and not allow_unknown:
            problems.append(_unknown_values(pair.mask_path, mask))
        if image is not None and mask is not None:
            problems.extend(_compare_sizes(pair, image, mask))
        if image_bytes is None or mask_bytes is None:
            return BadPair(pair, None, None, tuple(problems))
        if problems or image is None or mask is None:
            return BadPair(pair, hash_bytes(image_bytes), hash_bytes(mask_bytes), tuple(problems))
        facts = _gather_facts(pair, image, mask, codec, (image_bytes, mask_bytes))
        if not keep_bytes:
            return facts
        mask_png = mask_bytes if mask.is_canonical else encode_id_mask(mask.class_ids)
        return replace(facts, image_bytes=image_bytes, mask_png=mask_png)


def _read(path: str, problems: list[Problem]) -> bytes | None:
    try:
        return read_bytes(path, MAX_FILE_BYTES)
    except FileTooLargeError as error:
        what = f"{error.strerror}, and at most {MAX_FILE_BYTES:,} are read"
        problems.append(Problem(path, what, "Compress it, or cut it into tiles with its mask", "too_large"))
    except OSError as error:
        what = f"cannot be read ({error.strerror or error})"
        remedy = "Restore the file and its permissions, or take its pair away"
        problems.append(Problem(path, what, remedy, "unreadable_file"))
    return None


def _take_turns(*contents: bytes | None) -> AbstractContextManager[object]:
    """Returns what is to be held while these pictures are decoded."""
    is_large = any(content and claim_pixels(content) > _MANY_PIXELS for content in contents)
    return _one_at_a_time if is_large else nullcontext()


def _decode(
    pair: Pair, codec: MaskCodec, contents: tuple[bytes | None, bytes | None], problems: list[Problem]
) -> tuple[_ImageFacts | None, DecodedMask | None]:
    image_bytes, mask_bytes = contents
    image, mask = None, None
    if image_bytes is not None:
        try:
            image = _examine_image(image_bytes)
        except UnreadableImageError as error:
            problems.append(error.problem(pair.image_path))
    if mask_bytes is not None:
        try:
            mask = codec.decode(mask_bytes)
        except UnreadableImageError as error:
            problems.append(error.problem(pair.mask_path))
    return image, mask


def _examine_image(content: bytes) -> _ImageFacts:
    image = open_image(content)
    if image.mode in ("CMYK", "YCCK", "LAB"):
        what = f"is a {image.mode} image, whose colours depend on the program that opens it"
        raise UnreadableImageError("unsupported_format", what, "Convert it to RGB")
    # MPO is what several cameras write as .jpg: a JPEG with a second one behind it.
    is_jpeg = image.format in ("JPEG", "MPO")
    # Bits a channel: the ninth byte of a PNG's header chunk. Pillow narrows 16-bit colour to 8.
    bit_depth = 16 if not is_jpeg and content[24] == 16 else 8
    orientation = read_orientation(image.info.get("exif", b"")) if is_jpeg else 1
    turned = orientation in (5, 6, 7, 8)
    size = image.size
    mean, perceptual_hash = measure_image(image, orientation)
    return _ImageFacts(
        stored_size=size,
        displayed_size=(size[1], size[0]) if turned else size,
        channels=_count_channels(image),
        bit_depth=bit_depth,
        format="jpeg" if is_jpeg else "png",
        mean=mean,
        perceptual_hash=perceptual_hash,
    )


def _count_channels(image: Image.Image) -> int:
    if image.mode == "P":
        return 4 if "transparency" in image.info else 3
    return len(image.getbands())


def _unknown_values(path: str, mask: DecodedMask) -> Problem:
    ranked = sorted(mask.unknown.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{value} ({pixels:,} pixels)" for value, pixels in ranked[:_SHOWN_VALUES])
    more = mask.unknown_values - _SHOWN_VALUES
    shown += f" and {more:,} more" if more > 0 else ""
    is_colour = isinstance(ranked[0][0], tuple)
    what = f"has {'colours' if is_colour else 'values'} that no class has: {shown}"
    keys = "a class' colour or data.void_colours" if is_colour else "a class' mask_values or data.void_values"
    return Problem(path, what, f"Mend the mask, or name them in {keys}", "unknown_class_id")


def _compare_sizes(pair: Pair, image: _ImageFacts, mask: DecodedMask) -> list[Problem]:
    height, width = mask.class_ids.shape
    if (width, height) == image.displayed_size:
        return []
    shown = "{}x{}".format(*image.displayed_size)
    what = f"is {width}x{height} and its image {pair.image_path} is {shown}"
    remedy = "Give the mask the image's size"
    if (width, height) == image.stored_size:
        what += " as displayed: the mask ignores the image's EXIF orientation"
        remedy = "Turn the mask as the image is displayed, or take the orientation out of the image"
    return [Problem(pair.mask_path, what, remedy, "size_mismatch")]


def _gather_facts(
    pair: Pair, image: _ImageFacts, mask: DecodedMask, codec: MaskCodec, contents: tuple[bytes, bytes]
) -> PairFacts:
    strips = (mask.class_ids[rows] for rows in cut_strips(*mask.class_ids.shape))
    pixels = sum((np.bincount(strip.ravel(), minlength=256) for strip in strips), np.zeros(256, np.int64))
    void = int(pixels[codec.ignore_id]) - mask.unknown_pixels
    return PairFacts(
        pair=pair,
        image_sha256=hash_bytes(contents[0]),
        mask_sha256=hash_bytes(contents[1]),
        height_px=image.displayed_size[1],
        width_px=image.displayed_size[0],
        channels=image.channels,
        bit_depth=image.bit_depth,
        image_format=image.format,
        image_mean=image.mean,
        class_pixels=tuple(pixels[: codec.num_classes].tolist()),
        unknown_pixels=mask.unknown_pixels,
        void_share=void / mask.class_ids.size,
        image_bytes=b"",
        mask_png=b"",
        perceptual_hash=image.perceptual_hash,
    )
