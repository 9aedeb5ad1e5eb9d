"""Streams of a bar, and of what is written while it is shown."""

import logging
import sys
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout


class Lines:
    """A file in which each state of a bar is a line."""

    def __init__(self, file):
        self.file = file

    def write(self, text):
        if text.strip():
            self.file.write(f"{text.strip()}\n")

    def flush(self):
        self.file.flush()


class Above:
    """A stream whose lines go above a bar, when they are complete."""

    def __init__(self, stream, bar):
        self.stream, self.bar, self.begun = stream, bar, ""

    def write(self, text):
        *lines, self.begun = (self.begun + text).split("\n")
        if lines:
            self._write("".join(f"{line}\n" for line in lines))
        return len(text)

    def end(self):
        """Write a line that was not completed."""
        if self.begun:
            self._write(self.begun)

    def _write(self, text):
        bar = self.bar
        is_shown = not bar.disable and time.time() >= bar.start_t + bar.delay
        with bar.get_lock():
            if is_shown:
                bar.clear(nolock=True)
            self.stream.write(text)
            self.stream.flush()
            if is_shown:
                bar.refresh(nolock=True)

    def __getattr__(self, name):
        return getattr(self.stream, name)


@contextmanager
def all_above(bar):
    """Have what is printed, warned of and logged go above a bar."""
    out, err = Above(sys.stdout, bar), Above(sys.stderr, bar)
    logs = [each for each in logging.root.handlers if isinstance(each, logging.StreamHandler)]
    moved = [(log, to) for to in (out, err) for log in logs if log.stream is to.stream]
    for log, to in moved:
        log.setStream(to)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            yield
    finally:
        for log, to in moved:
            log.setStream(to.stream)
        out.end()
        err.end()


def ground_of(stream):
    """Return the stream itself, below those of bars around this one."""
    return ground_of(stream.stream) if isinstance(stream, Above) else stream
