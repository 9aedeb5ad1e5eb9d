"""One progress bar for a fit: on a terminal, when asked, and not beside scikit-learn's own."""

import contextlib
import io
import logging
import os
import sys
import threading

import pytest
from skorch.callbacks import Callback
from tqdm import tqdm
from tqdm.notebook import tqdm_notebook

from sk_cbloss import CBNeuralNetClassifier, StackedGridSearchCV, load_digits_lt
from sk_cbloss.neural_net.callbacks import _progress

X, Y = load_digits_lt(return_X_y=True)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def without_delay(monkeypatch):
    monkeypatch.setattr(_progress, "DELAY", 0)
    monkeypatch.setattr(_progress, "OFTEN", 0)


@contextlib.contextmanager
def on_terminal():
    """Have both streams write to one terminal."""
    stream = Terminal()
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        yield stream


def screen(written):
    """Return the lines that a terminal shows in the end."""
    lines = []
    for line in written.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


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
    with (
        contextlib.redirect_stderr(Terminal()),
        _progress.EpochBar(net.set_params(verbose=1), 2, hidden=False) as shown,
    ):
        net.history.new_epoch()
        shown.show(net)
        assert shown.bar.initial == shown.bar.n == 2


class Notebook(tqdm_notebook):
    """Keeps what it was asked for, and shows nothing."""

    def __init__(self, **options):
        self.options = options
        self.disable = options["disable"]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def __del__(self):
        pass


def test_a_notebook_has_a_bar_of_its_own(monkeypatch):
    monkeypatch.setattr(_progress, "tqdm", Notebook)
    streams = sys.stdout, sys.stderr
    with _progress.progress_bar("name", 3, hidden=False) as bar:
        assert not bar.disable  # although there is no terminal
        assert bar.options["bar_format"] is None
        assert (sys.stdout, sys.stderr) == streams  # lines and widgets are apart
    with _progress.progress_bar("name", 3, hidden=True) as bar:
        assert bar.disable


def test_a_notebook_without_widgets_has_a_bar_of_text(monkeypatch):
    kernel = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr("sys.stdout", kernel)
    with _progress.progress_bar("name", 3, hidden=False) as bar:
        bar.update(1)
        _progress.say("a line")
    shown = screen(kernel.getvalue())  # within one stream, which the bar and the lines share
    assert shown[0] == "a line"
    assert shown[1].startswith("name 1/3 |")


# --------------------------------------------------------------------------- lines and the bar


def write_all():
    """Print, warn and log, while a line that was begun is unfinished."""
    sys.stdout.write("printed ")
    sys.stdout.write("line\nbegun, ")
    sys.stderr.write("warned\n")
    logging.getLogger("test_progress").warning("logged line")
    sys.stdout.write("and ended\n")


def test_whatever_is_written_goes_above_the_bar(monkeypatch):
    with on_terminal() as terminal:
        log = logging.StreamHandler()
        monkeypatch.setattr(logging.root, "handlers", [*logging.root.handlers, log])
        with _progress.progress_bar("name", 3, hidden=False) as bar:
            bar.update(1)
            write_all()
            *lines, last = screen(terminal.getvalue())
            sys.stdout.write("last, unfinished")
        assert sys.stdout is sys.stderr is log.stream is terminal
    assert lines == ["printed line", "warned", "logged line", "begun, and ended"]
    assert last.startswith("name 1/3 |")
    assert "last, unfinished" in terminal.getvalue()


def test_a_bar_within_a_bar():
    with (
        on_terminal() as terminal,
        _progress.progress_bar("outer", 3, hidden=False) as outer,
        _progress.progress_bar("inner", 5, hidden=False, leave=False) as inner,
    ):
        outer.update(1)
        inner.update(1)
        _progress.say("a line")
        _progress.say("another")
        text = terminal.getvalue()
    assert "outer 1/3 |" in text
    assert "inner 1/5 |" in text
    for line in ("a line", "another"):  # alone on its line
        assert f"\r{line}\n" in text


def test_what_callbacks_print_in_a_search_and_in_a_net():
    class Talk(Callback):
        def on_batch_end(self, net, **kwargs):
            sys.stdout.write("a batch\n")

    settings = {"callbacks": [Talk()], "callbacks__print_log": None, "random_state": 0}
    net = CBNeuralNetClassifier(max_epochs=2, **settings)
    search = StackedGridSearchCV(net, {"beta": [0.9]}, cv=2, verbose=1, refit=False)
    for estimator in (CBNeuralNetClassifier(verbose=1, max_epochs=2, **settings), search):
        with on_terminal() as terminal:
            estimator.fit(X, Y)
        assert f"{type(estimator).__name__} " in terminal.getvalue()
        shown = [line for line in screen(terminal.getvalue()) if "a batch" in line]
        assert len(shown) >= 4
        assert set(shown) == {"a batch"}


def test_streams_are_left_alone_beside_the_main_thread():
    def show():
        with _progress.progress_bar("name", 3, hidden=False):
            seen.append(sys.stdout)

    seen = []
    with on_terminal() as terminal:
        thread = threading.Thread(target=show)
        thread.start()
        thread.join()
    assert seen == [terminal]


def test_streams_come_back_after_an_error():
    with on_terminal() as terminal:
        with pytest.raises(KeyboardInterrupt), _progress.progress_bar("name", 3, hidden=False):
            raise KeyboardInterrupt
        assert sys.stdout is sys.stderr is terminal


# ---------------------------------------------------------------------------------------- logs


def test_a_log_has_lines(monkeypatch):
    monkeypatch.setattr(_progress, "SELDOM", 0)
    log = io.StringIO()
    monkeypatch.setattr("sys.stderr", log)
    with _progress.progress_bar("name", 3, hidden=False, in_logs=True) as bar:
        bar.update(1)
        bar.update(2)
    shown = log.getvalue()
    assert "\r" not in shown
    lines = [line.split(" epochs, ")[0] for line in shown.splitlines()]
    assert lines == ["name: 0 of 3", "name: 1 of 3", "name: 3 of 3", "name: 3 of 3"]
    assert "gone, 00:00 left" in shown


def test_a_log_has_a_line_of_a_search_now_and_then(monkeypatch, capsys):
    def written(verbose):
        net = CBNeuralNetClassifier(max_epochs=2, random_state=0)
        StackedGridSearchCV(net, {"beta": [0, 0.9]}, cv=2, verbose=verbose, refit=False).fit(X, Y)
        return capsys.readouterr()

    assert written(1).err == ""  # a short search
    monkeypatch.setattr(_progress, "SELDOM", 0)
    out, err = written(1)
    assert err.endswith("left\n")
    assert "StackedGridSearchCV: 8 of 8 epochs" in err
    assert "StackedGridSearchCV" not in out
    assert written(0) == ("", "")


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
