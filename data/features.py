"""Every key of every tf.Example: raw examples (ingest) and transformed examples (Transform)."""

from __future__ import annotations

# --- raw examples, written by ingest -------------------------------------------------------------
IMAGE_ENCODED = "image/encoded"  # bytes: the image file, byte for byte (PNG or JPEG)
IMAGE_FORMAT = "image/format"  # bytes: b"png" or b"jpeg"
IMAGE_ID = "image/id"  # bytes: the image's path below the images' folder, without its ending
IMAGE_SPLIT = "image/split"  # bytes: b"train", b"val" or b"test"
IMAGE_SHA256 = "image/sha256"  # bytes: hex digest of the image file
IMAGE_HEIGHT_PX = "image/height_px"  # int64: as displayed, EXIF orientation applied
IMAGE_WIDTH_PX = "image/width_px"  # int64
IMAGE_CHANNELS = "image/channels"  # int64: 1, 3 or 4, as stored
IMAGE_BIT_DEPTH = "image/bit_depth"  # int64: 8 or 16, as stored
IMAGE_MEAN = "image/mean"  # float32: mean over pixels and channels, 0 to 255

MASK_ENCODED = "mask/encoded"  # bytes: 8-bit grey PNG of class ids; the file's own bytes where it is that
MASK_SHA256 = "mask/sha256"  # bytes: hex digest of the mask file as found
MASK_UNKNOWN_PIXELS = "mask/unknown_pixels"  # int64: pixels whose value the class table does not name
MASK_VOID_SHARE = "mask/void_share"  # float32: void pixels over all pixels, 0 to 1

_CLASS_PIXELS_PREFIX = "mask/pixels/"
_ATTRIBUTE_PREFIX = "attribute/"


def class_pixels_key(class_name: str) -> str:
    """Returns the key of the int64 count of one class' pixels in a mask."""
    return _CLASS_PIXELS_PREFIX + class_name


def attribute_key(attribute_name: str) -> str:
    """Returns the key of an image-level attribute (bytes), a column of the attributes' CSV."""
    return _ATTRIBUTE_PREFIX + attribute_name


# --- transformed examples, written by Transform --------------------------------------------------
IMAGE_PNG = "image_png"  # bytes: PNG [height, width, 3] at working size, 8 or 16 bit
MASK_PNG = "mask_png"  # bytes: 8-bit grey PNG [height, width] at working size, void where padded
CHANNEL_MEAN = "channel_mean"  # float32 [3]: over the train split, 0 to 255; the same in every example
CHANNEL_STD = "channel_std"  # float32 [3]
CLASS_PIXELS = "class_pixels"  # float32 [classes]: pixels of each class in the train split
CLASS_IMAGE_PIXELS = "class_image_pixels"  # float32 [classes]: non-void pixels of the images with that class
