"""Any bytes as a mask file: class ids that the codec knows, or a sentence."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from fuzz_bytes import mutate
from hypothesis import strategies as st
from PIL import Image

from data.config import ClassConfig, DataConfig
from data.decode_mask import MaskCodec, build_mask_codec
from data.open_image import UnreadableImageError

NAME = "masks"


def _codec(encoding: str, classes: int, **options: object) -> MaskCodec:
    rows = tuple(
        ClassConfig(id=index, name=f"c{index}", colour=(index, 0, 255 - index)) for index in range(classes)
    )
    document = {"root": "unused", "classes": rows, "mask_encoding": encoding, **options}
    return build_mask_codec(DataConfig.model_validate(document))


CODECS = (
    _codec("id", 3),
    _codec("id", 255),
    _codec("palette", 5),
    _codec("rgb", 4, void_colours=((255, 255, 255),)),
    _codec("binary", 2),
    _codec("id", 2, void_values=(7, 65535), ignore_id=200),
)


def check(data: bytes) -> None:
    """Decodes all but the first byte, which chooses the codec."""
    codec, content = CODECS[data[0] % len(CODECS) if data else 0], data[1:]
    try:
        mask = codec.decode(content)
    except UnreadableImageError as error:
        assert error.what and error.remedy and "Traceback" not in error.what
        return
    with Image.open(io.BytesIO(content)) as image:
        assert mask.class_ids.shape == (image.height, image.width)
        plain = np.asarray(image)
    assert mask.class_ids.dtype == np.uint8
    assert set(np.unique(mask.class_ids).tolist()) <= {*range(codec.num_classes), codec.ignore_id}
    assert all(pixels > 0 for pixels in mask.unknown.values())
    assert mask.unknown_pixels <= int((mask.class_ids == codec.ignore_id).sum())
    if mask.is_canonical:
        assert plain.dtype == np.uint8 and np.array_equal(plain, mask.class_ids)


MODES = {
    "PNG": ("L", "P", "1", "I;16", "RGB", "RGBA", "LA"),
    "BMP": ("L", "P", "1", "RGB"),
    "GIF": ("L", "P"),
    "TIFF": ("L", "P", "1", "I;16", "RGB", "I", "F"),
}


@st.composite
def _images(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(sorted(MODES)))
    mode = draw(st.sampled_from(MODES[kind]))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    channels = {"RGB": 3, "RGBA": 4, "LA": 2}.get(mode, 1)
    values = draw(st.binary(min_size=height * width * channels * 4, max_size=height * width * channels * 4))
    if mode in ("I;16", "I", "F"):
        wide = np.frombuffer(values, np.uint16)[: height * width].reshape(height, width)
        image = Image.fromarray(wide)
        image = image if mode == "I;16" else image.convert("I").convert(mode)
    else:
        shape = (height, width, channels) if channels > 1 else (height, width)
        narrow = np.frombuffer(values, np.uint8)[: height * width * channels].reshape(shape)
        image = Image.fromarray(narrow if mode != "1" else narrow > 127)
        if mode == "P":
            image.putpalette(bytes(range(256)) * 3)
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


_HEADER_CHOICES = ((1, 2, 4, 8, 16, 3), (0, 2, 3, 4, 6, 1), (0, 1), (0, 1), (0, 1, 2))
"""Bit depth, colour type, compression, filter, interlace; the last ones are none."""
_CHUNKS = (b"PLTE", b"tRNS", b"IDAT", b"acTL", b"fcTL", b"fdAT", b"zTXt", b"iCCP", b"eXIf", b"gAMA")


@st.composite
def _pngs(draw: st.DrawFn) -> bytes:
    """PNGs of any chunks with right checksums: past the first look, up to the decoder."""
    header = struct.pack(
        ">IIBBBBB",
        draw(st.sampled_from([0, 1, 2, 3, 8, 300, 2**31 - 1, 2**32 - 1])),
        draw(st.sampled_from([0, 1, 2, 3, 8, 2**31])),
        *(draw(st.sampled_from(choice)) for choice in _HEADER_CHOICES),
    )
    chunks = [(b"IHDR", header)]
    kinds = st.sampled_from(_CHUNKS)
    for kind in draw(st.lists(kinds, max_size=5)):
        content = draw(st.binary(max_size=30))
        chunks.append((kind, zlib.compress(content) if kind == b"IDAT" else content))
    chunks.append((b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


_MAGIC = st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a", b"II*\0", b"MM\0*", b"\xff\xd8\xff"])
_FILES = st.one_of(
    *(_images(), mutate(_images()), _pngs(), mutate(_pngs())),
    st.builds(bytes.__add__, _MAGIC, st.binary(max_size=200)),
)
INPUTS: st.SearchStrategy[bytes] = st.builds(
    lambda codec, file: bytes([codec]) + file, st.integers(0, 5), _FILES
)
