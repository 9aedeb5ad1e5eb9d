"""CIFAR-10 and CIFAR-100, long-tailed, from a copy of one's own or from OpenML."""

import gzip
import io
import os
import pickletools
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml, get_data_home
from sklearn.utils import Bunch

from sk_cbloss._validation import check_choice
from sk_cbloss.datasets._long_tail import check_imbalance_factor, make_long_tailed
from sk_cbloss.datasets._pillow import pillow

PIXELS = 3 * 32 * 32
MAX_RECORD = PIXELS + 1024  # bytes of an image, its labels and its name
BLOCK = 2**20  # bytes
GZIP = b"\x1f\x8b"
IMAGES = ".jpg", ".jpeg", ".png", ".webp"
# What reading a file that was cut off, or overwritten, raises.
DAMAGED = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    ValueError,
)

DESCR = """Long-tailed {name}
{line}
32x32 colour images of {n_classes} classes. The training part is cut down to an imbalance
factor of {imbalance_factor:g}, class 0 the head; the test part is the official, balanced one.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009 (the images). Cui, Jia,
Lin, Song and Belongie, "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019,
section 5.1 (the long tail).
"""


@dataclass(frozen=True)
class _Cifar:
    """What the two data sets differ in."""

    name: str
    n_classes: int
    n_train: int  # of OpenML's rows, the first ones
    n_test: int
    openml_id: int
    labels: tuple  # of a record, in the order of the binary version
    folders: dict  # that an archive unpacks to
    files: dict  # of either part; .bin is added in the binary version

    @property
    def stem(self):
        return self.name.lower()


CIFAR10 = _Cifar(
    "CIFAR-10",
    10,
    50_000,
    10_000,
    40927,
    ("labels",),
    {"binary": "cifar-10-batches-bin", "python": "cifar-10-batches-py"},
    {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]},
)
CIFAR100 = _Cifar(
    "CIFAR-100",
    100,
    50_000,
    10_000,
    41983,
    ("coarse_labels", "fine_labels"),
    {"binary": "cifar-100-binary", "python": "cifar-100-python"},
    {"train": ["train"], "test": ["test"]},
)


def fetch_cifar10_lt(
    subset="train",
    *,
    imbalance_factor=100,
    random_state=0,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
    n_retries=3,
    delay=1.0,
):
    """Load CIFAR-10, with a long-tailed training part and the balanced test part.

    ======================  ===========
    Classes                          10
    Features                    3x32x32
    Training samples, head         5000
    Test samples a class           1000
    ======================  ===========

    Parameters
    ----------
    subset : {"train", "test"}, default="train"
        Which part.
    imbalance_factor : float, default=100
        Largest over smallest class count of the training part, at least 1.
    random_state : int, RandomState instance or None, default=0
        Seed of the draws.
    data_home : str or path, default=None
        A folder with a copy of the data, or for one; None takes scikit-learn's,
        see :func:`sklearn.datasets.get_data_home`. A copy is the original
        archive, ``cifar-10-binary.tar.gz`` or ``cifar-10-python.tar.gz`` (which
        is read without running what is pickled), the folder that either
        unpacks to, or images in ``train/CLASS/`` and ``test/CLASS/``.
    download_if_missing : bool, default=True
        Whether to download the data from OpenML, once, if there is no copy.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` in place of a Bunch.
    n_retries : int, default=3
        How often to try again when the server fails.
    delay : float, default=1.0
        Seconds between tries.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the fields ``data`` (ndarray of shape (n_samples, 3, 32, 32), dtype
        uint8), ``target`` (ndarray of shape (n_samples,)), ``target_names`` (of
        a folder of images only, else None), ``class_count`` (a dict from label
        to number of training samples) and ``DESCR``.
    (data, target) : tuple
        With ``return_X_y=True``.

    Raises
    ------
    OSError
        If there is no copy, and none is to be or can be downloaded.
    ValueError
        If a parameter is invalid, or a file is not what its name says.

    See Also
    --------
    make_long_tailed : Does the same with any data.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 5.1.

    Examples
    --------
    >>> from sk_cbloss import fetch_cifar10_lt
    >>> X, y = fetch_cifar10_lt(return_X_y=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (12406, 3, 32, 32)
    """
    return _fetch(
        CIFAR10,
        subset,
        imbalance_factor=imbalance_factor,
        random_state=random_state,
        data_home=data_home,
        download_if_missing=download_if_missing,
        return_X_y=return_X_y,
        server={"n_retries": n_retries, "delay": delay},
    )


def fetch_cifar100_lt(
    subset="train",
    *,
    imbalance_factor=100,
    random_state=0,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
    n_retries=3,
    delay=1.0,
):
    """Load CIFAR-100, with a long-tailed training part and the balanced test part.

    ======================  ===========
    Classes                         100
    Features                    3x32x32
    Training samples, head          500
    Test samples a class            100
    ======================  ===========

    Parameters
    ----------
    subset : {"train", "test"}, default="train"
        Which part.
    imbalance_factor : float, default=100
        Largest over smallest class count of the training part, at least 1.
    random_state : int, RandomState instance or None, default=0
        Seed of the draws.
    data_home : str or path, default=None
        A folder with a copy of the data, or for one; see
        :func:`fetch_cifar10_lt`. The archives are ``cifar-100-binary.tar.gz``
        and ``cifar-100-python.tar.gz``.
    download_if_missing : bool, default=True
        Whether to download the data from OpenML, once, if there is no copy.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` in place of a Bunch.
    n_retries : int, default=3
        How often to try again when the server fails.
    delay : float, default=1.0
        Seconds between tries.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the same fields as from :func:`fetch_cifar10_lt`.
    (data, target) : tuple
        With ``return_X_y=True``.

    Raises
    ------
    OSError
        If there is no copy, and none is to be or can be downloaded.
    ValueError
        If a parameter is invalid, or a file is not what its name says.

    See Also
    --------
    make_long_tailed : Does the same with any data.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 5.1.

    Examples
    --------
    >>> from sk_cbloss import fetch_cifar100_lt
    >>> X, y = fetch_cifar100_lt(return_X_y=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (10847, 3, 32, 32)
    """
    return _fetch(
        CIFAR100,
        subset,
        imbalance_factor=imbalance_factor,
        random_state=random_state,
        data_home=data_home,
        download_if_missing=download_if_missing,
        return_X_y=return_X_y,
        server={"n_retries": n_retries, "delay": delay},
    )


def _fetch(
    cifar,
    subset,
    *,
    imbalance_factor,
    random_state,
    data_home,
    download_if_missing,
    return_X_y,
    server,
):
    check_choice(subset, "subset", ("train", "test"))
    check_imbalance_factor(imbalance_factor)  # before a download
    home = Path(get_data_home(data_home))
    copy = _own_copy(cifar, home) or _openml_copy(cifar, home, download_if_missing, server)
    data, target, names = copy("train")
    train, train_labels = make_long_tailed(
        np.arange(len(target)),
        target,
        imbalance_factor=imbalance_factor,
        random_state=random_state,
    )
    data, target = (data[train], train_labels) if subset == "train" else copy("test")[:2]
    if return_X_y:
        return data, target
    classes, count = np.unique(train_labels, return_counts=True)
    return Bunch(
        data=data,
        target=target,
        target_names=names,
        class_count=dict(zip(classes.tolist(), count.tolist(), strict=True)),
        DESCR=DESCR.format(
            name=cifar.name,
            line="-" * len(f"Long-tailed {cifar.name}"),
            n_classes=cifar.n_classes,
            imbalance_factor=imbalance_factor,
        ),
    )


# ---------------------------------------------------------------------- copies of one's own


def _own_copy(cifar, home):
    """Return a function from part to images, labels and class names, or None if there is none."""
    forms = ("binary", _parse_binary, ".bin"), ("python", _parse_pickle, "")
    for kind, parse, suffix in forms:
        for place in (home / cifar.folders[kind], home / f"{cifar.stem}-{kind}.tar.gz"):
            if place.exists():
                return partial(_read_files, cifar, place, parse, suffix)
    return partial(_read_images, cifar, home) if (home / "train").is_dir() else None


def _read_files(cifar, place, parse, suffix, part):
    names = [f"{name}{suffix}" for name in cifar.files[part]]
    read = _read_folder if place.is_dir() else _read_archive
    payloads = read(place, names, cifar)
    parts = [parse(cifar, place / name, payloads[name]) for name in names]
    images, labels = map(np.concatenate, zip(*parts, strict=True))
    return images, labels, None


def _read_folder(folder, names, cifar):
    for name in names:
        _check_size(folder / name, (folder / name).stat().st_size, cifar)
    return {name: (folder / name).read_bytes() for name in names}


def _read_archive(archive, names, cifar):
    """Return the files of these names, wherever in the archive, unpacking nothing to the disk."""
    payloads, found = {}, []
    try:
        with archive.open("rb") as packed, _unpacked(packed) as stream:
            limited = _Limited(stream, archive, cifar)
            with tarfile.open(fileobj=limited, mode="r|", bufsize=BLOCK) as tar:
                for member in tar:
                    name = Path(member.name).name
                    if member.isfile():
                        _check_size(archive / name, member.size, cifar)
                        found.append(name)
                    if member.isfile() and name in names:
                        payloads[name] = tar.extractfile(member).read()
            while limited.read(BLOCK):  # the checksum stands at the end
                pass
    except _TooLargeError:
        raise
    except DAMAGED:
        raise ValueError(f"{archive} must be a whole archive, got a damaged one.") from None
    for name in names:
        if name not in payloads:
            raise FileNotFoundError(f"{archive} must hold {name}, got {sorted(found)}.")
    return payloads


def _unpacked(packed):
    """Return what is packed by gzip, or, if it is not, the file itself."""
    is_packed = packed.read(2) == GZIP
    packed.seek(0)
    return gzip.GzipFile(fileobj=packed) if is_packed else packed


class _TooLargeError(ValueError):
    """There is more to read than can be."""


class _Limited:
    """A stream that is read as far as an archive of the data may reach."""

    def __init__(self, stream, archive, cifar):
        self.stream, self.archive = stream, archive
        self.limit = self.left = MAX_RECORD * (cifar.n_train + cifar.n_test)

    def read(self, size):
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise _TooLargeError(
                f"{self.archive} must unpack to {self.limit} bytes at most, got more."
            )
        return data


def _check_size(path, size, cifar):
    limit = MAX_RECORD * cifar.n_train
    if size > limit:
        raise _TooLargeError(f"{path} must have {limit} bytes at most, got {size}.")


def _parse_binary(cifar, path, payload):
    """Read records of one byte for each kind of label, and the pixels."""
    n_labels = len(cifar.labels)
    if not payload or len(payload) % (n_labels + PIXELS):
        raise ValueError(
            f"{path} must hold records of {n_labels + PIXELS} bytes, got {len(payload)} bytes."
        )
    records = np.frombuffer(payload, dtype=np.uint8).reshape(-1, n_labels + PIXELS)
    return _checked(cifar, path, records[:, n_labels:], records[:, n_labels - 1])


def _parse_pickle(cifar, path, payload):
    """Read what is pickled as a list of instructions, and follow none of them."""
    keys = {b"data", b"filenames", b"batch_label", *(key.encode() for key in cifar.labels)}
    wanted = cifar.labels[-1].encode()
    key, pixels, labels = None, b"", []
    try:
        for instruction, value, _ in pickletools.genops(io.BytesIO(payload)):
            if isinstance(value, str | bytes | bytearray):
                text = value.encode("latin-1", "replace") if isinstance(value, str) else value
                if bytes(text[:20]) in keys:
                    key = bytes(text)
                elif key == b"data" and len(text) >= PIXELS:
                    pixels = text
            elif key == wanted and "INT" in instruction.name:
                labels.append(value)
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be a batch of CIFAR's python version: {error}.") from None
    if not labels or len(pixels) != len(labels) * PIXELS:
        raise ValueError(
            f"{path} must hold {PIXELS} pixels for each of {wanted.decode()!r}, got "
            f"{len(pixels)} pixels and {len(labels)} labels."
        )
    pixels = np.frombuffer(pixels, dtype=np.uint8).reshape(-1, PIXELS)
    return _checked(cifar, path, pixels, np.array(labels))


def _checked(cifar, path, pixels, labels):
    if labels.min() < 0 or labels.max() >= cifar.n_classes:
        raise ValueError(
            f"{path} must hold labels from 0 to {cifar.n_classes - 1}, got {labels.max()}."
        )
    return pixels.reshape(-1, 3, 32, 32), labels.astype(np.int64)


def _read_images(cifar, home, part):
    image_module, _ = pillow(f"Reading the images in {home}")
    names = {each: _class_folders(home / each) for each in ("train", part)}
    for each, found in names.items():
        if len(found) != cifar.n_classes or found != names["train"]:
            same = "" if each == "train" else ", the same as in train"
            raise ValueError(
                f"{home / each} must hold a folder of images for each of the {cifar.n_classes} "
                f"classes of {cifar.name}{same}, got {len(found)}: {found[:10]}."
            )
    images, labels = [], []
    for label, name in enumerate(names[part]):
        for path in _images(home / part / name):
            with image_module.open(path) as image:
                images.append(np.asarray(image.convert("RGB")))
            labels.append(label)
            if images[-1].shape != (32, 32, 3):
                raise ValueError(f"{path} must be of 32x32 pixels, got {image.size}.")
    return np.stack(images).transpose(0, 3, 1, 2), np.array(labels), names[part]


def _images(folder):
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)


def _class_folders(folder):
    """Return the names of the folders that hold images, which leaves an editor's own out."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and _images(path))


# ---------------------------------------------------------------------- OpenML


def _openml_copy(cifar, home, download_if_missing, server):
    """Return what `_own_copy` does, of a download that is kept as arrays."""
    kept = home / f"{cifar.stem}-openml.npz"
    if not kept.exists():
        if not download_if_missing:
            raise OSError(
                f"{cifar.name} must lie in data_home, as {cifar.stem}-binary.tar.gz, "
                f"{cifar.stem}-python.tar.gz or images in train/CLASS, got {home}."
            )
        table = fetch_openml(
            data_id=cifar.openml_id, data_home=home, as_frame=False, parser="auto", **server
        )
        labels = table.target.astype(np.int64)
        expected = np.full(cifar.n_classes, cifar.n_train // cifar.n_classes)
        found = np.bincount(labels[: cifar.n_train], minlength=cifar.n_classes)
        if not np.array_equal(found, expected):
            raise OSError(
                f"OpenML's {cifar.name} must begin with the {cifar.n_train} training images, as "
                f"many of each class, got {found.min()} to {found.max()} a class."
            )
        part = home / f".{kept.stem}.{os.getpid()}.npz"
        try:  # whole or not at all
            np.savez(part, images=table.data.astype(np.uint8), labels=labels)
            part.replace(kept)
        finally:
            part.unlink(missing_ok=True)
    parts = {"train": slice(cifar.n_train), "test": slice(cifar.n_train, None)}

    def copy(part):
        try:
            with kept.open("rb") as file, np.load(file) as arrays:
                images, labels = arrays["images"][parts[part]], arrays["labels"][parts[part]]
        except DAMAGED:
            raise ValueError(
                f"{kept} must be a whole copy of {cifar.name}, got a damaged file: remove it to "
                "download anew."
            ) from None
        return *_checked(cifar, kept, images, labels), None

    return copy
