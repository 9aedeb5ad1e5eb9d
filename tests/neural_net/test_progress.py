"""One progress bar for a fit: on a terminal, when asked, and not beside scikit-learn's own."""

import contextlib
import io
import os
import sys

import pytest
from tqdm import tqdm
from tqdm.notebook import tqdm_notebook

from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
from sk_cbloss.neural_net.callbacks import _progress

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
        assert f"{done} |" in shown
    assert "CBNeuralNetClassifier" in shown
    assert f"loss={net.history_[1, 'train_loss']:.3f}" in shown
    assert shown.endswith("\r")  # wiped out at the end
    assert len(printed.splitlines()) == 1 + 2 + 3  # the lines of ours and skorch
    _, shown, _ = fit(net, "partial_fit")
    assert "0/3 |" in shown


def test_the_bar_and_its_scores_fit_on_100_columns():
    postfix = ", ".join(f"{word}=0.123" for word in _progress.SHOWN.values())
    shown = tqdm.format_meter(
        n=100,
        total=200,
        elapsed=60,
        ncols=100,
        prefix="CBNeuralNetClassifier",
        bar_format=_progress.FORMAT,
        postfix=postfix,
    )
    before, bar, after = shown.split("|")
    assert before == "CBNeuralNetClassifier 100/200 "
    assert len(bar) == 12
    assert bar == "\N{FULL BLOCK}" * 6 + " " * 6
    assert after == f" 01:00<01:00, {postfix}"


def test_the_time_left_does_not_count_earlier_epochs():
    net = CBNeuralNetClassifier(max_epochs=2, random_state=0).fit(X, Y)
    with contextlib.redirect_stderr(Terminal()):
        bar = _progress.EpochBar(net.set_params(verbose=1), 2, hidden=False)
        net.history.new_epoch()
        bar.show(net)
        bar.hide()
    assert bar.bar.initial == bar.bar.n


def test_a_notebook_has_a_bar_of_its_own(monkeypatch):
    class Notebook(tqdm_notebook):
        def __init__(self, **options):
            self.options = options

        def __del__(self):
            pass

    monkeypatch.setattr(_progress, "tqdm", Notebook)
    options = _progress.progress_bar("name", 3, hidden=False).options
    assert not options["disable"]  # although there is no terminal
    assert options["bar_format"] is None
    assert _progress.progress_bar("name", 3, hidden=True).options["disable"]


def test_lines_go_above_a_bar(monkeypatch):
    with (
        contextlib.redirect_stderr(Terminal()) as shown,
        contextlib.redirect_stdout(shown),
        _progress.progress_bar("name", 3, hidden=False),
    ):
        _progress.say("a line")
    line = shown.getvalue().index("a line\n")
    assert shown.getvalue()[line - 1] == "\r"  # where the bar was wiped out
    assert "name 0/3 |" in shown.getvalue()[line:]  # and drawn again, below


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
    assert "0/3 |" not in shown


@pytest.mark.slow
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
        while b"/3000 |" not in shown and (part := os.read(mine, 4096)):
            shown += part
        process.kill()
    os.close(mine)
    assert b"/3000 |" in shown
