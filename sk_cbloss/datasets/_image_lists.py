"""Images on disk as paths and classes: of folders, of a text list, of what a table has."""

import os
from itertools import pairwise
from pathlib import Path
from reprlib import repr as short
from typing import NamedTuple

import numpy as np

from sk_cbloss._labels import read_labels
from sk_cbloss._validation import check_same_length

SUFFIXES = ".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"
PARTS = frozenset({"train", "training", "test", "val", "valid", "validation"})
MAX_CLASSES = 10**7


class Listed(NamedTuple):
    """Images and their classes."""

    root: Path
    paths: np.ndarray  # below root; strings outside of Python, which processes share
    targets: np.ndarray  # positions among the classes, int64
    classes: list  # sorted names, or integers


def listed(root, paths, labels, classes, place=None):
    """Return images whose labels are positions in a list of names, sorted by these.

    What names a row in an error is given if files may be missing.
    """
    targets = np.asarray(labels, dtype=np.int64)
    if classes is None:
        names = list(range(targets.max() + 1))
    else:
        names = sorted(classes)
        twice = [name for name, after in pairwise(names) if name == after]
        if twice:
            raise ValueError(f"classes must have names of their own, got {twice[0]!r} twice.")
        rank = {name: position for position, name in enumerate(names)}
        targets = np.array([rank[name] for name in classes])[targets]
    if place is not None:
        _check_own_label(paths, targets, names, place)
        _check_there(root, paths, place)
    return Listed(root, np.array(paths, dtype=np.dtypes.StringDType()), targets, names)


def _check_own_label(paths, targets, names, place):
    """Raise a ValueError if an image has two labels."""
    targets, first = targets.tolist(), {}
    for row, (path, target) in enumerate(zip(paths, targets, strict=True)):
        before = first.setdefault(path, row)
        if targets[before] != target:
            raise ValueError(
                f"{place(row)}: {path} must have one label, got {names[target]!r} after "
                f"{names[targets[before]]!r} in {place(before)}."
            )


def read_table(paths, labels, root, classes):
    """Return images of which paths are given, and labels, names or integers, if they are known."""
    paths, place = list(map(os.fspath, paths)), "paths[{}]".format
    if labels is None:
        if classes is not None:
            raise ValueError("classes must be None without labels, got names of classes.")
        return listed(Path(root), paths, [0] * len(paths), [None], place)
    labels, classes = read_labels(labels), as_names(classes)
    check_same_length(len(paths), len(labels.values))
    known, positions, _ = labels.encode()
    if known.dtype.kind in "biuf":
        known = known.astype(np.int64)
        for label in known.tolist():
            _check_label(label, classes, "each of labels")
    else:
        known = as_names(known.tolist())
        classes = known if classes is None else classes
        unknown = sorted(set(known) - set(classes))
        if unknown:
            raise ValueError(f"labels must be among classes, got {unknown[0]!r}.")
        code = {name: label for label, name in enumerate(classes)}
        known = np.array([code[name] for name in known])
    return listed(Path(root), paths, known[positions], classes, place)


def read_folders(root, classes):
    """Return the images below each class's folder, class by class, by name."""
    root, classes = Path(root), as_names(classes)
    rule = f"{root} must be a folder that holds a folder of images for each class, got"
    if not root.is_dir():
        raise FileNotFoundError(f"{rule} no folder.")
    names = _not_hidden(entry.name for entry in root.iterdir() if entry.is_dir())
    folders = sorted(names)
    images = {folder: found for folder in folders if (found := _images_below(root, folder))}
    if not images:
        raise ValueError(f"{rule} no image in {len(folders)} folders.")
    if classes is None and len(images) > 1 and PARTS.issuperset(map(str.lower, images)):
        raise ValueError(f"{rule} parts of data, {', '.join(images)}: pass one of these folders.")
    classes = list(images) if classes is None else classes
    unknown = sorted(images.keys() - set(classes))
    if unknown:
        raise ValueError(f"{root} must hold folders of the given classes, got {unknown[0]!r}.")
    paths = [path for found in images.values() for path in found]
    label = {name: label for label, name in enumerate(classes)}
    labels = [label[name] for name, found in images.items() for _ in found]
    return listed(root, paths, labels, classes)


def _images_below(root, folder):
    found = []
    for parent, folders, names in os.walk(root / folder, followlinks=True):
        folders[:] = [  # which the walk goes on to
            name for name in _not_hidden(folders) if not _leads_back(Path(parent, name))
        ]
        parent = Path(parent).relative_to(root).as_posix()
        found += [
            f"{parent}/{name}" for name in _not_hidden(names) if name.lower().endswith(SUFFIXES)
        ]
    return sorted(found)


def _leads_back(folder):
    """Whether a folder is a link to one that it lies in, so that the walk would never end."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def _not_hidden(names):
    """Leave out what systems and tools put beside one's own, such as ._1.png."""
    return [name for name in names if not name.startswith(".")]


def read_list(listing, root, classes):
    """Return the images of lines that hold a path and an integer."""
    listing, classes = Path(listing), as_names(classes)
    root = listing.parent if root is None else Path(root)
    try:
        lines = listing.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{listing} must be text in UTF-8, got {error}.") from None
    paths, labels, numbers = [], [], []
    for number, line in enumerate(lines, 1):
        words, place = line.strip().rsplit(maxsplit=1), f"{listing}, line {number}"
        if not words:
            continue
        if len(words) < 2:
            raise ValueError(f"{place} must hold a path and an integer, got {short(words[0])}.")
        paths.append(words[0])
        labels.append(_check_label(words[1], classes, f"{place}: the label"))
        numbers.append(number)
    if not paths:
        raise ValueError(f"{listing} must hold lines of a path and an integer, got none.")
    return listed(root, paths, labels, classes, lambda row: f"{listing}, line {numbers[row]}")


def as_names(classes):
    """Return names of classes as a list, None if there are none."""
    if classes is None:
        return None
    names = list(classes) if np.iterable(classes) and not isinstance(classes, str) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"classes must list names, got {short(classes)}.")
    return list(map(str, names))


def _check_label(label, classes, name):
    """Return a label, an integer or its text, as an int."""
    text, n_classes = str(label), MAX_CLASSES if classes is None else len(classes)
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) < n_classes):
        of_classes = "" if classes is None else f", as there are {n_classes} classes"
        raise ValueError(
            f"{name} must be an integer from 0 to {n_classes - 1}{of_classes}, got {short(label)}."
        )
    return int(text)


def _check_there(root, paths, place):
    """Raise a FileNotFoundError unless all files are there; each folder is listed once."""
    there, missing = {}, []
    for row, path in enumerate(paths):
        folder, name = os.path.split(path)
        if folder not in there:
            there[folder] = _names_in(root / folder)
        if name not in there[folder]:
            missing.append(row)
    if missing:
        others = f", nor {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FileNotFoundError(
            f"{place(missing[0])}: {paths[missing[0]]} must lie in {root}, got no such "
            f"file{others}."
        )


def _names_in(folder):
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if not entry.is_dir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()
