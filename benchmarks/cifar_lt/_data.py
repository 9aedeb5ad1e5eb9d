"""The images: digits, or CIFAR from a copy of one's own."""

from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sk_cbloss import fetch_cifar10_lt, fetch_cifar100_lt, load_digits_lt, long_tailed_counts

N_CLASSES = {"cifar10": 10, "cifar100": 100}
FETCH = {"cifar10": fetch_cifar10_lt, "cifar100": fetch_cifar100_lt}
PARTS = ("X_train", "y_train", "X_test", "y_test")


class Data(NamedTuple):
    X: np.ndarray  # images as the net takes them, from -1, black, to 1
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    fingerprint: str


@lru_cache(maxsize=1)  # runs follow each other by data set
def load(dataset, imbalance_factor, place):
    """Return the long-tailed training part and the balanced test part."""
    if dataset == "digits":
        X, y = load_digits_lt(imbalance_factor=imbalance_factor, return_X_y=True)
        X_test, y_test = load_digits_lt("test", imbalance_factor=imbalance_factor, return_X_y=True)
        X, X_test = (scaled(images.reshape(-1, 1, 8, 8), 8) for images in (X, X_test))
    else:
        X, y, X_test, y_test = read(dataset, imbalance_factor, place)
        X, X_test = scaled(X, 128), scaled(X_test, 128)
    parts = X, y, X_test, y_test
    return Data(*parts, fingerprint_of(parts))


def fingerprint_of(parts):
    """Return what tells these images, and their order, from others."""
    digest = sha256()
    for array in parts:
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()[:12]


def scaled(images, half):
    return images.astype(np.float32) / half - 1


def read(dataset, imbalance_factor, place):
    """Return pixels and labels of both parts, from what there is in a place."""
    if place is None:  # scikit-learn's folder for data, and OpenML
        kwargs = {}
    else:
        place = Path(place)
        if not place.exists():
            raise FileNotFoundError(f"DATA must be a folder or an .npz file, got {place}.")
        if (place / dataset).is_dir():
            place = place / dataset
        arrays = place if place.is_file() else place / f"{dataset}.npz"
        if arrays.is_file():
            return cut(*checked(*from_arrays(arrays), dataset, arrays), imbalance_factor)
        if (place / "labels.npz").is_file():
            return cut(*checked(*from_mosaics(place), dataset, place), imbalance_factor)
        kwargs = {"data_home": place, "download_if_missing": False}
    fetch = FETCH[dataset]
    kwargs |= {"imbalance_factor": imbalance_factor, "return_X_y": True}
    return *fetch("train", **kwargs), *fetch("test", **kwargs)


def from_arrays(path):
    try:
        with np.load(path) as file:
            X, y, X_test, y_test = (file[name] for name in PARTS)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{path} must be an .npz file of {', '.join(PARTS)}: {error}.") from None
    return channels_first(X, path), y, channels_first(X_test, path), y_test


def channels_first(images, path):
    if images.dtype != np.uint8 or images.ndim != 4 or 3 not in (images.shape[1], images.shape[3]):
        raise ValueError(
            f"{path} must hold images of dtype uint8 and shape (n, 3, height, width) or (n, "
            f"height, width, 3), got {images.dtype} and {images.shape}."
        )
    return images if images.shape[1] == 3 else images.transpose(0, 3, 1, 2)


def from_mosaics(folder):
    """Read each part from one large image, of tiles of 32 x 32 pixels, row by row."""
    from PIL import Image

    with np.load(folder / "labels.npz") as labels:
        y, y_test = labels["y_train"], labels["y_test"]
    parts = []
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        for name, n_images in (("train", len(y)), ("test", len(y_test))):
            with Image.open(folder / f"{name}.webp") as image:
                mosaic = np.asarray(image.convert("RGB"))
            rows, columns = mosaic.shape[0] // 32, mosaic.shape[1] // 32
            tiles = mosaic.reshape(rows, 32, columns, 32, 3).transpose(0, 2, 4, 1, 3)
            parts.append(tiles.reshape(-1, 3, 32, 32)[:n_images])
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    return parts[0], y, parts[1], y_test


def checked(X, y, X_test, y_test, dataset, path):
    """Return what was read, if it can be the data set."""
    if X.shape[1:] != X_test.shape[1:]:
        raise ValueError(
            f"{path} must hold images of one size, got {X.shape[1:]} and {X_test.shape[1:]}."
        )
    n_classes = N_CLASSES[dataset]
    for part, images, labels in (("train", X, y), ("test", X_test, y_test)):
        if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
            raise ValueError(
                f"{path} must hold an integer label for each of the {len(images)} images to "
                f"{part}, got {labels.dtype} of shape {labels.shape}."
            )
        if np.unique(labels).tolist() != list(range(n_classes)):
            raise ValueError(
                f"{path} must hold the {n_classes} classes of {dataset}, labels from 0, to "
                f"{part}, got {len(np.unique(labels))} from {labels.min()} to {labels.max()}."
            )
    return X, y, X_test, y_test


def cut(X, y, X_test, y_test, imbalance_factor):
    """Keep the first images of each class, as many as the long tail has; class 0 is the head."""
    there = np.bincount(y)
    wanted = long_tailed_counts(len(there), int(there[0]), imbalance_factor=imbalance_factor)
    if (wanted > there).any():
        label = int((wanted > there).argmax())
        raise ValueError(
            f"Class {label} must have at least {wanted[label]} training images for an imbalance "
            f"factor of {imbalance_factor:g}, got {there[label]}."
        )
    kept = [np.flatnonzero(y == label)[:n] for label, n in enumerate(wanted)]
    kept = np.concatenate(kept)
    return X[kept], y[kept], X_test, y_test
