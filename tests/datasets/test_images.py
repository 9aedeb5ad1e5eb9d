"""Images on disk: three formats that say the same, faults that are named, and nets over them."""

import builtins
import json
import pickle
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import _images_on_disk
import numpy as np
import pytest
import torch
from _images_on_disk import (
    COUNT,
    Small,
    coco_of,
    make_folders,
    rows_of,
    train,
    write_coco,
    write_list,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from sklearn.model_selection import GridSearchCV, train_test_split
from skorch.dataset import ValidSplit
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, random_split

from sk_cbloss import (
    CBNeuralNetClassifier,
    LongTailedImages,
    ShotRecallDisplay,
    datasets,
    describe_long_tail,
    long_tailed_counts,
    long_tailed_train_test_split,
    make_long_tailed,
    shot_recall_score,
)
from sk_cbloss.neural_net import TrainingCheckpoint, features_and_labels

NAMES = sorted(COUNT)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_folders(tmp_path_factory.mktemp("images"))


def images_of(root, **kwargs):
    return LongTailedImages.from_folders(root, **{"size": 8} | kwargs)


def assert_same(images, others):
    assert images.classes == others.classes
    assert images.paths.tolist() == others.paths.tolist()
    np.testing.assert_array_equal(images.targets, others.targets)
    assert images.targets.dtype == others.targets.dtype == np.int64
    for (image, target), (other, of_other) in zip(images, others, strict=True):
        torch.testing.assert_close(image, other, rtol=0, atol=0)
        assert type(target) is int
        assert target == of_other


# ---------------------------------------------------------------------- what is read


@pytest.mark.parametrize("order", [["ant", "bee", "yak"], ["yak", "ant", "bee"]])
@pytest.mark.parametrize("seed", [None, 0])
def test_the_same_rows_make_the_same_data_set_in_every_format(root, tmp_path, order, seed):
    folders = images_of(root)
    if seed is not None:
        folders = folders[np.random.default_rng(seed).permutation(len(folders))]
    rows = rows_of(folders)
    listing = write_list(tmp_path / "list.txt", rows, order)
    coco = write_coco(tmp_path / "coco.json", rows, order)
    paths, labels = zip(*rows, strict=True)
    for images in (
        LongTailedImages.from_list(listing, root=root, classes=order, size=8),
        LongTailedImages.from_coco(coco, root=root, size=8),
        LongTailedImages(paths, labels, root=root, size=8),
        LongTailedImages(paths, labels, root=root, classes=order, size=8),
        LongTailedImages(paths, list(map(order.index, labels)), root=root, classes=order, size=8),
    ):
        assert_same(images, folders)
    images = LongTailedImages([root / path for path in paths], labels)
    assert images.paths.tolist() == [f"{root}/{path}" for path in paths]
    assert images.root / images.paths[0] == root / paths[0]


def test_folders(root):
    images = images_of(root)
    assert isinstance(images, Dataset)
    assert len(images) == sum(COUNT.values())
    assert images.classes == NAMES
    assert images.class_count == COUNT
    assert list(images.class_count) == NAMES
    assert images.labels.tolist() == [name for name in NAMES for _ in range(COUNT[name])]
    assert images.paths[0] == "ant/000 x.png"
    assert repr(images) == f"<LongTailedImages: 38 of 3 classes in {root}>"


def test_pixels_and_sizes(tmp_path):
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "1.PNG")
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "a" / "grey.png")
    image, target = LongTailedImages.from_folders(tmp_path)[0]
    assert target == 0
    assert image.dtype == torch.float32
    np.testing.assert_array_equal(image, pixels.transpose(2, 0, 1) / np.float32(255))
    images = LongTailedImages.from_folders(tmp_path, size=4)
    np.testing.assert_array_equal(images[0][0] * 255, pixels[:, 1:5].transpose(2, 0, 1))
    assert images[1][0].shape == (3, 4, 4)
    seen = []
    images = LongTailedImages.from_folders(tmp_path, size=2, transform=seen.append)
    assert images[-1] == (None, 1)
    assert seen[0].size == (2, 2)
    assert seen[0].mode == "RGB"


SCALED = [("png", "u2"), ("tif", "u2"), ("pgm", "u2"), ("jp2", "u2"), ("png", "u1"), ("tif", "u1")]


@pytest.mark.parametrize(("suffix", "dtype"), SCALED)
def test_grey_is_what_it_is_of_its_white(tmp_path, suffix, dtype):
    pixels = np.linspace(0, np.iinfo(dtype).max, 48).reshape(6, 8).astype(dtype)
    kept = pixels.astype("i4") if suffix == "pgm" else pixels  # where older ones write no "I;16"
    Image.fromarray(kept).save(tmp_path / f"x.{suffix}")
    image, _ = LongTailedImages([f"x.{suffix}"], ["a"], root=tmp_path)[0]
    expected = np.broadcast_to(pixels / np.iinfo(dtype).max, (3, 6, 8))
    np.testing.assert_allclose(image, expected, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("dtype", ["i4", "f4"])
@pytest.mark.parametrize("kwargs", [{}, {"size": 4}, {"transform": np.array}])
def test_numbers_without_a_white_are_refused(tmp_path, dtype, kwargs):
    Image.fromarray(np.ones((6, 8), dtype)).save(tmp_path / "x.tif")
    images = LongTailedImages(["x.tif"], ["a"], root=tmp_path, **kwargs)
    with pytest.raises(ValueError, match=r"x\.tif must be an image of 8 or 16 bits .* as '[IF]'"):
        images[0]


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_photographs_are_upright(tmp_path, suffix):
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    for turn in range(10):
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.fromarray(pixels).save(tmp_path / f"{turn}.{suffix}", exif=exif)
        with Image.open(tmp_path / f"{turn}.{suffix}") as image:
            expected = np.array(ImageOps.exif_transpose(image).convert("RGB")) / np.float32(255)
        image, _ = LongTailedImages([f"{turn}.{suffix}"], ["a"], root=tmp_path)[0]
        np.testing.assert_array_equal(image, expected.transpose(2, 0, 1))


def test_what_a_camera_noted_may_be_broken(tmp_path):
    broken = b"Exif\0\0" + b"X" * 20
    Image.new("RGB", (8, 6)).save(tmp_path / "x.jpg", exif=broken)
    assert LongTailedImages(["x.jpg"], ["a"], root=tmp_path)[0][0].shape == (3, 6, 8)


def test_transparency_is_left_out(tmp_path):
    """Without a warning a file, as pillow has it for some palettes."""
    red = Image.new("RGBA", (8, 6), (255, 0, 0, 10))
    red.save(tmp_path / "rgba.png")
    palette = red.convert("RGB").quantize(4)
    palette.save(tmp_path / "palette.png", transparency=bytes(range(4)))
    for name in ("rgba.png", "palette.png"):
        image, _ = LongTailedImages([name], ["a"], root=tmp_path)[0]
        assert image[:, 0, 0].tolist() == [1, 0, 0]


def test_a_photograph_is_scaled_and_cropped(tmp_path):
    """A JPEG may be decoded at an eighth of its size; it must come out alike."""
    (tmp_path / "a").mkdir()
    ramp = np.linspace(0, 255, 640).astype(np.uint8)
    pixels = np.broadcast_to(ramp[None, :, None], (480, 640, 3))
    Image.fromarray(np.ascontiguousarray(pixels)).save(tmp_path / "a" / "1.jpg")
    image = LongTailedImages.from_folders(tmp_path, size=16)[0][0]
    expected = ramp[80:560].reshape(16, 30).mean(axis=1) / 255
    np.testing.assert_allclose(image[1], np.tile(expected, (16, 1)), atol=0.02)


def test_numbers_stay_numbers_without_names(root, tmp_path):
    rows = rows_of(images_of(root))
    images = LongTailedImages.from_list(write_list(tmp_path / "l", rows, NAMES), root=root)
    assert images.classes == [0, 1, 2]
    assert images.class_count == dict(enumerate(COUNT[name] for name in NAMES))
    np.testing.assert_array_equal(images.labels, images.targets)
    gap = LongTailedImages([path for path, _ in rows[:3]], [0, 2, 2], root=root)
    assert gap.class_count == {0: 1, 1: 0, 2: 2}


def test_lists_may_have_spaces_tabs_and_empty_lines(root, tmp_path):
    listing = tmp_path / "list.txt"
    listing.write_bytes(b"ant/000 x.png  0\r\n\nbee/001 x.png\t1 \nant/000 x.png 0")
    images = LongTailedImages.from_list(listing, root=root)
    assert images.paths.tolist() == ["ant/000 x.png", "bee/001 x.png", "ant/000 x.png"]
    assert images.targets.tolist() == [0, 1, 0]


def test_files_may_begin_with_the_mark_of_utf_8(root, tmp_path):
    rows = rows_of(images_of(root))
    listing, coco = (
        write_list(tmp_path / "list.txt", rows, NAMES),
        write_coco(tmp_path / "coco.json", rows, NAMES),
    )
    for file in (listing, coco):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    images = LongTailedImages.from_list(listing, root=root, classes=NAMES, size=8)
    assert_same(images, LongTailedImages.from_coco(coco, root=root, size=8))


def test_files_are_looked_for_beside_what_names_them(root):
    rows = rows_of(images_of(root))
    try:
        listing = write_list(root / "list.txt", rows, NAMES)
        coco = write_coco(root / "coco.json", rows, NAMES)
        assert_same(LongTailedImages.from_list(listing, classes=NAMES, size=8), images_of(root))
        assert_same(LongTailedImages.from_coco(coco, size=8), images_of(root))
    finally:
        listing.unlink()
        coco.unlink()


def test_classes_without_an_image_keep_their_place(root):
    given = ["zebu", "yak", "bee", "auk", "ant"]
    images = images_of(root, classes=given)
    assert images.classes == sorted(given)
    assert images.class_count == dict.fromkeys(sorted(given), 0) | COUNT
    net = CBNeuralNetClassifier(Small, max_epochs=1, random_state=0).fit(images)
    assert net.classes_.tolist() == sorted(given)
    assert net.class_count_.tolist() == list(images.class_count.values())


def test_a_link_to_a_folder_is_followed_unless_it_leads_back(tmp_path):
    for path in ("set/ant/1.png", "set/bee/1.png", "more/deep/2.png"):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(file)
    (tmp_path / "set" / "ant" / "more").symlink_to(tmp_path / "more")
    (tmp_path / "set" / "ant" / "back").symlink_to(tmp_path / "set")
    (tmp_path / "more" / "itself").symlink_to(tmp_path / "more")
    images = LongTailedImages.from_folders(tmp_path / "set")
    assert images.paths.tolist() == ["ant/1.png", "ant/more/deep/2.png", "bee/1.png"]


def test_folders_may_be_deep_and_others_have_no_images(tmp_path):
    make_folders(tmp_path / "a", {"x": 1, "w": 2})
    make_folders(tmp_path / "b", {"v": 1})
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "notes.txt").write_text("")
    make_folders(tmp_path, {".checkpoints": 1, "a/x/.deeper": 1})
    (tmp_path / "a" / "x" / "._000 x.png").write_bytes(b"of another system")
    images = images_of(tmp_path)
    assert images.class_count == {"a": 3, "b": 1}
    assert images.paths.tolist() == sorted(images.paths.tolist())


# ---------------------------------------------------------------------- what is cut


def test_rows_are_cut_without_reading_an_image(root, monkeypatch):
    images = images_of(root)
    monkeypatch.setattr(Image, "open", None)
    rows = np.array([5, 30, 2])
    for part in (images[rows], images[rows.tolist()], images[rows, ...]):
        assert part.targets.tolist() == images.targets[rows].tolist()
        assert part.classes == images.classes
    assert len(images[images.targets == 1]) == COUNT["bee"]
    assert images[-3:].paths.tolist() == images.paths[-3:].tolist()
    train, test = train_test_split(images, stratify=images.targets, test_size=0.5, random_state=0)
    assert isinstance(train, LongTailedImages)
    assert train.class_count == test.class_count == {name: COUNT[name] // 2 for name in NAMES}
    tail, labels = make_long_tailed(images, images.labels, imbalance_factor=3, random_state=0)
    count = long_tailed_counts(3, 6 * 3, imbalance_factor=3)
    assert tail.labels.tolist() == labels.tolist()
    tail, _ = make_long_tailed(
        images, images.labels, imbalance_factor=3, order=["ant", "yak", "bee"], random_state=0
    )
    assert sorted(tail.class_count.values(), reverse=True) == count.tolist()
    train, test, _, _ = long_tailed_train_test_split(
        images, images.labels, imbalance_factor=2, test_size=6, random_state=0
    )
    assert set(test.class_count.values()) == {2}
    assert not set(train.paths) & set(test.paths)


def test_images_without_labels_are_to_be_predicted(root):
    labelled = images_of(root)
    net = CBNeuralNetClassifier(Small, max_epochs=1, random_state=0).fit(labelled)
    new = LongTailedImages(labelled.paths, root=root, size=8)
    np.testing.assert_array_equal(net.predict_proba(new), net.predict_proba(labelled))
    assert new.class_count == {None: len(labelled)}
    assert set(new.labels) == {None}
    with pytest.raises(ValueError, match="at least 2 classes"):
        CBNeuralNetClassifier(Small, max_epochs=1).fit(new)
    with pytest.raises(ValueError, match="^classes must be None without labels, got"):
        LongTailedImages(labelled.paths, root=root, classes=["ant"])
    with pytest.raises(FileNotFoundError, match=r"^paths\[0\]: no.png must lie in"):
        LongTailedImages(["no.png"], root=root)


def test_a_score_takes_the_labels_of_the_data_set(root):
    images = images_of(root)
    net = CBNeuralNetClassifier(Small, max_epochs=1, random_state=0).fit(images)
    assert (
        net.score(images)
        == net.score(images, images.labels)
        == net.score(Subset(images, range(38)))
    )
    with pytest.raises(
        ValueError, match="^y must hold the labels, unless X is a Dataset, got Non"
    ):
        net.score(np.zeros((2, 3, 8, 8)))


@pytest.mark.parametrize("paths", [["ant/000 x.png"], [Path("ant/000 x.png")]])
def test_paths_in_the_place_of_images_are_told_of_the_data_set(root, paths):
    net = CBNeuralNetClassifier(Small, max_epochs=1, random_state=0).fit(images_of(root))
    for call in (net.predict, net.predict_proba, lambda X: net.fit(X * 2, ["ant", "bee"])):
        with pytest.raises(ValueError, match=r"^X must hold numbers, got 'ant/000 x.png': texts"):
            call(paths)


def test_pickles(root):
    images = images_of(root)
    assert_same(pickle.loads(pickle.dumps(images)), images)


def test_rows_out_of_range(root):
    with pytest.raises(IndexError):
        images_of(root)[38]
    assert len(list(images_of(root))) == 38


# ---------------------------------------------------------------------- faults


def assert_sentence(error, *parts):
    text = str(error.value)
    assert re.fullmatch(r"[^\n]*\.", text), text
    for part in parts:
        assert part in text


FAULTS = {
    "a.png 0\nb.png cat\n": ["line 2: the label must be an integer", "got 'cat'"],
    "a.png 0\n\nb.png -1\n": ["line 3: the label must be an integer from 0", "got '-1'"],
    "a.png 1.0\n": ["line 1: the label must be an integer", "got '1.0'"],
    "a.png 3\n": ["line 1", "from 0 to 2, as there are 3 classes", "got '3'"],
    "a.png\n": ["line 1 must hold a path and an integer", "got 'a.png'"],
    "a.png 1\nb.png 2\na.png 0\n": ["line 3: a.png must have one label, got 'ant' after 'bee' in"],
    "ant/000 x.png 0\nbee 1\n": ["line 2: bee must lie in", "got no such file"],
    "\n": ["must hold lines of a path and an integer, got none"],
    "": ["must hold lines of a path and an integer, got none"],
    "ant/000 x.png 0\nant/z.png 1\nq/1.png 1": [
        "line 2: ant/z.png must lie in",
        "nor 1 more",
    ],
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_list_with_a_fault_is_refused_with_file_and_line(root, tmp_path, text):
    listing = tmp_path / "list.txt"
    listing.write_text(text)
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        LongTailedImages.from_list(listing, root=root, classes=NAMES)
    assert_sentence(error, str(listing), *FAULTS[text])


def test_large_labels_without_names(root, tmp_path):
    (listing := tmp_path / "list.txt").write_text("ant/000 x.png 123456789012")
    with pytest.raises(ValueError, match="from 0 to 9999999, got '123456789012'") as error:
        LongTailedImages.from_list(listing, root=root)
    assert_sentence(error)


def with_a_twin(content):
    image, category = content["images"][1], content["categories"][0]
    content["annotations"].append({"image_id": image["id"], "category_id": category["id"]})


def with_the_id_of_the_first(name):
    return lambda content: content[name][1].update(id=content[name][0]["id"])


def with_(name, entry, /, **values):
    return lambda content: content[name][entry].update(**values)


def without(*path):
    def change(content):
        for part in path[:-1]:
            content = content[part]
        del content[path[-1]]

    return change


JSON_FAULTS = {
    "images": (without("images"), "must be COCO-style", "without images"),
    "annotations": (without("annotations"), "must be COCO-style", "without annotations"),
    "no list": (lambda c: c.update(categories={}), "must be COCO-style", "without categories"),
    "empty": (lambda c: c.update(images=[]), "must be COCO-style", "without images"),
    "no object": (lambda c: c["images"].insert(1, 3), "images[1]", "got one without id"),
    "no name": (without("images", 2, "file_name"), "images[2]", "without file_name"),
    "no category": (
        without("annotations", 0, "category_id"),
        "annotations[0]",
        "without category",
    ),
    "image twice": (with_the_id_of_the_first("images"), "images[1]: id must be its own"),
    "no id": (with_("images", 1, id=[]), "images[1]: id must be an integer or text, got []"),
    "no text": (with_("images", 1, file_name=None), "images[1]: file_name must be text, got None"),
    "class twice": (with_the_id_of_the_first("categories"), "categories[1]: id must be its own"),
    "name twice": (with_("categories", 1, name="ant"), "must have names of their own", "'ant'"),
    "unknown": (with_("annotations", 2, image_id="x"), "annotations[2]: image_id", "got 'x'"),
    "odd": (with_("annotations", 2, category_id={}), "annotations[2]: category_id", "got {}"),
    "true": (with_("annotations", 0, image_id=True), "annotations[0]: image_id", "got True"),
    "true id": (with_("images", 1, id=True), "images[1]: id must be an integer", "got True"),
    "file twice": (with_("images", 1, file_name="a.png"), "images[1]: a.png must have one label"),
    "not annotated": (without("annotations", 2), "must have an annotation, got none"),
    "annotated twice": (with_a_twin, "annotations[3]: image", "must have one category, got"),
    "not there": (lambda content: None, "images[0]: a.png must lie in", "nor 2 more"),
}


@pytest.mark.parametrize("fault", JSON_FAULTS)
def test_json_with_a_fault_is_refused_with_file_and_entry(tmp_path, fault):
    change, *parts = JSON_FAULTS[fault]
    file = tmp_path / "{train}.json"
    content = coco_of([("a.png", "ant"), ("b.png", "bee"), ("c.png", "ant")], ["ant", "bee"])
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        LongTailedImages.from_coco(file)
    assert_sentence(error, str(file), *parts)


@pytest.mark.parametrize("content", [[], [{}], {"type": "FeatureCollection", "features": []}, 3])
def test_json_of_another_kind(tmp_path, content):
    (file := tmp_path / "train.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="must be COCO-style, an object with lists of") as error:
        LongTailedImages.from_coco(file)
    assert_sentence(error, str(file))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"a.png 0", b"[" * 100_000])
def test_what_is_no_json(tmp_path, content):
    (file := tmp_path / "train.json").write_bytes(content)
    with pytest.raises(ValueError, match="must be JSON in UTF-8, got") as error:
        LongTailedImages.from_coco(file)
    assert_sentence(error, str(file))


def test_what_is_no_text(tmp_path):
    (file := tmp_path / "train.txt").write_bytes(b"\x89PNG\xff 1")
    with pytest.raises(ValueError, match="must be text in UTF-8, got") as error:
        LongTailedImages.from_list(file)
    assert_sentence(error, str(file))


IDS = st.integers(0, 3) | st.sampled_from(["a.png", "b.png", "", None]) | st.floats()
KEYS = ["images", "annotations", "categories", "id", "image_id", "category_id", "name"]
VALUES = st.recursive(
    IDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*KEYS, "file_name"]), inner, max_size=4)
    ),
)
ENTRIES = st.lists(
    st.fixed_dictionaries(dict.fromkeys([*KEYS[3:], "file_name"], IDS)), min_size=1, max_size=3
)
CONTENTS = VALUES | st.fixed_dictionaries(dict.fromkeys(KEYS[:3], ENTRIES))


def n_read(read, name, content):
    """Return how many images a file has, or, if it is refused, why."""
    with tempfile.TemporaryDirectory() as folder:
        (file := Path(folder) / name).write_text(content, encoding="utf-8")
        for image in ("a.png", "b.png"):
            (Path(folder) / image).touch()
        try:
            return len(read(file))
        except (ValueError, FileNotFoundError) as error:
            return str(error)


def is_as_expected(found, n):
    return found == n or re.fullmatch(r"[^\n]* must [^\n]*, got [^\n]*\.", str(found))


@settings(max_examples=200, deadline=None)
@given(CONTENTS)
def test_any_json_is_read_or_refused_in_a_sentence(content):
    found = n_read(LongTailedImages.from_coco, "train.json", json.dumps(content))
    assert is_as_expected(found, len(content["images"]) if isinstance(found, int) else None)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["a.png", "b.png", " ", "\t", "\n", "0", "1", "-", "é", "²"])))
def test_any_text_is_read_or_refused_in_a_sentence(parts):
    found = n_read(LongTailedImages.from_list, "list.txt", text := "".join(parts))
    assert is_as_expected(found, sum(bool(line.strip()) for line in text.split("\n")))


def test_folders_with_a_fault(root, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere must be a folder .*, got no folder"):
        images_of(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="got no image in 1 folders"):
        images_of(tmp_path)
    with pytest.raises(ValueError, match="must hold folders of the given classes, got 'yak'"):
        images_of(root, classes=["ant", "bee"])
    with pytest.raises(ValueError, match="must have names of their own, got 'bee' twice"):
        images_of(root, classes=["ant", "bee", "bee", "yak"])
    for classes in ("ant", [1, 2], []):
        with pytest.raises(ValueError, match="classes must list names, got"):
            images_of(root, classes=classes)


def test_folders_of_parts_are_no_classes(tmp_path):
    for part in ("train", "test"):
        make_folders(tmp_path / part)
    with pytest.raises(ValueError, match=r"for each class, got parts of data, test, train: pass"):
        images_of(tmp_path)
    assert images_of(tmp_path, classes=["test", "train"]).class_count == {"test": 38, "train": 38}


def test_tables_with_a_fault(root):
    paths = ["ant/000 x.png", "bee/000 x.png"]
    with pytest.raises(FileNotFoundError, match=r"paths\[1\]: no.png must lie in"):
        LongTailedImages(["ant/000 x.png", "no.png"], ["a", "b"], root=root)
    with pytest.raises(
        ValueError, match=r"paths\[1\]: ant/000 x.png .* 'b' after 'a' in paths\[0"
    ):
        LongTailedImages(paths[:1] * 2, ["a", "b"], root=root)
    assert LongTailedImages(paths[:1] * 2, ["a", "a"], root=root).class_count == {"a": 2}
    with pytest.raises(ValueError, match="labels must be among classes, got 'bee'"):
        LongTailedImages(paths, ["ant", "bee"], root=root, classes=["ant"])
    with pytest.raises(ValueError, match="each of labels must be an integer from 0 to 0, as"):
        LongTailedImages(paths, [0, 1], root=root, classes=["ant"])
    with pytest.raises(ValueError, match="each of labels must be an integer from 0"):
        LongTailedImages(paths, [-1, 1], root=root)
    with pytest.raises(ValueError, match="same number of samples, got 2 and 1"):
        LongTailedImages(paths, [0], root=root)
    with pytest.raises(ValueError, match="size must be an integer >= 1, got 0"):
        LongTailedImages(paths, [0, 1], root=root, size=0)
    with pytest.raises(ValueError, match="transform must be callable or None, got 3"):
        LongTailedImages(paths, [0, 1], root=root, transform=3)


def damage(file, kind):
    content = file.read_bytes()
    if kind == "missing":
        file.unlink()
    else:
        kinds = {"cut off": content[: len(content) // 2], "empty": b"", "text": b"no image"}
        kinds["overwritten"] = content[:60] + b"\0" * 20 + content[80:]
        file.write_bytes(kinds[kind])


@pytest.mark.parametrize(
    ("kind", "n_workers"),
    [("cut off", 0), ("empty", 0), ("text", 0), ("overwritten", 0), ("missing", 0), ("text", 1)],
)
def test_a_damaged_image_is_named(tmp_path, kind, n_workers):
    images = images_of(make_folders(tmp_path / "x", {"ant": 6, "bee": 4}))
    damage(file := tmp_path / "x" / "bee" / "002 x.png", kind)
    error = FileNotFoundError if kind == "missing" else ValueError
    with pytest.raises(error, match=rf"{re.escape(str(file))} must be an image.*, got .*\.$"):
        for _ in DataLoader(images, 5, num_workers=n_workers):
            pass
    net = CBNeuralNetClassifier(
        Small, max_epochs=1, random_state=0, iterator_train__num_workers=n_workers
    )
    with pytest.raises(error, match=re.escape(f"{file} must be an image")):
        net.fit(images)


@pytest.mark.parametrize("n_workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_images_of_several_sizes_are_told_of_size(tmp_path, n_workers):
    make_folders(tmp_path / "x", {"ant": 3})
    make_folders(tmp_path / "y", {"bee": 3}, size=(9, 8))
    paths = [f"x/ant/00{i} x.png" for i in range(3)] + [f"y/bee/00{i} x.png" for i in range(3)]
    images = LongTailedImages(paths, ["ant", "bee"] * 3, root=tmp_path)
    net = net_of(iterator_train__num_workers=n_workers)
    with pytest.raises(ValueError, match=r"got \(3, \d, 8\) and \(3, \d, 8\): .* as size= does"):
        net.fit(images)
    net.fit(LongTailedImages(paths, ["ant", "bee"] * 3, root=tmp_path, size=8))


def test_pillow_is_asked_for(root, monkeypatch):
    real = builtins.__import__

    def no_pillow(name, *args, **kwargs):
        if name == "PIL":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_pillow)
    with pytest.raises(ImportError, match="LongTailedImages needs pillow: pip install pillow"):
        images_of(root)


# ---------------------------------------------------------------------- nets


def reads_of(images):
    """Return the list that the paths of images come into as they are read."""
    seen = []

    class Noted(LongTailedImages):
        def __getitem__(self, row):
            item = super().__getitem__(row)
            if isinstance(item, tuple):
                seen.append(self.paths[row])
            return item

    images.__class__ = Noted
    return seen


def net_of(**params):
    given = {"module": Small, "max_epochs": 2, "batch_size": 8, "random_state": 0, "device": "cpu"}
    return CBNeuralNetClassifier(**given | params)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda images: images,
        lambda images: Subset(images, range(len(images))),
        lambda images: ConcatDataset([images[:10], Subset(images, range(10, len(images)))]),
        lambda images: Subset(Subset(images, np.arange(len(images))[::-1]), np.arange(38)[::-1]),
    ],
)
def test_labels_are_read_without_the_images(root, wrap):
    """One image is read before the first batch, to see that it yields its target."""
    seen = reads_of(images := images_of(root))
    net = net_of(max_epochs=1).fit(wrap(images))
    assert len(seen) == 1 + len(images)
    assert net.classes_.tolist() == NAMES
    assert net.class_count_.tolist() == [COUNT[name] for name in NAMES]
    arrays = np.stack([image for image, _ in images])
    plain = net_of(max_epochs=1).fit(arrays, images.labels)
    np.testing.assert_allclose(net.predict_proba(images), plain.predict_proba(arrays), atol=1e-6)


def test_workers_change_nothing(root):
    images = images_of(root)
    logits = [
        net_of(iterator_train__num_workers=n, iterator_valid__num_workers=n)
        .fit(images)
        .decision_function(images)
        for n in (0, 2)
    ]
    np.testing.assert_array_equal(*logits)


@pytest.mark.parametrize("how", ["early_stopping", "train_split", "X_val", "random_split"])
def test_validation(root, how):
    images, beside = images_of(root), {}
    net = net_of()
    if how == "early_stopping":
        net.set_params(early_stopping=True)
    elif how == "train_split":
        net.set_params(train_split=ValidSplit(3, stratified=True))
    elif how == "X_val":
        images, beside["X_val"] = train_test_split(images, stratify=images.targets)
    else:
        parts = random_split(images, [0.8, 0.2], torch.Generator().manual_seed(1))
        images, beside["X_val"] = parts
    net.fit(images, **beside)
    assert net.classes_.tolist() == NAMES
    assert len(net.history_[:, "valid_balanced_accuracy"]) == 2


def test_other_classes_in_the_validation_part_are_refused(root, tmp_path):
    images = images_of(make_folders(tmp_path / "x", {"ant": 3, "yak": 3}))
    with pytest.raises(ValueError, match="A Dataset's classes must be those of the net"):
        net_of().fit(images_of(root), X_val=images)
    net_of().fit(images_of(root), X_val=images_of(tmp_path / "x", classes=NAMES))


def test_names_in_what_is_told(root):
    images = images_of(root)
    net = net_of(max_epochs=20).fit(images)
    predicted = net.predict(images)
    assert set(predicted) <= set(NAMES)
    assert 0 <= net.score(images, images.labels) <= 1
    many, few = (10, 15), images.class_count
    recalls = shot_recall_score(images.labels, predicted, class_count=few, thresholds=many)
    hits = np.array([np.mean(predicted[images.labels == name] == name) for name in NAMES])
    assert recalls == {"many": hits[0], "medium": hits[2], "few": hits[1]}
    display = ShotRecallDisplay.from_estimator(
        net, images, images.labels, class_count=images.class_count, thresholds=many
    )
    assert list(display.marks_) == ["CBNeuralNetClassifier"]
    tail = describe_long_tail(images.labels)
    assert tail.class_count == {name: COUNT[name] for name in ("ant", "yak", "bee")}
    assert "from 20 ('ant') to 6 ('bee')" in repr(tail)


def test_a_search(root):
    X, y = features_and_labels(images := images_of(root))
    assert y.tolist() == images.labels.tolist()
    search = GridSearchCV(net_of(), {"beta": [0, 0.9]}, cv=2, error_score="raise").fit(X, y)
    assert search.classes_.tolist() == NAMES


def test_thousands_of_classes_of_which_most_are_rare(tmp_path):
    count = np.random.default_rng(0).zipf(2, 1000).clip(1, 50)
    paths, labels = [], []
    for c, n in enumerate(count):
        (tmp_path / f"{c:05}").mkdir()
        for i in range(n):
            path = f"{c:05}/{i:02}.png"
            if c < 20:
                Image.new("RGB", (4, 4), (c, i, 0)).save(tmp_path / path)
            else:
                (tmp_path / path).symlink_to(tmp_path / "00000" / "00.png")
            paths.append(path)
            labels.append(c)
    images = LongTailedImages.from_folders(tmp_path)
    assert images.paths.tolist() == paths
    assert images.targets.tolist() == labels
    net = net_of(max_epochs=1, batch_size=512, early_stopping=True).fit(images)
    assert net.class_count_.tolist() == count.tolist()
    assert net.predict(images[:5]).shape == (5,)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_training_goes_on(root, tmp_path):
    script = Path(_images_on_disk.__file__)
    process = subprocess.run(
        [sys.executable, script, root, tmp_path, "3"], capture_output=True, text=True, timeout=120
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    net = train(root, tmp_path, verbose=0)
    told = net.history_[:, "train_loss"]
    other = train(root)
    assert told == other.history_[:, "train_loss"]
    assert len(told) == 4
    for name, value in net.module_.state_dict().items():
        torch.testing.assert_close(value, other.module_.state_dict()[name], rtol=0, atol=0)


def test_a_checkpoint_tells_data_sets_apart(root, tmp_path):
    """By paths, targets and what makes tensors of images; pixels are not read for it."""
    images = images_of(root)
    others = [
        images[::-1],
        images[:-1],
        images_of(root, size=9),
        images_of(root, transform=lambda image: torch.ones(3, 8, 8)),
        images_of(root, transform=lambda image: torch.zeros(3, 8, 8)),
        images_of(root, classes=[*NAMES, "zebu"]),
    ]
    for n, data in enumerate([images, *others]):
        net_of(max_epochs=1, callbacks=[TrainingCheckpoint(tmp_path, keep=None)]).fit(data)
        assert len(list(tmp_path.iterdir())) == n + 1
    net_of(max_epochs=1, callbacks=[TrainingCheckpoint(tmp_path, keep=None)]).fit(images_of(root))
    assert len(list(tmp_path.iterdir())) == n + 1


def test_the_rooms_face():
    """That it does not load torch is held by tests/test_public.py."""
    assert "LongTailedImages" in datasets.__all__
    assert datasets.LongTailedImages is LongTailedImages
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        datasets.nothing  # noqa: B018


def test_rows_that_make_no_batch_are_told_what_to_be(root):
    images = LongTailedImages.from_folders(root, transform=lambda image: image)
    net = CBNeuralNetClassifier(module__n_features=3, module__n_classes=3, device="cpu")
    with pytest.raises(
        TypeError, match="^Rows of a Dataset must be tensors, .*give it a transform"
    ):
        net.fit(images)
