"""A study as a file of JSON lines, one a run, that goes on where it was stopped."""

import json
import sys
import time
from pathlib import Path

from joblib import Parallel, delayed


def read(path):
    """Return the lines of results; a last one that was broken off is left out."""
    texts = path.read_text().splitlines() if path.exists() else []
    lines = []
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
            if not isinstance(line, dict):
                raise ValueError
        except ValueError:
            if number == len(texts):
                break
            raise ValueError(
                f"Line {number} of {path} must be the JSON of one result, got {text[:60]!r}."
            ) from None
        lines.append(line)
    return lines


def add_arguments(parser, results, n_draws):
    """Add what the studies share to a parser."""
    parser.add_argument("folder", nargs="?", help="holds .npz files")
    parser.add_argument("--results", type=Path, default=results)
    parser.add_argument("--draws", type=int, help=f"{n_draws}, or 1 if quick")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no run after")
    parser.add_argument("--quick", action="store_true", help="needs --results")


def parsed(parser, arguments, results, n_draws):
    """Parse arguments that fit together, and say how many draws they ask for."""
    arguments = parser.parse_args(arguments)
    if arguments.draws is not None and arguments.draws < 1:
        parser.error(f"--draws must be at least 1, got {arguments.draws}")
    if arguments.folder and not Path(arguments.folder).is_dir():
        parser.error(f"FOLDER must be a folder, got {arguments.folder}")
    if arguments.quick and arguments.results.resolve() == results:
        parser.error("--quick needs --results, lest its lines be taken for the study's")
    arguments.draws = arguments.draws or (1 if arguments.quick else n_draws)
    return arguments


def go_on(path, run, jobs, key, *, n_jobs, minutes):
    """Append what `run` returns for each of `jobs` that is not in the file already.

    `key` takes a line, and gives the job that it came from.
    """
    end = time.monotonic() + 60 * minutes
    path.parent.mkdir(parents=True, exist_ok=True)
    known = read(path)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in known))  # nothing broken off
    done = {key(line) for line in known}
    jobs = [job for job in jobs if job not in done]
    lines = Parallel(n_jobs, return_as="generator", pre_dispatch=n_jobs)(
        delayed(run)(*job) for job in jobs if time.monotonic() < end
    )
    with path.open("a") as file:
        for n, line in enumerate(lines, 1):
            print(json.dumps(line), file=file, flush=True)
            print(f"{n} of {len(jobs)}: {key(line)}", file=sys.stderr)
