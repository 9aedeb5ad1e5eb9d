"""CIFAR from small copies that look like the original ones."""

import gzip
import io
import os
import pickle
import struct
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.utils import Bunch

from sk_cbloss import fetch_cifar10_lt, fetch_cifar100_lt
from sk_cbloss.datasets import _cifar

FETCH = {10: fetch_cifar10_lt, 100: fetch_cifar100_lt}
SPECIFICATION = {10: _cifar.CIFAR10, 100: _cifar.CIFAR100}
EACH = {10: {"train": 20, "test": 5}, 100: {"train": 4, "test": 2}}
FOLDER = {
    (10, "binary"): "cifar-10-batches-bin",
    (10, "python"): "cifar-10-batches-py",
    (100, "binary"): "cifar-100-binary",
    (100, "python"): "cifar-100-python",
}


def made_up(n_classes, part):
    """Return mixed images and labels."""
    rng = np.random.default_rng([n_classes, part == "train"])
    labels = rng.permutation(np.repeat(np.arange(n_classes), EACH[n_classes][part]))
    return rng.integers(256, size=(len(labels), 3, 32, 32), dtype=np.uint8), labels


def binary(images, labels, n_classes):
    other = [] if n_classes == 10 else [labels[:, None] % 20]
    records = [*other, labels[:, None], images.reshape(len(images), -1)]
    return np.hstack(records).astype(np.uint8).tobytes()


def short_string(text):
    return b"U" + bytes([len(text)]) + text


def python(images, labels, n_classes):
    """Return the instructions that Python 2 wrote for these batches, with protocol 2."""

    def integers(values):
        return b"](" + b"".join(b"K" + bytes([value]) for value in values) + b"e"

    pixels = images.reshape(len(images), -1)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01"
        + b"M" + struct.pack("<H", len(pixels)) + b"M\x00\x0c\x86"
        + b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        + b"K\x00tb\x89T" + struct.pack("<i", pixels.size) + pixels.tobytes() + b"tb"
    )  # fmt: skip
    names = [short_string(b"a_%d.png" % i) for i in range(len(labels))]
    items = {b"filenames": b"](" + b"".join(names) + b"e", b"data": array}
    if n_classes == 10:
        items |= {b"labels": integers(labels), b"batch_label": short_string(b"batch 1 of 5")}
    else:
        coarse = [int(label) % 20 for label in labels]
        items |= {b"coarse_labels": integers(coarse), b"fine_labels": integers(labels)}
    body = b"".join(short_string(key) + value for key, value in items.items())
    return b"\x80\x02}(" + body + b"u."


def files(n_classes, kind):
    """Return the names and bytes of a copy."""
    write, suffix = (binary, ".bin") if kind == "binary" else (python, "")
    for part, names in SPECIFICATION[n_classes].files.items():
        images, labels = made_up(n_classes, part)
        pieces = zip(
            np.array_split(images, len(names)), np.array_split(labels, len(names)), strict=True
        )
        for name, piece in zip(names, pieces, strict=True):
            yield f"{name}{suffix}", write(*piece, n_classes)


def write_copy(home, n_classes, kind, *, packed):
    folder = FOLDER[n_classes, kind]
    if packed:
        with tarfile.open(home / f"cifar-{n_classes}-{kind}.tar.gz", "w:gz") as tar:
            for name, payload in files(n_classes, kind):
                member = tarfile.TarInfo(f"{folder}/{name}")
                member.size = len(payload)
                tar.addfile(member, io.BytesIO(payload))
        return
    (home / folder).mkdir()
    for name, payload in files(n_classes, kind):
        (home / folder / name).write_bytes(payload)


def write_images(home, n_classes):
    for part in ("train", "test"):
        for i, (image, label) in enumerate(zip(*made_up(n_classes, part), strict=True)):
            folder = home / part / f"class {label:03}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{i:04}.png")


def sorted_images(images, labels):
    return sorted((int(y), x.tobytes()) for x, y in zip(images, labels, strict=True))


def check_parts(home, n_classes):
    """Check both parts against what was written."""
    fetch, each = FETCH[n_classes], EACH[n_classes]["train"]
    test = fetch("test", data_home=home, imbalance_factor=4)
    assert sorted_images(test.data, test.target) == sorted_images(*made_up(n_classes, "test"))
    train = fetch(data_home=home, imbalance_factor=4)
    assert train.data.dtype == np.uint8
    assert train.data.shape[1:] == (3, 32, 32)
    count = np.bincount(train.target)
    assert count[0] == each
    assert count[-1] == each // 4
    assert train.class_count == test.class_count == dict(enumerate(count.tolist()))
    available = sorted_images(*made_up(n_classes, "train"))
    assert set(sorted_images(train.data, train.target)) <= set(available)
    assert f"CIFAR-{n_classes}" in train.DESCR
    X, y = fetch(data_home=home, imbalance_factor=4, return_X_y=True)
    np.testing.assert_array_equal(X, train.data)
    np.testing.assert_array_equal(y, train.target)


@pytest.mark.parametrize("n_classes", [10, 100])
@pytest.mark.parametrize("kind", ["binary", "python"])
@pytest.mark.parametrize("packed", [True, False])
def test_original_copies(n_classes, kind, packed, tmp_path):
    write_copy(tmp_path, n_classes, kind, packed=packed)
    check_parts(tmp_path, n_classes)


def test_what_is_made_here_is_a_pickle_of_the_python_version():
    """Or the reader would be tested on something else."""
    images, labels = made_up(10, "test")
    batch = pickle.loads(python(images, labels, 10), encoding="latin1")
    np.testing.assert_array_equal(batch["data"], images.reshape(len(images), -1))
    assert batch["labels"] == labels.tolist()


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_pickles_of_python_3(protocol, tmp_path):
    write_copy(tmp_path, 10, "python", packed=False)
    images, labels = made_up(10, "test")
    pixels = images.reshape(len(images), -1)
    batch = pickle.dumps({b"data": pixels, b"labels": labels.tolist()}, protocol=protocol)
    (tmp_path / FOLDER[10, "python"] / "test_batch").write_bytes(batch)
    check_parts(tmp_path, 10)


class Malicious:
    def __reduce__(self):
        return exec, ("raise SystemExit('what is pickled was run')",)


def test_what_is_pickled_is_not_run(tmp_path):
    write_copy(tmp_path, 10, "python", packed=False)
    batch = tmp_path / FOLDER[10, "python"] / "test_batch"
    batch.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(SystemExit):
        pickle.loads(batch.read_bytes())
    with pytest.raises(ValueError, match="/test_batch must hold 3072 pixels for each of 'labels'"):
        fetch_cifar10_lt("test", data_home=tmp_path, imbalance_factor=4)


@pytest.mark.parametrize("n_classes", [10, 100])
def test_a_folder_of_images(n_classes, tmp_path):
    write_images(tmp_path, n_classes)
    check_parts(tmp_path, n_classes)
    names = FETCH[n_classes](data_home=tmp_path, imbalance_factor=4).target_names
    assert names == [f"class {label:03}" for label in range(n_classes)]


@pytest.mark.parametrize("n_classes", [10, 100])
def test_openml(n_classes, tmp_path, monkeypatch):
    """Its rows are those of the original, training images first; they are asked for once."""
    (images, labels), (test_images, test_labels) = (
        made_up(n_classes, part) for part in ("train", "test")
    )
    asked = []

    def fetch_openml(**arguments):
        asked.append(arguments)
        data = np.concatenate([images, test_images]).reshape(-1, 3072).astype(np.float64)
        return Bunch(data=data, target=np.concatenate([labels, test_labels]).astype(str))

    monkeypatch.setattr(_cifar, "fetch_openml", fetch_openml)
    name = f"CIFAR{n_classes}"
    monkeypatch.setattr(_cifar, name, replace(getattr(_cifar, name), n_train=len(labels)))
    check_parts(tmp_path, n_classes)
    (arguments,) = asked
    assert arguments["data_home"] == tmp_path
    assert arguments["n_retries"] == 3
    (kept,) = tmp_path.iterdir()  # and nothing beside it
    whole = kept.read_bytes()
    for broken in (b"", b"no archive at all", whole[:-30], whole[:999] + bytes(99) + whole[1098:]):
        kept.write_bytes(broken)
        with pytest.raises(
            ValueError, match=r"-openml.npz must be a whole copy of .* to download"
        ):
            FETCH[n_classes](data_home=tmp_path, imbalance_factor=4)


def test_openml_in_another_order_is_refused(tmp_path, monkeypatch):
    images, labels = made_up(10, "train")

    def fetch_openml(**_):
        return Bunch(data=images.reshape(-1, 3072), target=np.sort(labels).astype(str))

    monkeypatch.setattr(_cifar, "fetch_openml", fetch_openml)
    monkeypatch.setattr(_cifar, "CIFAR10", replace(_cifar.CIFAR10, n_train=100))
    with pytest.raises(OSError, match="must begin with the 100 training images"):
        fetch_cifar10_lt(data_home=tmp_path)
    assert not list(tmp_path.glob("*.npz"))


def test_a_download_that_cannot_be_kept_leaves_nothing(tmp_path, monkeypatch):
    images, labels = made_up(10, "train")

    def savez(path, **arrays):
        path.write_bytes(b"a part")
        raise OSError("disk full")

    data = Bunch(data=images.reshape(-1, 3072), target=labels.astype(str))
    monkeypatch.setattr(_cifar, "fetch_openml", lambda **_: data)
    monkeypatch.setattr(_cifar, "CIFAR10", replace(_cifar.CIFAR10, n_train=len(labels)))
    monkeypatch.setattr(_cifar.np, "savez", savez)
    with pytest.raises(OSError, match="disk full"):
        fetch_cifar10_lt(data_home=tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_copy(tmp_path):
    with pytest.raises(OSError, match="^CIFAR-100 must lie in data_home, as cifar-100-binary"):
        fetch_cifar100_lt(data_home=tmp_path, download_if_missing=False)


def test_seeds(tmp_path):
    write_copy(tmp_path, 10, "binary", packed=False)
    one, same, other = (
        fetch_cifar10_lt(data_home=tmp_path, imbalance_factor=4, random_state=s) for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.data, same.data)
    assert (one.data != other.data).any()
    assert one.class_count == other.class_count


def test_wrong_files(tmp_path):
    write_copy(tmp_path, 10, "binary", packed=False)
    batch = tmp_path / FOLDER[10, "binary"] / "test_batch.bin"

    def fetch():
        return fetch_cifar10_lt("test", data_home=tmp_path, imbalance_factor=4)

    whole = batch.read_bytes()
    batch.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"/test_batch.bin must hold records of 3073 bytes, got"):
        fetch()
    batch.write_bytes(b"\x0b" + whole[1:])
    with pytest.raises(ValueError, match=r"/test_batch.bin must hold labels from 0 to 9, got 11"):
        fetch()
    batch.unlink()
    with pytest.raises(FileNotFoundError):
        fetch()


def test_wrong_archives(tmp_path):
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz"):
        pass
    with pytest.raises(FileNotFoundError, match="must hold data_batch_1.bin"):
        fetch_cifar10_lt(data_home=tmp_path)


def test_broken_archives(tmp_path):
    write_copy(tmp_path, 10, "binary", packed=True)
    archive = tmp_path / "cifar-10-binary.tar.gz"
    whole = archive.read_bytes()
    overwritten = whole[:20] + bytes(100) + whole[120:]
    for broken in (whole[: len(whole) // 2], overwritten, b"no archive at all"):
        archive.write_bytes(broken)
        with pytest.raises(
            ValueError,
            match=r"cifar-10-binary.tar.gz must be a whole archive, got a damaged one\.$",
        ):
            fetch_cifar10_lt(data_home=tmp_path)


def test_a_bit_that_was_flipped_is_noticed(tmp_path):
    write_copy(tmp_path, 10, "binary", packed=True)
    archive = tmp_path / "cifar-10-binary.tar.gz"
    whole = archive.read_bytes()
    X, _ = fetch_cifar10_lt(data_home=tmp_path, imbalance_factor=4, return_X_y=True)
    for place in np.linspace(40, len(whole) - 1, 80).astype(int):
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"must be a whole archive, got a damaged one\.$"):
            fetch_cifar10_lt(data_home=tmp_path, imbalance_factor=4)
    archive.write_bytes(gzip.decompress(whole))  # some download tools unpack by themselves
    again, _ = fetch_cifar10_lt(data_home=tmp_path, imbalance_factor=4, return_X_y=True)
    np.testing.assert_array_equal(again, X)


class Zeros(io.RawIOBase):
    """As many zeros as are asked for."""

    def read(self, size=-1):
        return bytes(size)


@pytest.mark.parametrize("name", ["data_batch_1.bin", "padding"])
@pytest.mark.parametrize("packed", [False, True])
def test_archives_that_are_too_large_are_not_read(tmp_path, name, packed, monkeypatch):
    monkeypatch.setattr(_cifar, "MAX_RECORD", 10)  # 600 kB in place of 250 MB
    sizes = [2**20] if name != "padding" else [2**18, 2**18, 2**18]
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz" if packed else "w") as tar:
        for size in sizes:
            member = tarfile.TarInfo(name)
            member.size = size
            tar.addfile(member, Zeros())
    with pytest.raises(ValueError, match=r"must (have|unpack to) [56]00000 bytes at most, got"):
        fetch_cifar10_lt(data_home=tmp_path, imbalance_factor=4)


def test_a_file_that_claims_to_be_large_is_not_read(tmp_path):
    member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
    member.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": member.name,
        "GNU.sparse.realsize": str(200 * 2**30),
    }
    sparse_map = f"1\n{200 * 2**30}\n0\n".encode().ljust(512, b"\0")
    member.size = len(sparse_map)
    with tarfile.open(
        tmp_path / "cifar-10-binary.tar.gz", "w:gz", format=tarfile.PAX_FORMAT
    ) as tar:
        tar.addfile(member, io.BytesIO(sparse_map))
    with pytest.raises(
        ValueError, match=r"data_batch_1.bin must have .* at most, got 214748364800"
    ):
        fetch_cifar10_lt(data_home=tmp_path, imbalance_factor=4)
    (tmp_path / "cifar-10-binary.tar.gz").unlink()
    write_copy(tmp_path, 10, "binary", packed=False)
    os.truncate(tmp_path / FOLDER[10, "binary"] / "data_batch_2.bin", 200 * 2**30)
    with pytest.raises(
        ValueError, match="data_batch_2.bin must have .* at most, got 214748364800"
    ):
        fetch_cifar10_lt(data_home=tmp_path, imbalance_factor=4)


def test_parameters_are_checked_before_data_are_looked_for(tmp_path):
    with pytest.raises(ValueError, match="^imbalance_factor must be a finite number >= 1"):
        fetch_cifar10_lt(data_home=tmp_path, imbalance_factor=0.5, download_if_missing=False)


def test_wrong_images(tmp_path):
    write_images(tmp_path, 10)
    (tmp_path / "train" / ".checkpoints").mkdir()  # an editor's own
    assert fetch_cifar10_lt(data_home=tmp_path, imbalance_factor=4).target.max() == 9
    with pytest.raises(ValueError, match="for each of the 100 classes of CIFAR-100, got 10"):
        fetch_cifar100_lt(data_home=tmp_path)
    (tmp_path / "test" / "class 003").rename(tmp_path / "test" / "class 3")
    with pytest.raises(ValueError, match="test must hold a folder .* the same as in train"):
        fetch_cifar10_lt("test", data_home=tmp_path, imbalance_factor=4)
    wide = tmp_path / "train" / "class 000" / "wide.png"
    Image.new("RGB", (40, 32)).save(wide)
    with pytest.raises(ValueError, match=r"wide.png must be of 32x32 pixels, got \(40, 32\)"):
        fetch_cifar10_lt(data_home=tmp_path)


def test_bad_parameters(tmp_path):
    with pytest.raises(ValueError, match="^subset must be 'train' or 'test', got 'all'"):
        fetch_cifar10_lt("all", data_home=tmp_path)
    write_copy(tmp_path, 10, "binary", packed=False)
    with pytest.raises(ValueError, match="^imbalance_factor must"):
        fetch_cifar10_lt(data_home=tmp_path, imbalance_factor=0)
