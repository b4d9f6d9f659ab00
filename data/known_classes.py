"""Class tables of the public data sets whose layouts are known."""

from __future__ import annotations

from data.config import ClassConfig

CAMVID_VOID = 11
_CAMVID = (
    ("Sky", (128, 128, 128)),
    ("Building", (128, 0, 0)),
    ("Pole", (192, 192, 128)),
    ("Road", (128, 64, 128)),
    ("Pavement", (60, 40, 222)),
    ("Tree", (128, 128, 0)),
    ("SignSymbol", (192, 128, 128)),
    ("Fence", (64, 64, 128)),
    ("Car", (64, 0, 128)),
    ("Pedestrian", (64, 64, 0)),
    ("Bicyclist", (0, 128, 192)),
)

VOC_VOID = 255
_VOC = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)

CITYSCAPES_VOID = (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, 255)
_CITYSCAPES = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)


def camvid_classes() -> tuple[ClassConfig, ...]:
    """Returns the 11 classes of CamVid as SegNet's authors grouped them."""
    return tuple(
        ClassConfig(id=index, name=name, colour=colour) for index, (name, colour) in enumerate(_CAMVID)
    )


def voc_classes() -> tuple[ClassConfig, ...]:
    """Returns the 20 classes of PASCAL VOC and the background."""
    return tuple(
        ClassConfig(id=index, name=name, colour=voc_colour(index)) for index, name in enumerate(_VOC)
    )


def cityscapes_classes() -> tuple[ClassConfig, ...]:
    """Returns the 19 classes that Cityscapes evaluates, by the label ids in its masks."""
    return tuple(
        ClassConfig(id=index, name=name, colour=colour, mask_values=(label_id,))
        for index, (label_id, name, colour) in enumerate(_CITYSCAPES)
    )


def voc_colour(index: int) -> tuple[int, int, int]:
    """Returns PASCAL VOC's palette colour of an index: its bits are dealt out to red, green and blue."""
    channels = [0, 0, 0]
    for bit in range(8):
        channel, place = bit % 3, 7 - bit // 3
        channels[channel] |= (index >> bit & 1) << place
    return channels[0], channels[1], channels[2]
