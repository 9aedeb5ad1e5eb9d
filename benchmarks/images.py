"""Measure LongTailedImages at the size of iNaturalist 2018, beside what one writes by hand.

Run as `python benchmarks/images.py`; a few minutes, and 437,513 names of files in a temporary
folder (`--folder` says where). All images are made up: 437,513 of 8,142 classes that have 1,000 to
2, as there. Opening a format is timed, on the processor's clock, and its peak memory measured, in
a process of its own.
`--check` exits 1 if a target is missed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from _timing import medians_of, use_threads
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from sk_cbloss import CBNeuralNetClassifier, LongTailedImages, shot_recall_score

N_IMAGES, N_CLASSES, MOST, FEWEST = 437_513, 8_142, 1_000, 2
ROOM = 3.0  # the largest ratio of times to open a format; by hand = 1, where nothing is checked


def class_counts():
    """Return counts that fall as those of iNaturalist 2018 do, head first."""
    place = np.linspace(1, 0, N_CLASSES)
    power = (MOST - FEWEST) / (N_IMAGES / N_CLASSES - FEWEST) - 1
    count = np.round(FEWEST + (MOST - FEWEST) * place**power).astype(int)
    count[1 : 1 + abs(N_IMAGES - count.sum())] += np.sign(N_IMAGES - count.sum())
    assert count.sum() == N_IMAGES
    assert (count.max(), count.min()) == (MOST, FEWEST)
    return count


def make_files(root):
    """Write an image a class, with as many names as it has samples, and what lists them."""
    rng = np.random.default_rng(0)
    names = [f"Genus species{c:04}" for c in range(N_CLASSES)]
    paths, labels = [], []
    for c, (name, n) in enumerate(zip(names, class_counts(), strict=True)):
        (root / "images" / name).mkdir(parents=True)
        of_class = [f"{name}/{c:04}{i:04}{'0' * 24}.png" for i in range(n)]
        pixels = rng.normal(rng.uniform(0, 255, 3), 40, (24, 24, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / "images" / of_class[0])
        for path in of_class[1:]:
            os.link(root / "images" / of_class[0], root / "images" / path)
        paths += of_class
        labels += [c] * n
    order = rng.permutation(N_IMAGES).tolist()
    (root / "list.txt").write_text("".join(f"{paths[i]} {labels[i]}\n" for i in order))
    images = [
        {"id": i, "file_name": paths[i], "license": 1, "rights_holder": f"Someone {i % 5000}"}
        | {"width": 800, "height": 600}
        for i in order
    ]
    annotations = [{"id": i, "image_id": i, "category_id": labels[i]} for i in order]
    ranks = ("kingdom", "phylum", "class", "order", "family", "genus", "supercategory")
    categories = [
        {"id": c, "name": name} | dict.fromkeys(ranks, name) for c, name in enumerate(names)
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "train.json").write_text(json.dumps({"info": {}, "licenses": []} | content))


# ---------------------------------------------------------------------- by hand


class ByHand(Dataset):
    """What one writes oneself: lists of paths and targets, and pillow."""

    def __init__(self, samples, size=None):
        self.samples, self.size = samples, size
        self.targets = [target for _, target in samples]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, row):
        path, target = self.samples[row]
        with Image.open(path) as image:
            image = image.convert("RGB")
        if self.size:
            short = min(image.size)
            left, top = (image.width - short) // 2, (image.height - short) // 2
            box = left, top, left + short, top + short
            image = image.resize((self.size, self.size), Image.Resampling.BILINEAR, box)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255, target


def folders_by_hand(root):
    names = sorted(entry.name for entry in os.scandir(root / "images") if entry.is_dir())
    samples = []
    for target, name in enumerate(names):
        for parent, _, files in sorted(os.walk(root / "images" / name)):
            samples += [(os.path.join(parent, file), target) for file in sorted(files)]
    return ByHand(samples)


def json_by_hand(root):
    content = json.loads((root / "train.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    targets = {name: target for target, name in enumerate(sorted(names.values()))}
    category = {each["image_id"]: each["category_id"] for each in content["annotations"]}
    return ByHand(
        [
            (f"{root}/images/{each['file_name']}", targets[names[category[each["id"]]]])
            for each in content["images"]
        ]
    )


def list_by_hand(root):
    with open(root / "list.txt") as lines:
        pairs = [line.rsplit(maxsplit=1) for line in lines]
    return ByHand([(f"{root}/images/{path}", int(target)) for path, target in pairs])


OPEN = {
    "folders": (lambda root: LongTailedImages.from_folders(root / "images"), folders_by_hand),
    "JSON": (
        lambda root: LongTailedImages.from_coco(root / "train.json", root=root / "images"),
        json_by_hand,
    ),
    "list": (
        lambda root: LongTailedImages.from_list(root / "list.txt", root=root / "images"),
        list_by_hand,
    ),
}


def report_opening(root, name, side):
    """Print seconds, and MiB at the peak and afterwards, above what the process held before."""
    before = held("VmRSS")
    start = time.process_time()
    data = OPEN[name][int(side)](Path(root))
    seconds = time.process_time() - start
    assert len(data) == N_IMAGES
    print(seconds, held("VmHWM") - before, held("VmRSS") - before)


def held(what):
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{what}:")[2].split()[0]) / 1024


def opening(root, name, side, n_rounds):
    command = [sys.executable, __file__, "--open", str(root), name, str(side)]
    runs = []
    for _ in range(n_rounds):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        runs.append(list(map(float, done.stdout.split())))
    return np.median(runs, axis=0)


# ---------------------------------------------------------------------- labels, and images


class Small(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2), nn.ReLU(), nn.Conv2d(16, 64, 3, stride=2), nn.ReLU()
        )
        self.head = nn.Linear(64, n_classes)

    def forward(self, x):
        return self.head(self.body(x).mean(dim=(2, 3)))


class BegunError(Exception):
    pass


class NotYet(nn.Module):
    """A module at whose first batch the clock stops."""

    def __init__(self, n_classes):
        super().__init__()
        self.head = nn.Linear(1, n_classes)

    def forward(self, x):
        raise BegunError


def before_the_first_batch(images, **params):
    def run():
        try:
            CBNeuralNetClassifier(NotYet, random_state=0, device="cpu", **params).fit(images)
        except BegunError:
            return
        raise AssertionError("no batch")

    return run


def rate(data, n_workers, batch_size=256):
    start, n = time.perf_counter(), 0
    for batch, _ in DataLoader(data, batch_size, num_workers=n_workers):
        n += len(batch)
    return n / (time.perf_counter() - start)


def report_reading(root):
    photographs = root / "photographs" / "class"
    photographs.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(200):
        coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        image = coarse.resize((800, 600), Image.Resampling.BICUBIC)
        image.save(photographs / f"{i}.jpg", quality=90)
    files = sorted(map(str, photographs.iterdir()))
    print("Images a second, read by a DataLoader alone; by hand = 1")
    small = LongTailedImages.from_folders(root / "images")
    rows = np.random.default_rng(1).choice(N_IMAGES, 20_000, replace=False)
    paths = [(f"{root}/images/{small.paths[row]}", int(small.targets[row])) for row in rows]
    sides = {
        "24 x 24 PNG": (small[rows], ByHand(paths)),
        "800 x 600 JPEG to 224 x 224": (
            LongTailedImages.from_folders(root / "photographs", size=224),
            ByHand([(file, 0) for file in files], 224),
        ),
    }
    for name, (ours, theirs) in sides.items():
        for n_workers in (0, 2):
            rates = [[rate(side, n_workers) for side in (ours, theirs)] for _ in range(3)]
            a_second, by_hand = np.median(rates, axis=0)
            ratio = a_second / by_hand
            print(f"  {name}, {n_workers} workers: {ratio:.2f}   ({a_second:,.0f} a second)")


def report_epoch(root):
    images = LongTailedImages.from_folders(root / "images")
    _, first, count = np.unique(images.targets, return_index=True, return_counts=True)
    test = images[first]
    place = np.arange(N_IMAGES) - first[images.targets]  # within its class
    images = images[place < np.maximum(2, count // 5)[images.targets]]
    start = time.perf_counter()
    net = CBNeuralNetClassifier(
        Small,
        lr=0.005,
        batch_size=512,
        max_epochs=1,
        early_stopping=True,
        iterator_train__num_workers=2,
        random_state=0,
        device="cpu",
    ).fit(images)
    seconds = time.perf_counter() - start
    print(f"An epoch of a small net on a fifth of them: {len(images) / seconds:,.0f} a second")
    recall = shot_recall_score(test.labels, net.predict(test), class_count=images.class_count)
    shots = ", ".join(f"{shot}-shot {value:.3f}" for shot, value in recall.items())
    print(f"  of {len(net.classes_):,} classes, by name ({net.classes_[0]!s}), recall: {shots}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where to make the files")
    parser.add_argument("--open", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open:
        return report_opening(*arguments.open)
    use_threads(torch.get_num_threads())
    print(f"Python {platform.python_version()}, torch {version('torch')}, ", end="")
    print(f"pillow {version('pillow')}, {torch.get_num_threads()} threads")
    missed = False
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        make_files(root := Path(folder))
        print(f"Opening {N_IMAGES:,} images of {N_CLASSES:,} classes; by hand = 1")
        for name in OPEN:
            ours, theirs = (opening(root, name, side, arguments.rounds) for side in (0, 1))
            ratio, peak, after = ours / theirs
            missed |= ratio > ROOM
            verdict = "met" if ratio <= ROOM else "MISSED"
            print(
                f"  {name:<8} time {ratio:.2f} <= {ROOM}  {verdict}   "
                f"peak {peak:.2f}, kept {after:.2f}   "
                f"({ours[0]:.1f} s, {ours[1]:.0f} MiB, {ours[2]:.0f} MiB)"
            )
        images = LongTailedImages.from_folders(root / "images")
        plain = before_the_first_batch(images)
        sides = {
            "counting and encoding": lambda: images.class_count,
            "cutting out a tenth": lambda: images[::10],
            "a net, before its first batch": plain,
            "the same, with early stopping": before_the_first_batch(images, early_stopping=True),
        }
        print("The labels of these images")
        for name, seconds in medians_of(sides, arguments.rounds).items():
            print(f"  {name:<32}{seconds:>6.2f} s")
        report_reading(root)
        report_epoch(root)
    if arguments.check and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
