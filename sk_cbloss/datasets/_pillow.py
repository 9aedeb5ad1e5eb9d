"""Images read by pillow, which need not be installed."""

import numpy as np

# What undoes an orientation that a camera has noted, by its number in EXIF.
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
ORIENTATION = 0x0112


def pillow(wanted):
    """Return pillow's modules to read images and to shape them."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ImportError(f"{wanted} needs pillow: pip install pillow.") from None
    return Image, ImageOps


def read_image(path, size=None):
    """Return an image in colour, upright, scaled and cropped to a square if a size is given."""
    Image, ImageOps = pillow(f"Reading {path}")
    try:
        with Image.open(path) as image:
            if size is not None:
                image.draft("RGB", (size, size))  # of a JPEG, no more pixels than are needed
            image.load()
            image.info.pop("transparency", None)  # of which convert would warn
            mode, turn = image.mode, UPRIGHT.get(_orientation(image))
            image = _in_colour(image, Image)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} must be an image, got no such file.") from None
    except MemoryError:
        raise
    except Exception as error:  # whatever a format's reader stumbles over
        raise ValueError(
            f"{path} must be an image that pillow can read, got {type(error).__name__}: {error}."
        ) from error
    if image is None:
        raise ValueError(
            f"{path} must be an image of 8 or 16 bits a colour, whose white is known, got one "
            f"that pillow reads as {mode!r}: scale its numbers and save it so."
        )
    if turn is not None:
        image = image.transpose(Image.Transpose[turn])
    return image if size is None else ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)


def _in_colour(image, Image):
    """Return an image in 8 bits a colour; None if its numbers do not tell what is white."""
    # Of 16 bits, PNG and PGM, too, are read as "I", one of them by older versions.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    return None if image.mode[0] in "IF" else image.convert("RGB")


def _orientation(image):
    try:
        return image.getexif().get(ORIENTATION)
    except Exception:  # what a camera has noted may be broken, and the image sound
        return None
