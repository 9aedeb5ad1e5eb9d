"""Searches on a cluster: a scheduler and two workers that are really started, on this machine."""

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec

import cloudpickle
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster, get_task_stream
from joblib import parallel_config
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.optim import LBFGS

from sk_cbloss import CBNeuralNetClassifier, StackedGridSearchCV, load_digits_lt
from sk_cbloss.neural_net import MLP

pytestmark = [
    pytest.mark.engines,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

X, Y = load_digits_lt(return_X_y=True)
X = X / 16
BETAS = {"beta": [0, 0.9, 0.99, 1]}


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        # What this file defines is sent by value: workers have no tests on their path.
        cloudpickle.register_pickle_by_value(sys.modules[__name__])
        yield client


@pytest.fixture
def cluster(client):
    client.wait_for_workers(2)
    return client


def make_net(**params):
    given = {"module__hidden_units": (16,), "max_epochs": 5, "dtype": "float64"}
    return CBNeuralNetClassifier(**given | {"random_state": 0} | params)


def fitted(kind, net, grid, *, scatter=None, **params):
    given = {"cv": 3, "scoring": ["balanced_accuracy", "neg_log_loss"], "refit": False}
    with parallel_config(backend="dask", scatter=scatter):
        return kind(net, grid, **given | params).fit(X, Y)


def alone(kind, net, grid, **params):
    given = {"cv": 3, "scoring": ["balanced_accuracy", "neg_log_loss"], "refit": False}
    return kind(net, grid, **given | params).fit(X, Y)


def assert_same_scores(one, other, rtol=0):
    names = [name for name in other.cv_results_ if "_test_" in name]
    assert names
    for name in names:
        ours, theirs = one.cv_results_[name], other.cv_results_[name]
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=0, err_msg=name)


@pytest.mark.parametrize("kind", [GridSearchCV, StackedGridSearchCV])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores_are_those_of_one_process_bit_by_bit(cluster, kind, dtype):
    net = make_net(dtype=dtype, module__dropout=0.1)
    # The same stacks: as many as there are for two workers.
    params = {"max_stack": 4} if kind is StackedGridSearchCV else {}
    ours = fitted(kind, net, BETAS, **params)
    assert_same_scores(ours, alone(kind, net, BETAS, **params))


def test_features_and_labels_may_be_lazy(cluster):
    lazy = [da.from_array(values, chunks=100) for values in (X, Y)]
    search = StackedGridSearchCV(make_net(), BETAS, cv=3, refit=False, max_stack=4)
    with parallel_config(backend="dask"):
        ours = clone(search).fit(*lazy)
    assert_same_scores(ours, search.fit(X, Y))


def test_the_stacked_search_finds_what_scikit_learns_finds(cluster):
    net = make_pipeline(StandardScaler(), make_net())
    grid = [
        {"cbneuralnetclassifier__beta": [0, 0.9], "cbneuralnetclassifier__lr": [0.01, 0.001]},
        {"cbneuralnetclassifier__optimizer": [LBFGS]},  # fitted alone
    ]
    params = {"refit": "balanced_accuracy", "return_train_score": True}
    ours = fitted(StackedGridSearchCV, net, grid, **params)
    theirs = alone(GridSearchCV, net, grid, **params)
    assert_same_scores(ours, theirs, rtol=1e-9)
    assert ours.n_fallback_fits_ == 3
    assert ours.best_params_ == theirs.best_params_
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def where(estimator, X, y):
    return {"process": os.getpid(), "recall": estimator.score(X, y)}


def test_stacks_go_to_workers_one_each_and_scores_come_back(cluster):
    with get_task_stream(cluster) as stream:
        search = fitted(StackedGridSearchCV, make_net(), BETAS, scoring=where)
    scored_in = [search.cv_results_[f"split{fold}_test_process"] for fold in range(3)]
    workers = {info["pid"] for info in cluster.run(lambda: {"pid": os.getpid()}).values()}
    assert set(np.ravel(scored_in).astype(int)) == workers
    assert os.getpid() not in workers
    n_tasks = sum(task["key"].startswith("batch_of_train") for task in stream.data)
    assert n_tasks == search.n_stacks_ > 1
    assert max(task["nbytes"] for task in stream.data) < 100_000  # no net, no data


def test_features_are_sent_once_and_not_with_each_stack(cluster, monkeypatch):
    scatter, submit, scattered, sizes = Client.scatter, Client.submit, [], []

    def watched(client, data, *args, **kwargs):
        scattered.extend(data if isinstance(data, list) else [data])
        return scatter(client, data, *args, **kwargs)

    def weighed(client, function, *args, tasks=(), **kwargs):
        for _, given, _ in tasks:
            sizes.append(sum(len(cloudpickle.dumps(part)) for part in given[:1]))
            assert not any(part is X or part is Y for part in given)
        return submit(client, function, *args, tasks=tasks, **kwargs)

    monkeypatch.setattr(Client, "scatter", watched)
    monkeypatch.setattr(Client, "submit", weighed)
    for given in (None, [X, Y]):
        scattered.clear()
        search = fitted(StackedGridSearchCV, make_net(), BETAS, max_stack=3, scatter=given)
        assert search.n_stacks_ >= 4
        assert sorted(map(id, scattered)) == sorted(map(id, (X, Y)))
    assert max(sizes) < X.nbytes / 3


class KillsOnce:
    """A scorer that kills the process that asks it, once, and notes what it scores."""

    def __init__(self, folder, n_before):
        self.folder, self.n_before = str(folder), n_before

    def __call__(self, estimator, X, y):
        with open(os.path.join(self.folder, "scored"), "a") as file:
            file.write(f"{estimator.beta} {len(X)} {X.sum()}\n")
        with open(os.path.join(self.folder, "scored")) as file:
            n_scored = len(file.readlines())
        killed = os.path.join(self.folder, "killed")
        if n_scored > self.n_before and not os.path.exists(killed):
            open(killed, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return estimator.score(X, y)


@pytest.mark.parametrize("n_before", [0, 5])
def test_a_worker_that_is_killed_costs_its_stack_only(cluster, tmp_path, n_before):
    scorer = KillsOnce(tmp_path, n_before)
    params = {"max_stack": 3, "scatter": [X, Y]}
    search = fitted(StackedGridSearchCV, make_net(), BETAS, scoring=scorer, **params)
    assert (tmp_path / "killed").exists()
    assert_same_scores(search, alone(StackedGridSearchCV, make_net(), BETAS, scoring=None))
    times = Counter((tmp_path / "scored").read_text().splitlines())
    assert len(times) == 12
    assert sum(times.values()) <= 12 + 3
    assert max(times.values()) <= 2


class OddError(Exception):
    """One that cannot be made again from its arguments."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")
        self.one, self.lock = one, lambda: None


class Odd(MLP):
    def __init__(self, n_features, n_classes, kind):
        super().__init__(n_features, n_classes)
        if kind == "odd":
            raise OddError("this", "that")


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
def test_errors_come_back_whole(cluster):
    grid = [{"beta": [0, 0.9]}, {"lr": [1e308]}, {"module": [Odd], "module__kind": ["odd"]}]
    net = CBNeuralNetClassifier(max_epochs=5, dtype="float64", random_state=0)
    with pytest.warns(FitFailedWarning) as caught:
        search = fitted(StackedGridSearchCV, net, grid, error_score=-1, scoring="accuracy")
    text = "".join(str(warning.message) for warning in caught)
    assert "FloatingPointError: Losses and parameters must be finite in training" in text
    assert "Raised in another process" in text
    assert "OddError: this and that" in text
    assert "in __init__" in text  # where it was raised
    scores = search.cv_results_["mean_test_score"]
    np.testing.assert_array_equal(scores[2:], -1)
    assert (scores[:2] > 0).all()


@pytest.mark.parametrize("grid", [{"beta": [0, 2, 0.9]}, {"lr": [1e308]}, {"gamma": [1]}])
def test_errors_that_are_raised_are_those_of_a_net_alone(cluster, grid):
    errors = []
    for run, kind in ((fitted, StackedGridSearchCV), (alone, GridSearchCV)):
        with pytest.raises((ValueError, FloatingPointError)) as caught:
            run(kind, make_net(), grid, error_score="raise")
        errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]


def fails(estimator, X, y):
    raise LookupError(f"no score for {estimator.beta}")


def test_errors_of_a_scorer_come_back_too(cluster):
    with pytest.raises(LookupError, match="^no score for 0"):
        fitted(StackedGridSearchCV, make_net(), BETAS, scoring=fails, error_score="raise")


def test_progress_is_told(cluster, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    fitted(StackedGridSearchCV, make_net(), BETAS, verbose=1)
    out, err = capsys.readouterr()
    assert "StackedGridSearchCV 60/60 |" in err
    assert "12 nets trained as" in out


def test_a_search_inside_of_another(cluster):
    search = StackedGridSearchCV(make_net(), BETAS, cv=2, max_stack=4)
    expected = cross_val_score(search, X, Y, cv=2)
    with parallel_config(backend="dask"):
        np.testing.assert_array_equal(cross_val_score(search, X, Y, cv=2), expected)


def run(script, *args):
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


DEAD_SCHEDULER = """
import os, subprocess, sys, threading, time
from distributed import Client
from joblib import parallel_config
from sklearn.base import clone
from sk_cbloss import CBNeuralNetClassifier, StackedGridSearchCV, load_digits_lt

def dask(*args):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", "dask", *args, "--no-dashboard"], **quiet)

def kill_once_it_works():
    while not any(client.processing().values()):
        time.sleep(0.1)
    scheduler.kill()

port, folder = sys.argv[1:]
address = f"tcp://127.0.0.1:{port}"
scheduler = dask("scheduler", "--host", "127.0.0.1", "--port", port)
options = "--nthreads", "1", "--no-nanny", "--local-directory", folder, "--death-timeout", "5"
workers = [dask("worker", address, *options) for _ in range(2)]
try:
    client = Client(address, timeout=60)
    client.wait_for_workers(2)
    net = CBNeuralNetClassifier(max_epochs=10**6, random_state=0)
    search = StackedGridSearchCV(net, {"beta": [0, 0.9, 1]}, cv=3)
    threading.Thread(target=kill_once_it_works, daemon=True).start()
    for _ in range(2):  # it dies, then it is dead
        with parallel_config(backend="dask"):
            try:
                search.fit(*load_digits_lt(return_X_y=True))
            except ConnectionError as error:
                print("told:", error, flush=True)
finally:
    for process in (scheduler, *workers):
        process.kill()
    os._exit(0)
"""


def test_a_scheduler_that_dies_is_told_of(tmp_path, unused_port, monkeypatch):
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "5s")  # 30 s by default
    done = run(DEAD_SCHEDULER, unused_port, tmp_path)
    told = done.stdout.split("told: ")[1:]
    assert len(told) == 2, done.stderr
    assert "Client lost the connection to the scheduler" in told[0]
    for message in told:
        assert message.startswith("The workers must be there until the search is done, got ")


@pytest.fixture
def unused_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


RAY = """
import numpy as np, ray
from joblib import parallel_config
from sklearn.base import clone
from ray.util.joblib import register_ray
from sk_cbloss import CBNeuralNetClassifier, StackedGridSearchCV, load_digits_lt
from sklearn.model_selection import GridSearchCV

X, y = load_digits_lt(return_X_y=True)
net = CBNeuralNetClassifier(max_epochs=5, random_state=0, dtype="float64")
params = {"cv": 3, "scoring": "neg_log_loss"}
register_ray()
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
for kind, limit in ((GridSearchCV, {}), (StackedGridSearchCV, {"max_stack": 4})):
    here = kind(net, {"beta": [0, 0.9, 0.99, 1]}, **params, **limit).fit(X / 16, y)
    with parallel_config(backend="ray", n_jobs=-1):
        there = kind(net, {"beta": [0, 0.9, 0.99, 1]}, **params, **limit).fit(X / 16, y)
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(here.cv_results_[name], there.cv_results_[name])
    assert here.best_params_ == there.best_params_
ray.shutdown()
print("same")
"""


@pytest.mark.skipif(not find_spec("ray"), reason="ray is an extra of its own")
def test_rays_backend_gives_the_same():
    done = run(RAY)
    assert "same" in done.stdout, done.stderr
