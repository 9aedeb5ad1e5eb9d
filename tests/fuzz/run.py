"""Try the laws on ever new inputs, and say what broke.

python tests/fuzz/run.py --minutes 10
python tests/fuzz/run.py --inputs 100000 --seed 3 --rooms labels counts

Each kind of failure is shown once, by the smallest input that was found, as code.
"""

import argparse
import importlib
import re
import sys
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import conftest  # noqa: F401  (what must be set before scipy is imported)
from hypothesis import seed
from hypothesis.errors import UnsatisfiedAssumption

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "sk_cbloss"
ROOMS = [file.stem.removeprefix("test_") for file in sorted(HERE.glob("test_*.py"))]
ROOMS.remove("long")


@dataclass
class Found:
    """What was tried, and what broke, by kind."""

    tried: Counter = field(default_factory=Counter)
    broken: dict = field(default_factory=dict)
    seen: Counter = field(default_factory=Counter)

    def report(self):
        """Return what there is to say, in lines."""
        yield f"{self.tried.total():,} inputs tried: " + ", ".join(
            f"{room} {n:,}" for room, n in self.tried.items()
        )
        if not self.broken:
            yield "Nothing broke."
            return
        yield f"{len(self.broken)} kinds of failure:"
        for kind, example in sorted(self.broken.items()):
            room, law, place, said = kind
            yield f"\n{room}: {law}, {self.seen[kind] + 1} times, at {place}\n  {said}"
            yield "\n".join(f"    {line}" for line in example.splitlines())


def laws_of(room):
    """Return the laws of a room, by name."""
    module = importlib.import_module(f"fuzz.test_{room}")
    return {name: test for name, test in vars(module).items() if hasattr(test, "check")}


def kind_of(error):
    """Return where in the package it broke, and what it said, without numbers and names."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if PACKAGE in Path(frame.filename).parents]
    frame = (ours or frames)[-1]
    said = " ".join(str(error).split())
    said = re.sub(r"'[^']*'|-?\b\d[\d.e+-]*\b", "*", said)[:160]
    return f"{Path(frame.filename).name}:{frame.lineno}", f"{type(error).__name__}: {said}"


def try_law(room, name, test, n_inputs, number, found):
    """Try a law on inputs; what has broken already in the same way is let pass."""

    def check(**drawn):
        try:
            test.check(**drawn)
        except UnsatisfiedAssumption:  # not an input
            found.tried[room] -= 1
            raise
        except Exception as error:
            kind = (room, name, *kind_of(error))
            if kind not in found.broken:
                raise
            found.seen[kind] += 1
        finally:
            found.tried[room] += 1

    trial = test.run(
        check,
        max_examples=n_inputs,
        derandomize=False,
        print_blob=False,
    )
    try:
        seed(number)(trial)()
    except Exception as error:
        for each in getattr(error, "exceptions", [error]):
            notes = getattr(each, "__notes__", [])
            example = "\n".join(line for note in notes for line in note.splitlines())
            example = re.sub(r"^(Falsifying example|Failing test case): ", "", example)
            each.__notes__ = []
            found.broken[(room, name, *kind_of(each))] = example


def fuzz(*, rooms=ROOMS, minutes=None, inputs=None, first_seed=0):
    """Try all laws in turn, until time or inputs are used up."""
    found = Found()
    laws = [(room, name, test) for room in rooms for name, test in laws_of(room).items()]
    end = time.monotonic() + 60 * minutes if minutes else float("inf")
    for number in count(first_seed):
        for room, name, test in laws:
            if time.monotonic() > end or (inputs and found.tried.total() >= inputs):
                return found
            try_law(room, name, test, max(10, test.examples), number, found)


def main():
    """Run from the command line; the exit status is 1 if anything broke."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="how long to try; default 10")
    parser.add_argument("--inputs", type=int, help="how many inputs to try, in place of minutes")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--rooms", nargs="+", default=ROOMS, choices=ROOMS)
    given = parser.parse_args()
    warnings.simplefilter("error")  # as pytest has it
    minutes = given.minutes if given.inputs or given.minutes else 10
    found = fuzz(rooms=given.rooms, minutes=minutes, inputs=given.inputs, first_seed=given.seed)
    sys.stdout.write("\n".join(found.report()) + "\n")
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
