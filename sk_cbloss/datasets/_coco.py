"""Images and their classes as COCO-style JSON has them, such as iNaturalist's."""

import json
from itertools import pairwise
from pathlib import Path
from reprlib import repr as short

from sk_cbloss.datasets._image_lists import listed

# What a COCO-style JSON has to say, and of each entry of its lists.
LISTS = {
    "images": ("id", "file_name"),
    "annotations": ("image_id", "category_id"),
    "categories": ("id", "name"),
}
NEEDED = LISTS.keys() | {key for keys in LISTS.values() for key in keys}


def read_coco(annotations, root):
    """Return the images of COCO-style JSON, each with its one category."""
    file = Path(annotations)
    content = _content(file)
    paths, names = _by_id(file, content, "images"), _by_id(file, content, "categories")
    rows = {image: row for row, image in enumerate(paths)}
    positions = {category: label for label, category in enumerate(names)}
    labels = [None] * len(rows)
    for n, entry in enumerate(content["annotations"]):
        row = _known(f"{file}, annotations[{n}]", entry, "image_id", rows)
        label = _known(f"{file}, annotations[{n}]", entry, "category_id", positions)
        if labels[row] not in (None, label):
            raise ValueError(
                f"{file}, annotations[{n}]: image {entry['image_id']!r} must have one category, "
                f"got {entry['category_id']!r} after {content['categories'][labels[row]]['id']!r}."
            )
        labels[row] = label
    if None in labels:
        row = labels.index(None)
        raise ValueError(
            f"{file}, images[{row}]: {content['images'][row]['file_name']} must have an "
            "annotation, got none."
        )
    twice = [name for name, after in pairwise(sorted(names.values())) if name == after]
    if twice:
        raise ValueError(
            f"{file}: categories must have names of their own, got {twice[0]!r} twice."
        )
    root = file.parent if root is None else Path(root)
    paths, names = list(paths.values()), list(names.values())
    return listed(root, paths, labels, names, lambda row: f"{file}, images[{row}]")


def _content(file):
    """Return what is needed of a COCO-style JSON, whose lists have entries with their keys."""
    try:
        with file.open(encoding="utf-8-sig") as stream:
            content = json.load(stream, object_hook=_needed)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} must be JSON in UTF-8, got {error}.") from None
    for name, keys in LISTS.items():
        entries = content.get(name) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not entries:
            raise ValueError(
                f"{file} must be COCO-style, an object with lists of images, annotations and "
                f"categories, got one without {name}."
            )
        for n, entry in enumerate(entries):
            lacks = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if lacks:
                raise ValueError(
                    f"{file}, {name}[{n}]: must be an object with {keys[0]} and {keys[1]}, got "
                    f"one without {lacks[0]}."
                )
    return content


def _needed(entry):
    """Leave out what is not needed, such as who holds the rights, as soon as it is read."""
    return {key: entry[key] for key in entry if key in NEEDED}


def _by_id(file, content, name):
    """Return the texts of a list's entries, such as the names of categories, by their ids."""
    key, found = LISTS[name][1], {}
    for n, entry in enumerate(content[name]):
        place, id_ = f"{file}, {name}[{n}]", entry["id"]
        if not _is_id(id_):
            raise ValueError(f"{place}: id must be an integer or text, got {short(id_)}.")
        if id_ in found:
            raise ValueError(f"{place}: id must be its own, got {id_!r}, which another has.")
        if not isinstance(entry[key], str):
            raise ValueError(f"{place}: {key} must be text, got {short(entry[key])}.")
        found[id_] = entry[key]
    return found


def _is_id(value):
    return isinstance(value, int | str) and not isinstance(value, bool)  # true would equal 1


def _known(place, entry, key, known):
    """Return what is known of an id."""
    id_ = entry[key]
    if not _is_id(id_) or id_ not in known:
        kind = "images" if key == "image_id" else "categories"
        raise ValueError(f"{place}: {key} must be the id of one of the {kind}, got {short(id_)}.")
    return known[id_]
