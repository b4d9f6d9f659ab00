"""Decoding an image file in full, and saying in words why it cannot be."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

from PIL import Image

from data.errors import Problem

MAX_PIXELS = 80_000_000
"""Larger images are refused before they are decoded: a small file can claim to be a huge picture."""

MAX_FILE_BYTES = 256 * 1024 * 1024
"""Larger image and mask files are refused before they are read."""

IMAGE_FORMATS = ("PNG", "JPEG")
MASK_FORMATS = ("PNG", "BMP", "GIF", "TIFF")

# Our own bound is lower than the size from which Pillow warns.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAGIC_NUMBERS = (
    (_PNG_SIGNATURE, "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"RIFF", "WebP"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x1f\x8b", "gzip"),
)


class UnreadableImageError(ValueError):
    """A file that is no image, not a whole one, or one of a kind that is not taken."""

    def __init__(self, code: str, what: str, remedy: str) -> None:
        super().__init__(what)
        self.code, self.what, self.remedy = code, what, remedy

    def problem(self, path: str) -> Problem:
        """Returns this as the problem of a file."""
        return Problem(path, self.what, self.remedy, self.code)


def open_image(content: bytes, formats: tuple[str, ...] = IMAGE_FORMATS) -> Image.Image:
    """Decodes an image to its last pixel.

    Args:
        content: the file's bytes.
        formats: Pillow's names of the formats that are taken.

    Returns:
        The decoded image, as stored: EXIF orientation is not applied.

    Raises:
        UnreadableImageError: if it is empty, no image, truncated, corrupt, too large, or of another format.
    """
    if not content:
        raise UnreadableImageError("empty_file", "the file is empty", "Restore it, or take its pair away")
    kind = sniff_format(content)
    image = _open_header(content, formats, kind)
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(f"is {image.width}x{image.height}")
    if not image.width * image.height:
        raise _broken(kind, ValueError(f"it is {image.width}x{image.height} pixels"))
    try:
        if kind == "PNG":
            _verify_png_chunks(content)
        # Camera files of several pictures (MPO) are JPEGs of the first.
        several = image.format != "MPO" and getattr(image, "is_animated", False)
        image.load()
    except Image.DecompressionBombError as error:
        raise _too_large("claims to be far larger") from error
    except Exception as error:
        raise _broken(kind, error) from error
    if several:
        what = f"is a {kind} that holds several pictures"
        raise UnreadableImageError(
            "several_pictures", what, "Save the one that is meant in a file of its own"
        )
    return image


def claim_pixels(content: bytes) -> int:
    """Returns how many pixels an image's header claims, 0 where there is no such header."""
    if content.startswith(_PNG_SIGNATURE):
        sides = struct.unpack(">II", content[16:24]) if len(content) >= 24 else (0, 0)
        return int(sides[0] * sides[1])
    try:
        width, height = Image.open(io.BytesIO(content), formats=(*IMAGE_FORMATS, *MASK_FORMATS)).size
    except Exception:
        return 0  # Whoever opens it says what is wrong.
    return width * height


def sniff_format(content: bytes) -> str:
    """Returns what a file's first bytes say it is: ``PNG``, ``JPEG``, ..., ``text`` or ``unknown``."""
    for magic, kind in _MAGIC_NUMBERS:
        if content.startswith(magic):
            return kind
    try:
        text = content[:1024].decode("utf-8", "strict" if len(content) <= 1024 else "ignore")
    except UnicodeDecodeError:
        return "unknown"
    return "text" if all(char.isprintable() or char.isspace() for char in text) else "unknown"


def _open_header(content: bytes, formats: tuple[str, ...], kind: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=formats)
    except Image.DecompressionBombError as error:
        raise _too_large("claims to be far larger") from error
    except Exception as error:
        # What Pillow's plugins run into while they parse nonsense is of every kind.
        raise _unopened(content, formats, kind, error) from error


def _unopened(content: bytes, formats: tuple[str, ...], kind: str, error: Exception) -> UnreadableImageError:
    wanted = "PNG or JPEG" if "JPEG" in formats else "PNG"
    if content.startswith(b"version https://git-lfs"):
        what = "is a Git LFS pointer, not the image itself"
        return UnreadableImageError("not_an_image", what, "Run 'git lfs pull' in the data set's repository")
    if kind in ("text", "unknown"):
        what = "is not an image" + (" but text" if kind == "text" else "")
        remedy = f"Replace it by a {wanted} file, or take its pair away"
        return UnreadableImageError("not_an_image", what, remedy)
    if kind.upper() not in formats:
        what = f"is a {kind} file"
        if kind == "JPEG":
            what += ", which changes values near edges, so that its ids cannot be trusted"
        return UnreadableImageError("unsupported_format", what, f"Convert it to {wanted}")
    return _broken(kind, error)


def _broken(kind: str, error: Exception) -> UnreadableImageError:
    reason = " ".join(str(error).split()) or type(error).__name__
    what = f"is a {kind} that is truncated or corrupt ({reason})"
    return UnreadableImageError("truncated_image", what, "Restore the whole file, or take its pair away")


def _too_large(what: str) -> UnreadableImageError:
    what = f"{what}, and at most {MAX_PIXELS:,} pixels are decoded"
    return UnreadableImageError("too_large", what, "Scale it down or cut it into tiles, with its mask")


def _verify_png_chunks(content: bytes) -> None:
    """Checks what Pillow lets pass and TensorFlow does not: checksums, and the end of the file.

    Raises:
        ValueError: if a chunk is cut off or changed.
    """
    position = len(_PNG_SIGNATURE)
    while True:
        header = content[position : position + 8]
        if len(header) < 8:
            raise ValueError("it ends too early")
        length, kind = struct.unpack(">I4s", header)
        end = position + 12 + length
        if end > len(content):
            raise ValueError("it ends too early")
        critical = not kind[0] & 0x20
        if critical:
            (expected,) = struct.unpack(">I", content[end - 4 : end])
            if zlib.crc32(memoryview(content)[position + 4 : end - 4]) != expected:
                raise ValueError(f"the checksum of its {kind.decode('ascii', 'replace')} chunk is wrong")
        if kind == b"IEND":
            return
        position = end
