"""The long-tailed CIFAR runs: resumed, branched, compared, and turned into tables."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback

from sk_cbloss import LogitAdjustedClassifier, long_tailed_counts

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "benchmarks" / "cifar_lt"
EXAMPLE = Path(__file__).parent / "cifar_lt_example.jsonl"  # made-up numbers

with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    names = ("_plan", "_data", "_airbench", "train", "tables")
    plan, data, airbench, train, tables = map(import_module, names)


def a_run(method, **how):
    return plan.make_run("digits", 20, method, 0, **({"depth": 8, "epochs": 3} | how))


def a_fast_run(method, **how):
    how = {"net": "airbench", "epochs": 3, "width": 0.125} | how
    return plan.make_run("digits", 20, method, 0, **how)


def options(folder, **changes):
    return train.Options(logits=folder / "logits", checkpoints=folder / "checkpoints", **changes)


def small(folder, *arguments):
    path = folder / "results.jsonl"
    assert train.main(["--small", "--epochs", "3", "--results", str(path), *arguments]) == 0
    return path.read_text().splitlines()


def net_of(run, folder):
    return train.make_net(run, options(folder), train.images_of(run, options(folder)).X)


def trained(run, folder, branch=None):
    return train.train(run, train.images_of(run, options(folder)), branch, options(folder))


def same_weights(ours, theirs):
    theirs = theirs.module_.state_dict()
    return all(torch.equal(value, theirs[key]) for key, value in ours.module_.state_dict().items())


# ---------------------------------------------------------------------- runs


def test_finished_runs_are_kept(tmp_path, monkeypatch):
    first = small(tmp_path, "--methods", "softmax")
    both = small(tmp_path, "--methods", "softmax", "sigmoid")
    assert both[:1] == first
    assert [json.loads(line)["method"] for line in both] == ["softmax", "sigmoid"]
    monkeypatch.delattr(train, "execute")
    assert small(tmp_path, "--methods", "sigmoid", "softmax") == both


@pytest.mark.slow
def test_all_methods_at_a_small_size(tmp_path):
    lines = [json.loads(line) for line in small(tmp_path)]
    assert [line["method"] for line in lines] == list(plan.METHODS)
    for line in lines:
        assert 0 < line["test_error"] < 100
        assert set(line["shot_recall"]) == {"many", "medium", "few"}
        assert line["n_train"] == 431
        assert line["command"].endswith("--depth 8 --epochs 3 --results FILE --seeds 0")
    assert sorted(path.suffix for path in (tmp_path / "checkpoints").iterdir()) == [".safetensors"]


def test_the_written_command_makes_the_same_line(tmp_path):
    (line,) = map(json.loads, small(tmp_path, "--methods", "cb_focal"))
    again = tmp_path / "again.jsonl"
    arguments = line["command"].split()[2:]
    assert train.main([*arguments, "--results", str(again)]) == 0
    (other,) = map(json.loads, again.read_text().splitlines())
    assert line | {"seconds": 0} == other | {"seconds": 0}


def test_a_run_that_is_out_of_time_goes_on(tmp_path, monkeypatch):
    run = a_run("cb_focal")
    whole = trained(run, tmp_path / "whole")
    with monkeypatch.context() as patch:
        clock = iter([0, 0, 10])  # the next checkpoint would come at 20
        patch.setattr(train, "time", SimpleNamespace(time=lambda: next(clock)))
        assert train.execute(run, options(tmp_path, deadline=15)) is None
    epochs = sorted((tmp_path / "checkpoints" / run.name).glob("*/*"))
    assert [path.name for path in epochs] == ["epoch-00002.safetensors"]
    assert same_weights(trained(run, tmp_path), whole)


def test_an_interrupt_in_the_last_epoch_is_no_finished_run(tmp_path, monkeypatch):
    def interrupt(stop, net, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(train.StopInTime, "on_epoch_begin", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train.execute(a_run("softmax"), options(tmp_path))
    assert not (tmp_path / "logits").exists()


@pytest.mark.parametrize("of", [a_run, a_fast_run])
def test_a_branch_is_what_training_from_the_start_gives(of, tmp_path):
    softmax, deferred = of("softmax"), of("drw_softmax")
    trained(softmax, tmp_path)
    digits = data.load("digits", 20, None)
    train.keep_branch(softmax, digits.fingerprint, options(tmp_path))
    branch = train.branching_point(deferred, digits, options(tmp_path))
    ours = trained(deferred, tmp_path, branch)
    theirs = trained(deferred, tmp_path / "whole")
    assert branch
    assert train.branching_point(deferred, digits, options(tmp_path / "whole")) is None
    other = digits._replace(fingerprint="of others")
    assert train.branching_point(deferred, other, options(tmp_path)) is None
    assert same_weights(ours, theirs)
    assert torch.equal(ours.criterion_.weight, theirs.criterion_.weight)
    assert ours.criterion_.weight.max() > 1


@pytest.mark.filterwarnings("ignore::sk_cbloss.MiscalibratedPriorWarning")  # of 3 epochs
def test_adjustment_is_that_of_the_package(tmp_path):
    run = a_run("softmax")
    X, y, X_test, y_test, _ = digits = data.load("digits", 20, None)
    net = trained(run, tmp_path)
    train.write_logits(run, net.decision_function(X_test), digits, options(tmp_path))
    found = train.execute(run.of_method("post_hoc_la"), options(tmp_path))
    predicted = LogitAdjustedClassifier(FrozenEstimator(net)).fit(X, y).predict(X_test)
    assert found["test_error"] == pytest.approx(100 * np.mean(predicted != y_test), abs=1e-3)


# ---------------------------------------------------------------------- the speedrun


@pytest.mark.slow
def test_all_methods_of_the_speedrun_at_a_small_size(tmp_path, capsys):
    lines = [json.loads(line) for line in small(tmp_path, "--net", "airbench")]
    assert [line["method"] for line in lines] == list(plan.METHODS)
    for line in lines:
        assert 0 < line["test_error"] < 100
        assert line["command"].endswith(
            "--net airbench --width 0.25 --epochs 3 --results FILE --seeds 0"
        )
    tables.main(["--results", str(tmp_path / "results.jsonl"), "--out", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "long-tailed digits, imbalance factor 20 (airbench, width 0.25, 3 epochs" in printed
    assert "airbench" not in (tmp_path / "out" / "reduced.inc").read_text()


def test_the_command_of_a_speedrun_makes_the_same_line(tmp_path):
    (line,) = map(json.loads, small(tmp_path, "--net", "airbench96", "--methods", "ldam_drw"))
    again = tmp_path / "again.jsonl"
    assert train.main([*line["command"].split()[2:], "--results", str(again)]) == 0
    (other,) = map(json.loads, again.read_text().splitlines())
    assert line | {"seconds": 0} == other | {"seconds": 0}


def test_the_small_net_learns(tmp_path):
    found = train.execute(a_fast_run("softmax", width=0.25, epochs=20), options(tmp_path))
    assert found["shot_recall"]["many"] > 0.9
    assert found["test_error"] < 60


def test_the_speedruns_plan():
    args = train.parse(["--net", "airbench", "--autocast", "bfloat16"])
    runs = train.chosen(args)
    assert {(run.dataset, run.imbalance_factor, run.epochs) for run in runs} == {
        ("cifar10", 100, 100)
    }
    assert len(runs) == len({run.name for run in runs}) == 10 * 5
    resnet = train.chosen(train.parse([]))
    assert {run.name for run in resnet}.isdisjoint(run.name for run in runs)


def test_old_results_are_of_the_resnet():
    assert {run.net for run in plan.read_results(EXAMPLE)} == {"resnet"}


def random_images(n=300):
    rng = np.random.default_rng(0)
    smooth = rng.normal(size=(n, 3, 17, 17)).cumsum(axis=2).cumsum(axis=3)
    return smooth.astype(np.float32)


def test_whitened_patches_are_uncorrelated():
    images = random_images()
    filters = airbench.whitening_filters(images, eps=0)
    assert filters.shape == (24, 3, 2, 2)
    assert filters.dtype == np.float32
    np.testing.assert_array_equal(filters[12:], -filters[:12])
    out = torch.conv2d(torch.tensor(images), torch.tensor(filters[:12]))
    found = np.cov(out.transpose(0, 1).flatten(1).double().numpy())
    np.testing.assert_allclose(found, np.eye(12), atol=1e-3)


def test_little_variance_is_not_blown_up():
    flat = np.zeros((10, 1, 4, 4), np.float32)
    assert np.abs(airbench.whitening_filters(flat)).max() <= 1 / np.sqrt(airbench.WHITENING_EPS)


def test_whitening_sees_images_of_all_classes():
    images = random_images(2 * airbench.IMAGES_TO_WHITEN)
    other = images.copy()
    other[1::2] = 0
    ours, theirs = map(airbench.whitening_filters, (images, other))
    np.testing.assert_array_equal(ours, theirs)


def test_images_are_normalized_by_those_to_train_on():
    images = random_images()
    known = data.Data(images, None, 2 * images, None, "")
    X, _, X_test, *_ = airbench.normalized(known)
    np.testing.assert_allclose(X.mean((0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(X.std((0, 2, 3)), 1, atol=1e-4)
    mean = (images.mean((0, 2, 3)) / images.std((0, 2, 3)))[:, None, None]
    np.testing.assert_allclose(X_test, 2 * X + mean, atol=1e-3)


def test_images_are_mirrored_at_random_then_in_turn():
    images = random_images(50)
    first = airbench.some_mirrored(images, seed=0)
    assert not np.array_equal(first, airbench.some_mirrored(images, seed=1))
    is_mirrored = (first == images[..., ::-1]).all((1, 2, 3))
    assert ((first == images).all((1, 2, 3)) != is_mirrored).all()
    assert 10 < is_mirrored.sum() < 40
    augment = airbench.ShiftAndCut(shift=0, cutout=0)
    given, seen = torch.tensor(first), []
    net = SimpleNamespace(batch_transform=augment, device="cpu", history=[])
    flip = airbench.AlternatingFlip()
    flip.on_train_begin(net)
    place = augment.mirrors.data_ptr()
    for _ in range(4):
        net.history.append({})
        flip.on_epoch_begin(net)
        seen.append(augment(given))
    assert augment.mirrors.data_ptr() == place  # where a captured graph looks
    assert [torch.equal(images, given) for images in seen] == [True, False, True, False]
    assert torch.equal(seen[1], given.flip(3))


def test_shifted_images_bring_in_their_own_pixels():
    row = torch.arange(5.0)
    images = row.expand(400, 1, 5, 5) + 10 * row[:, None]
    shifted = airbench.ShiftAndCut(shift=2, cutout=0)(images)
    assert shifted.shape == images.shape
    padded = torch.nn.functional.pad(images[:1], [2] * 4, mode="reflect")[0, 0]
    wanted = {padded[i : i + 5, j : j + 5] for i in range(5) for j in range(5)}
    wanted = {tuple(crop.flatten().tolist()) for crop in wanted}
    assert {tuple(image.flatten().tolist()) for image in shifted} == wanted


def test_a_square_of_each_image_is_cut_out():
    images = torch.ones(2000, 2, 7, 6)
    cut = airbench.ShiftAndCut(shift=0, cutout=3)(images)
    assert torch.equal((cut == 0).sum((1, 2, 3)), torch.full((2000,), 2 * 9))
    places = {tuple((image[0] == 0).nonzero()[0].tolist()) for image in cut}
    assert places == {(i, j) for i in range(5) for j in range(4)}


def test_the_first_convolutions_hand_their_input_on():
    filters = airbench.whitening_filters(random_images())
    module = airbench.AirbenchNet(filters, 10, (32, 40), 3)
    x = torch.randn(2, 24, 9, 9)
    torch.testing.assert_close(module.blocks[0].first[0](x)[:, :24], x)
    assert module(torch.randn(2, 3, 16, 16)).shape == (2, 10)
    frozen = {name for name, p in module.named_parameters() if not p.requires_grad}
    norms = {name for name, p in module.named_parameters() if "norm" in name or p.ndim == 1}
    assert frozen == {name for name in norms if name.endswith("weight")}


@pytest.mark.parametrize("method", ["softmax", "ldam_drw", "cb_sigmoid"])
def test_what_is_trained_at_which_rate(method, tmp_path):
    net = trained(a_fast_run(method), tmp_path)
    biases, rest = net.optimizer_.param_groups
    names = {id(p): name for name, p in net.module_.named_parameters()}
    assert {names[id(p)] for p in biases["params"]} == {
        name for name in names.values() if name.startswith("blocks") and name.endswith("bias")
    }
    assert biases["lr"] == 64 * rest["lr"]
    decays = [group["lr"] * group["weight_decay"] for group in (biases, rest)]
    assert decays[0] == pytest.approx(decays[1])
    assert len(rest["params"]) + len(biases["params"]) == len(names)


def test_the_rate_is_that_of_the_papers_sum():
    # A step of the paper: rate times the summed gradient, over 1024 * (1 + 1 / (1 - 0.85)).
    assert airbench.mean_loss_rate(11.5, 1024) == pytest.approx(1.5)
    assert airbench.mean_loss_rate(11.5, 512) == pytest.approx(0.75)


def test_the_triangle():
    net = SimpleNamespace(max_epochs=100)
    shares = [airbench.Triangle().scale(net, epoch, 0.1) for epoch in (0, 11.5, 23, 61.5, 100)]
    assert shares == pytest.approx([0.2, 0.6, 1, 0.535, 0.07])


# ---------------------------------------------------------------------- precision, order


@pytest.mark.slow
def test_half_precision_ends_with_training(tmp_path):
    train.execute(a_run("softmax", autocast="bfloat16"), options(tmp_path))
    (path,) = (tmp_path / "logits").iterdir()
    with np.load(path) as file:
        logits = torch.tensor(file["logits"])
    assert (logits.bfloat16() != logits).any()


class First(Callback):
    """Remembers the first weights, and the labels of the first epoch's batches."""

    def on_train_begin(self, net, **kwargs):
        self.weights = {k: v.clone() for k, v in net.module_.state_dict().items()}
        self.labels = []

    def on_batch_begin(self, net, batch, **kwargs):
        if len(net.history) == 1:
            self.labels += batch[1].tolist()


@pytest.mark.slow
def test_methods_of_a_seed_begin_alike(tmp_path):
    X, y, *_ = data.load("digits", 20, None)
    seen = {}
    for method in plan.METHODS.keys() - {"post_hoc_la"}:
        seen[method] = First()
        net = net_of(a_run(method), tmp_path)
        net.set_params(callbacks=[*net.callbacks, ("first", seen[method])]).fit(X, y)
    plain = seen.pop("softmax")
    for method, first in seen.items():
        of_the_head = {"head.weight", "head.bias"} if method == "ldam_drw" else {"head.bias"}
        assert first.labels == plain.labels, method
        for name in plain.weights.keys() - of_the_head:
            assert torch.equal(first.weights[name], plain.weights[name]), method


def test_other_seeds_begin_otherwise(tmp_path):
    X, y, *_ = data.load("digits", 20, None)
    seen = [First(), First()]
    for seed, first in enumerate(seen):
        run = plan.make_run("digits", 20, "softmax", seed, depth=8, epochs=3)
        net = net_of(run, tmp_path)
        net.set_params(callbacks=[*net.callbacks, ("first", first)]).fit(X, y)
    assert seen[0].labels != seen[1].labels
    assert not torch.equal(seen[0].weights["head.weight"], seen[1].weights["head.weight"])


def test_a_run_that_diverges_leaves_the_others_alone(tmp_path, monkeypatch, capsys):
    make_net = train.make_net

    def broken(run, options, X):
        return make_net(run, options, X).set_params(lr=1e30 if run.method == "softmax" else 0.1)

    monkeypatch.setattr(train, "make_net", broken)
    path = tmp_path / "results.jsonl"
    arguments = ["--small", "--epochs", "3", "--results", str(path)]
    assert train.main([*arguments, "--methods", "softmax", "post_hoc_la", "sigmoid"]) == 1
    assert [run.method for run in plan.read_results(path)] == ["sigmoid"]
    assert "must be finite" in capsys.readouterr().out


def test_the_plan():
    runs = plan.planned(autocast="bfloat16")
    assert len(runs) == len(set(runs)) == 3 * 10 * 3 + 2 * 2
    assert [run.method for run in runs[:10]] == ["softmax"] * 5 + ["cb_focal"] * 5
    with_control = plan.with_control(runs)
    assert [run.seed for run in with_control if run.autocast is None] == [0]
    assert plan.with_control(plan.planned()) == plan.planned()
    for factors in tables.PUBLISHED["test_error"].values():
        for methods in factors.values():
            assert methods.keys() < plan.METHODS.keys()
            assert {source for _, source in methods.values()} <= tables.PUBLISHED["sources"].keys()


# ---------------------------------------------------------------------- images


def make_arrays(counts=(20, 18, *[15] * 8)):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(len(counts)), counts)
    X = rng.integers(256, size=(len(y), 3, 32, 32), dtype=np.uint8)
    return {"X_train": X, "y_train": y, "X_test": X[::5], "y_test": y[::5]}


def test_the_first_images_of_each_class_are_taken(tmp_path):
    arrays = make_arrays()
    np.savez(tmp_path / "cifar10.npz", **arrays)
    X, y, X_test, y_test, fingerprint = data.load("cifar10", 4, str(tmp_path))
    assert fingerprint == data.fingerprint_of((X, y, X_test, y_test))
    assert fingerprint != data.fingerprint_of((X, y, X_test, y_test[::-1]))
    count = long_tailed_counts(10, 20, imbalance_factor=4)
    assert np.bincount(y).tolist() == count.tolist()
    begin = [0, 20, *range(38, 158, 15)]
    kept = [place + i for place, n in zip(begin, count, strict=True) for i in range(n)]
    np.testing.assert_array_equal(X, arrays["X_train"][kept] / np.float32(128) - 1)
    assert len(X_test) == len(y_test) == 32
    assert X.min() == -1  # black, with which the crops are padded


def test_mosaics_and_channels_last_are_read_alike(tmp_path):
    image = pytest.importorskip("PIL.Image")
    arrays = make_arrays()
    np.savez(tmp_path / "labels.npz", y_train=arrays["y_train"], y_test=arrays["y_test"])
    for part in ("train", "test"):
        tiles = np.zeros((169, 3, 32, 32), np.uint8)
        tiles[: len(arrays[f"X_{part}"])] = arrays[f"X_{part}"]
        mosaic = tiles.reshape(13, 13, 3, 32, 32).transpose(0, 3, 1, 4, 2).reshape(416, 416, 3)
        image.fromarray(mosaic).save(tmp_path / f"{part}.webp", lossless=True)
    last = {key: a.transpose(0, 2, 3, 1) if a.ndim == 4 else a for key, a in arrays.items()}
    np.savez(tmp_path / "arrays.npz", **last)
    for ours, theirs in zip(
        data.load("cifar10", 4, str(tmp_path)),
        data.load("cifar10", 4, str(tmp_path / "arrays.npz")),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--small"], "digits must have --results FILE, got none."),
        (["--dataset", "digits"], "digits must have --results FILE, got none."),
        (["--methods", "cb_focl"], "--methods must be one of softmax, .*, got 'cb_focl'."),
        (["--dataset", "mnist"], "--dataset must be one of cifar10, .*, got 'mnist'."),
        (["--epochs", "2"], "--epochs must be at least 3, to have a drop, got 2."),
        (["--jobs", "0"], "--jobs must be at least 1, got 0."),
        (["--depth", "0"], "--depth must be at least 1, got 0."),
        (["--net", "vgg"], "--net must be one of resnet, airbench, airbench96, got 'vgg'."),
        (["--net", "airbench", "--depth", "8"], "--depth must not be given with --net airbench."),
        (["--width", "0.5"], "--width must not be given with --net resnet."),
        (
            ["--net", "airbench", "--width", "2"],
            "--width must be above 0 and at most 1, got 2.",
        ),
        (["--imbalance-factor", "0"], "--imbalance-factor must be at least 1, got 0.0."),
        (["--processes", "4", "0"], r"--processes must be at least 1, got \[4, 0\]."),
        (["nowhere"], "DATA must be a folder or an .npz file, got nowhere."),
        ([str(SCRIPTS)], "CIFAR-10 must lie in data_home, .*, got .*"),
    ],
)
def test_a_wrong_argument_is_one_sentence(arguments, message):
    with pytest.raises((ValueError, OSError), match=f"^{message}$"):
        train.main(arguments)


def test_wrong_arrays_are_one_sentence(tmp_path):
    path, arrays = tmp_path / "cifar10.npz", make_arrays()
    path.write_text("no arrays")
    with pytest.raises(ValueError, match="must be an .npz file of X_train, y_train"):
        data.read("cifar10", 4, path)
    np.savez(path, **arrays | {"X_test": arrays["X_test"] / 255})
    with pytest.raises(ValueError, match=r"dtype uint8 and shape .*, got float64"):
        data.read("cifar10", 4, path)
    for changes, message in (
        ({"X_test": arrays["X_test"][:, :, :16]}, "images of one size, got .* and .*16"),
        ({"y_test": arrays["y_test"][1:]}, "label for each of the 32 images to test, got .*31"),
        ({"y_train": arrays["y_train"].astype(str)}, "integer label for each .* train, got <U"),
        ({"y_train": arrays["y_train"] + 1}, "labels from 0, to train, got 10 from 1 to 10"),
        ({"y_test": arrays["y_test"] // 2}, "10 classes of cifar10, .*, got 5 from 0 to 4"),
    ):
        np.savez(path, **arrays | changes)
        with pytest.raises(ValueError, match=message):
            data.read("cifar10", 4, path)
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="Class 1 must have at least 20 training .*, got 18"):
        data.read("cifar10", 1, path)
    with pytest.raises(ValueError, match="must hold the 100 classes of cifar100"):
        data.read("cifar100", 4, path)


def test_results_are_of_one_copy_of_the_data(tmp_path):
    path = tmp_path / "results.jsonl"
    small(tmp_path, "--methods", "softmax")
    line = json.loads(path.read_text())
    line["data"] = "of another"
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(ValueError, match="^DATA must be the copy of digits that the results are"):
        small(tmp_path, "--methods", "cb_focal")


def test_a_last_line_without_an_end_stays_whole(tmp_path):
    path = tmp_path / "results.jsonl"
    small(tmp_path, "--methods", "softmax")
    path.write_text("\n" + path.read_text().rstrip("\n"))
    small(tmp_path, "--methods", "cb_focal")
    assert [run.method for run in plan.read_results(path)] == ["softmax", "cb_focal"]


def test_two_results_of_a_run_are_told_of(tmp_path):
    line = EXAMPLE.read_text().splitlines()[0]
    path = tmp_path / "results.jsonl"
    path.write_text(f"{line}\n{line}\n")
    assert len(plan.read_results(path)) == 1
    path.write_text(f"{line}\n{line.replace('30.0', '31.0')}\n")
    with pytest.raises(ValueError, match="Line 2 of .* must not be a second result of a run"):
        plan.read_results(path)


def test_what_is_asked_for_twice_is_run_once():
    assert len(plan.planned(methods=["softmax"] * 2, seeds=[0, 0])) == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "Line 1 of .* must be the JSON of one result, got '{'"),
        ('{"dataset": "cifar10"}', "Line 1 of .* must be the JSON of one result, got"),
        (
            EXAMPLE.read_text().splitlines()[0].replace("30.0", "NaN"),
            "Line 1 of .* must be the JSON of one result, got",
        ),
        (
            EXAMPLE.read_text().splitlines()[0].replace('"shot_recall"', '"recall"'),
            "Line 1 of .* must be .*: remove it to have its run run again",
        ),
        (
            EXAMPLE.read_text().splitlines()[0].replace('"cifar10"', '"mnist"'),
            "Line 1 of .*: dataset must be one of .*, got 'mnist'",
        ),
        (
            EXAMPLE.read_text().splitlines()[0].replace('"softmax"', '"hardmax"'),
            "Line 1 of .*: method must be one of .*, got 'hardmax'",
        ),
    ],
)
def test_a_broken_line_is_named(line, message, tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match=message):
        plan.read_results(path)


def test_adjustment_without_logits_is_one_sentence(tmp_path):
    with pytest.raises(train.CannotRun, match="post_hoc_la must have the logits of softmax, got"):
        train.execute(a_run("post_hoc_la"), options(tmp_path))


# ---------------------------------------------------------------------- tables


def test_the_pages_files_are_made_from_the_committed_results(tmp_path):
    tables.main(["--out", str(tmp_path)])
    committed = ROOT / "docs" / "results" / "cifar_lt"
    assert {path.name for path in committed.iterdir()} == {
        path.name for path in tmp_path.iterdir()
    }
    for path in tmp_path.glob("*.inc"):
        assert path.read_text() == (committed / path.name).read_text(), path.name


def test_rows_and_what_is_missing(tmp_path):
    tables.main(["--results", str(EXAMPLE), "--out", str(tmp_path)])
    full, reduced = ((tmp_path / f"{name}.inc").read_text() for name in ("full", "reduced"))
    rows = {line.split()[0]: line.split()[1:] for line in full.splitlines() if line.strip()}
    assert rows["softmax"] == ["30.50", "±", "0.71", "2", "90.0", "60.0", tables.NONE, "29.64"]
    assert rows["balanced_softmax"][-2:] == ["22.46", "[#rerun]_"]
    assert ".. [#rerun] One public re-run" in full
    assert "train.py DATA --methods cb_focal --seeds 0 1\n" in full
    assert "not the paper's recipe (ResNet-8, 3 epochs" in reduced
    assert "70.00" in reduced
    assert "70.00" not in full
    missing = (tmp_path / "not_run.inc").read_text().splitlines()
    assert missing[0] == "- CIFAR-10-LT, imbalance factor 100: softmax, seeds 2 3 4"
    assert (tmp_path / "cifar_lt.svg").read_text().startswith("<?xml")


def test_targets():
    groups = tables.grouped(plan.read_results(EXAMPLE))
    assert [row[1:] for row in tables.targets(groups)] == [
        ("4.00, 95% interval -8.71 to 16.71", "2", "missed so far"),
        ("22.50, balanced_softmax", "1", "met so far"),
        (tables.NONE, "0", "not run yet"),
        (tables.NONE, "0", "not run yet"),
    ]
    (methods,) = tables.full_groups(groups, "cifar10", 100)
    for seed in range(2, 5):
        methods["softmax"][seed] = {"test_error": 30}
        methods["cb_focal"][seed] = {"test_error": 26}
    assert tables.targets(groups)[0][1:] == ("4.00, 95% interval 3.12 to 4.88", "5", "met")


def test_images_that_are_missing_make_it_no_run_of_the_recipe():
    (run, result), *_ = plan.read_results(EXAMPLE).items()
    assert tables.is_full(run, result)
    assert not tables.is_full(run, result | {"n_train": 12_405})


# ---------------------------------------------------------------------- processes


def command(*arguments):
    script = [sys.executable, str(SCRIPTS / "train.py"), *arguments]
    return subprocess.run(script, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_runs_side_by_side_are_those_of_one_process(tmp_path):
    arguments = ["--small", "--epochs", "3", "--methods", "drw_softmax", "softmax", "cb_focal"]
    path = tmp_path / "results.jsonl"
    command(*arguments, "--results", str(path), "--jobs", "2")
    ours = plan.read_results(path)
    theirs = {json.loads(line)["method"]: json.loads(line) for line in small(tmp_path / "one")}
    assert {run.method for run in ours} == {"drw_softmax", "softmax", "cb_focal"}
    for run, found in ours.items():
        assert found["test_error"] == theirs[run.method]["test_error"]


@pytest.mark.slow
def test_steps_are_timed():
    out = command("--time-steps", "2", "--depth", "8", "--processes", "1", "2")
    assert [line.split()[0] for line in out.splitlines()] == ["processes", "1", "2"]
