from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.config import DataConfig
from data.decode_mask import build_mask_codec
from data.examine_pair import BadPair, PairFacts, examine_pair
from data.pairs import Pair

Make = Callable[..., DataConfig]
Save = Callable[..., Path]
ORIENTATION = 0x0112
MASK = np.array([[0, 1, 1], [255, 1, 0]], np.uint8)
IMAGE = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)


@pytest.fixture
def examine(tmp_path: Path, make_config: Make) -> Callable[..., PairFacts | BadPair]:
    """Examines tmp_path's image and mask, with two classes unless told otherwise."""

    def run(image: Path, mask: Path, num_classes: int = 2, **keys: Any) -> PairFacts | BadPair:
        codec = build_mask_codec(make_config(num_classes=num_classes))
        return examine_pair(Pair("a", "train", str(image), str(mask)), codec, **keys)

    return run


def facts_of(result: PairFacts | BadPair) -> PairFacts:
    assert isinstance(result, PairFacts), result
    return result


def codes_of(result: PairFacts | BadPair) -> list[str]:
    assert isinstance(result, BadPair)
    return [problem.code for problem in result.problems]


def test_facts_of_a_sound_pair(tmp_path: Path, save: Save, examine: Any) -> None:
    image, mask = save(tmp_path / "a.png", IMAGE), save(tmp_path / "m.png", MASK)
    facts = facts_of(examine(image, mask))
    assert (facts.height_px, facts.width_px, facts.channels, facts.bit_depth) == (2, 3, 3, 8)
    assert facts.image_format == "png" and facts.image_mean == pytest.approx(8.5)
    assert facts.class_pixels == (2, 3) and facts.void_share == pytest.approx(1 / 6)
    assert facts.unknown_pixels == 0
    assert facts.image_sha256 == hashlib.sha256(image.read_bytes()).hexdigest()
    assert facts.mask_sha256 == hashlib.sha256(mask.read_bytes()).hexdigest()
    assert facts.image_bytes == image.read_bytes() and facts.mask_png == mask.read_bytes()
    lean = facts_of(examine(image, mask, keep_bytes=False))
    assert lean.image_bytes == lean.mask_png == b"" and lean.class_pixels == facts.class_pixels


def test_a_mask_in_another_form_is_written_anew(tmp_path: Path, save: Save, examine: Any) -> None:
    image, mask = save(tmp_path / "a.png", IMAGE), save(tmp_path / "m.png", MASK.astype(np.uint16))
    facts = facts_of(examine(image, mask))
    written = Image.open(io.BytesIO(facts.mask_png))
    assert written.mode == "L" and np.array_equal(np.asarray(written), MASK)
    assert facts.mask_sha256 == hashlib.sha256(mask.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("mode", "ending", "channels", "kind"),
    [
        ("L", "png", 1, "png"),
        ("L", "jpg", 1, "jpeg"),
        ("LA", "png", 2, "png"),
        ("RGBA", "png", 4, "png"),
        ("P", "png", 3, "png"),
        ("1", "png", 1, "png"),
    ],
)
def test_pixel_modes(
    tmp_path: Path, save: Save, examine: Any, mode: str, ending: str, channels: int, kind: str
) -> None:
    grey = np.array([[0, 255, 255], [0, 0, 0]], np.uint8)
    image = save(tmp_path / f"a.{ending}", grey, mode, **({"quality": 100} if ending == "jpg" else {}))
    facts = facts_of(examine(image, save(tmp_path / "m.png", MASK)))
    assert (facts.channels, facts.bit_depth, facts.image_format) == (channels, 8, kind)
    assert facts.image_mean == pytest.approx(85, abs=1 if ending == "jpg" else 1e-4)


def test_sixteen_bit_grey_and_colour(
    tmp_path: Path, save: Save, examine: Any, raw_png: Callable[..., bytes]
) -> None:
    mask = save(tmp_path / "m.png", MASK)
    grey = save(tmp_path / "g.png", np.array([[0, 65535, 0], [257, 0, 0]], np.uint16))
    facts = facts_of(examine(grey, mask))
    assert (facts.channels, facts.bit_depth) == (1, 16) and facts.image_mean == pytest.approx(256 / 6)
    colour = tmp_path / "c.png"
    colour.write_bytes(raw_png([b"\x10\x00\x20\x00\x30\x00" * 3] * 2, width=3, bit_depth=16, colour_type=2))
    facts = facts_of(examine(colour, mask))
    assert (facts.channels, facts.bit_depth) == (3, 16) and facts.image_mean == pytest.approx(32)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_gives_the_displayed_size(
    tmp_path: Path, save: Save, examine: Any, orientation: int
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = save(tmp_path / "a.jpg", IMAGE, exif=exif)
    turned = orientation >= 5
    fitting = save(tmp_path / "fits.png", MASK.T if turned else MASK)
    facts = facts_of(examine(image, fitting))
    assert (facts.height_px, facts.width_px) == ((3, 2) if turned else (2, 3))
    other = save(tmp_path / "other.png", MASK if turned else MASK.T)
    (problem,) = examine(image, other).problems
    assert problem.code == "size_mismatch"
    assert ("EXIF orientation" in problem.what) == turned


@pytest.mark.parametrize(
    "extra",
    [
        {"xmp": b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'},
        {"exif": b"Exif\0\0not a TIFF header at all"},
    ],
)
def test_xmp_and_broken_exif_turn_nothing(tmp_path: Path, save: Save, examine: Any, extra: Any) -> None:
    image = save(tmp_path / "a.jpg", IMAGE, **extra)
    assert facts_of(examine(image, save(tmp_path / "m.png", MASK))).height_px == 2


def test_png_orientation_is_not_obeyed(tmp_path: Path, save: Save, examine: Any) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image = save(tmp_path / "a.png", IMAGE, exif=exif)
    assert facts_of(examine(image, save(tmp_path / "m.png", MASK))).height_px == 2


def test_a_mask_of_another_size(tmp_path: Path, save: Save, examine: Any) -> None:
    image, mask = save(tmp_path / "a.png", IMAGE), save(tmp_path / "m.png", np.zeros((4, 6), np.uint8))
    (problem,) = examine(image, mask).problems
    assert problem.where == str(mask) and problem.code == "size_mismatch"
    assert problem.what == f"is 6x4 and its image {image} is 3x2"


def test_unknown_values_are_named_by_frequency(tmp_path: Path, save: Save, examine: Any) -> None:
    values = np.array([[9, 8, 8], [7, 6, 5], [4, 3, 0]], np.uint8)
    image, mask = save(tmp_path / "a.png", np.zeros((3, 3), np.uint8)), save(tmp_path / "m.png", values)
    (problem,) = examine(image, mask).problems
    assert problem.code == "unknown_class_id" and "8 (2 pixels), 3 (1 pixels)" in problem.what
    assert problem.what.endswith("6 (1 pixels) and 2 more")
    facts = facts_of(examine(image, mask, allow_unknown=True))
    assert facts.unknown_pixels == 8 and facts.void_share == 0 and facts.class_pixels == (1, 0)


def test_all_problems_of_both_files(tmp_path: Path, save: Save, examine: Any) -> None:
    image, mask = tmp_path / "a.png", tmp_path / "m.png"
    image.write_text("this is no picture")
    mask.write_bytes(b"")
    assert codes_of(examine(image, mask)) == ["not_an_image", "empty_file"]
    save(image, IMAGE)
    image.write_bytes(image.read_bytes()[:-20])
    save(mask, np.array([[77]], np.uint8))
    assert codes_of(examine(image, mask)) == ["truncated_image", "unknown_class_id"]
    save(image, IMAGE)
    assert codes_of(examine(image, mask)) == ["unknown_class_id", "size_mismatch"]
    image.unlink()
    mask.unlink()
    mask.mkdir()
    assert codes_of(examine(image, mask)) == ["unreadable_file", "unreadable_file"]


def test_cmyk_and_other_formats_are_refused(tmp_path: Path, save: Save, examine: Any) -> None:
    mask = save(tmp_path / "m.png", MASK)
    cmyk = save(tmp_path / "a.jpg", IMAGE, "CMYK")
    (problem,) = examine(cmyk, mask).problems
    assert problem.code == "unsupported_format" and problem.remedy == "Convert it to RGB"
    gif = save(tmp_path / "b.png", IMAGE, format="GIF")
    (problem,) = examine(gif, mask).problems
    assert (problem.code, problem.remedy) == ("unsupported_format", "Convert it to PNG or JPEG")


def test_a_jpeg_named_png_is_what_it_is(tmp_path: Path, save: Save, examine: Any) -> None:
    image = save(tmp_path / "a.png", IMAGE, format="JPEG")
    assert facts_of(examine(image, save(tmp_path / "m.png", MASK))).image_format == "jpeg"


def test_camera_files_of_two_pictures_are_jpegs(tmp_path: Path, save: Save, examine: Any) -> None:
    second = [Image.fromarray(IMAGE)]
    image = save(tmp_path / "a.jpg", IMAGE, format="MPO", save_all=True, append_images=second)
    assert facts_of(examine(image, save(tmp_path / "m.png", MASK))).image_format == "jpeg"


def test_camvid_counts_agree_with_numpy(camvid: Path, make_config: Make) -> None:
    mask = camvid / "trainannot/0001TP_006690.png"
    codec = build_mask_codec(make_config(num_classes=11, void_values=[11]))
    pair = Pair("a", "train", str(camvid / "train/0001TP_006690.png"), str(mask))
    facts = facts_of(examine_pair(pair, codec))
    values = np.asarray(Image.open(mask))
    assert facts.class_pixels == tuple(int((values == index).sum()) for index in range(11))
    assert facts.void_share == pytest.approx((values == 11).mean())
    assert facts.image_mean == pytest.approx(np.asarray(Image.open(pair.image_path)).mean())
    decoded = np.asarray(Image.open(io.BytesIO(facts.mask_png)))
    assert np.array_equal(decoded, np.where(values == 11, 255, values))
