"""One progress bar for a fit: on a terminal, when asked, and not beside scikit-learn's own."""

import contextlib
import io
import os
import sys

import pytest

from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
from sk_cbloss.neural_net import _progress

X, Y = load_digits_lt(return_X_y=True)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def without_delay(monkeypatch):
    monkeypatch.setattr(_progress, "DELAY", 0)


def fit(net=None, method="fit", stderr=Terminal, **parameters):
    """Return a net that was fitted, and what it wrote to stderr and stdout meanwhile."""
    net = net or CBNeuralNetClassifier(**({"max_epochs": 3, "random_state": 0} | parameters))
    with (
        contextlib.redirect_stderr(stderr()) as errors,
        contextlib.redirect_stdout(io.StringIO()) as out,
    ):
        try:
            getattr(net, method)(X, Y)
        except FloatingPointError:
            errors.write("diverged")
    return net, errors.getvalue(), out.getvalue()


def test_a_bar_counts_the_epochs():
    net, shown, printed = fit(verbose=1)
    for done in ("0/3", "1/3", "2/3"):
        assert f"{done} [" in shown
    assert "CBNeuralNetClassifier" in shown
    assert f"train_loss={net.history_[1, 'train_loss']:.3f}" in shown
    assert shown.endswith("\r")  # wiped out at the end
    assert len(printed.splitlines()) == 1 + 2 + 3  # the lines of ours and skorch
    _, shown, _ = fit(net, "partial_fit")
    assert "0/3 [" in shown


@pytest.mark.parametrize(
    "case", [{"verbose": 0}, {"verbose": 1, "stderr": io.StringIO}], ids=["silent", "no terminal"]
)
def test_no_bar_where_none_is_wanted(case):
    assert fit(**case)[1] == ""


def test_no_bar_for_a_short_fit(monkeypatch):
    monkeypatch.setattr(_progress, "DELAY", 100)
    assert fit(verbose=1)[1].strip() == ""


def test_no_bar_in_a_process_beside_others(monkeypatch):
    process = type("Process", (), {"name": "LokyProcess-1"})
    monkeypatch.setattr(_progress.multiprocessing, "current_process", process)
    assert fit(verbose=1)[1] == ""


def test_the_bar_is_wiped_out_when_training_fails():
    _, shown, _ = fit(verbose=1, lr=1e30)
    assert shown.endswith("\rdiverged")


def test_scikit_learns_bar_is_enough():
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 has callbacks")
    net = CBNeuralNetClassifier(max_epochs=3, random_state=0, verbose=1)
    _, shown, _ = fit(net.set_callbacks(callback.ProgressBar()))
    assert "epoch/s" not in shown


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX's")
def test_on_a_real_terminal():
    import pty
    import subprocess
    import termios

    program = (
        "from sk_cbloss import CBNeuralNetClassifier, load_digits_lt\n"
        "X, y = load_digits_lt(return_X_y=True)\n"
        "CBNeuralNetClassifier(verbose=1, max_epochs=3000).fit(X, y)\n"
    )
    mine, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    with process, contextlib.suppress(OSError):  # the program ended, and with it the terminal
        while b"/3000 [" not in shown and (part := os.read(mine, 4096)):
            shown += part
        process.kill()
    os.close(mine)
    assert b"/3000 [" in shown
