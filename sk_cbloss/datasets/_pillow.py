"""Images read by pillow, which need not be installed."""


def pillow(wanted):
    """Return pillow's modules to read images and to shape them."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ImportError(f"{wanted} needs pillow: pip install pillow.") from None
    return Image, ImageOps


def read_image(path, size=None):
    """Return an image in colour, scaled and cropped to a square if a size is given."""
    Image, ImageOps = pillow(f"Reading {path}")
    try:
        with Image.open(path) as image:
            if size is not None:
                image.draft("RGB", (size, size))  # of a JPEG, no more pixels than are needed
            image = image.convert("RGB")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} must be an image, got no such file.") from None
    except MemoryError:
        raise
    except Exception as error:  # whatever a format's reader stumbles over
        raise ValueError(
            f"{path} must be an image that pillow can read, got {type(error).__name__}: {error}."
        ) from error
    return image if size is None else ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
