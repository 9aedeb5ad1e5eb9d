"""What the displays write: names and numbers, as short as they can be told apart."""

from numbers import Real

import numpy as np

from sk_cbloss._validation import check_integer

# Characters of a name, by default.
LONGEST = 40
SAID = "… where names are cut"


def check_name_length(name_length):
    """Return how many characters a name may have; None for any number."""
    return None if name_length is None else check_integer(name_length, "name_length", minimum=8)


def plain_names(names, longest=LONGEST):
    """Return names as matplotlib is to write them: no formulas, no longer than asked, distinct."""
    shown = {}
    for name in map(str, names):
        end = ""
        while (short := _cut(name, longest, end)) in shown.values() and name not in shown:
            end = f" ({int(end[2:-1] or 1) + 1})"
        shown.setdefault(name, short)
    return [shown[str(name)].replace("$", r"\$") for name in names]


def are_cut(names, longest):
    """Whether a name is longer than asked, and so is cut by `plain_names`."""
    return longest is not None and any(len(str(name)) > longest for name in names)


def _cut(name, longest, end):
    """Return a name without its middle, where it is too long; names often differ at the end."""
    if longest is None:
        return name + end
    if len(name) > longest or end:
        kept = longest - len(end) - 1
        name = f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"
    return name + end


def number(value):
    """Return a number as text of three digits or more: 1,234 and 12.5."""
    return f"{value:,.0f}" if value >= 100 or value == np.round(value) else f"{value:.3g}"


def several(n, noun):
    """Return a number of things in words: 1 class, 2 classes."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number(n)} {noun if n == 1 else plural}"


def beta_text(beta):
    """Return what a beta is called in a legend."""
    return beta_texts([beta])[0]


def beta_texts(betas):
    """Return what betas are called: with as many nines as it takes, and distinct."""
    more = next(
        (n for n in range(1, 16) if len({_rounded(b, n) for b in betas}) == len(set(betas))), 16
    )
    limits = {0: "0, no weights", 1: "1, inverse frequency"}
    return [limits[beta] if beta in limits else _rounded(beta, more) for beta in betas]


def _rounded(beta, more):
    """Return a beta to so many digits more than it has nines."""
    if beta in (0, 1):
        return str(beta)
    if beta < 0.01:
        return f"{beta:.{more + 1}g}"
    return f"{beta:.{max(2, int(np.ceil(-np.log10(1 - beta))) + more)}f}".rstrip("0")


def value_texts(values):
    """Return what values are called: numbers with no more digits than tell them apart.

    Texts are themselves.
    """
    numbers = {
        value for value in values if isinstance(value, Real) and not isinstance(value, bool)
    }
    digits = next(
        (d for d in range(3, 17) if len({f"{n:.{d}g}" for n in numbers}) == len(numbers)), 17
    )
    return [f"{value:.{digits}g}" if value in numbers else str(value) for value in values]
