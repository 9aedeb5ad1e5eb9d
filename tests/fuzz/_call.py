"""What holds for every call: it answers, or refuses in a sentence, and touches nothing else."""

import pickle
import random
import re
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

# What numpy, torch and Python say where a check of ours is missing.
RAW = re.compile(
    "broadcast|out of (range|bounds)|invalid literal|could not convert|cannot convert"
    "|inhomogeneous"
    "|has no attribute|object is not|unsupported operand|not supported between|expected scalar"
    "|ufunc|takes .* positional|unhashable|truth value|cast (array|from)|must be (a )?real number"
    "|setting an array|size mismatch|not implemented for|unexpected keyword|dtype\\('"
)
# Scikit-learn's own, which its estimator checks ask for word by word.
SCIKIT_LEARNS = re.compile(
    "Found input variables with inconsistent|Expected 2D array|Invalid parameter|Found array with"
    r"|Input \w+ contains|The feature names should match|Unknown label type"
    "|Number of labels=|This solver needs samples of at least 2 classes"
    "|Classification metrics can't handle a mix|The target 'y' needs to have more than 1 class"
)
# What is said on purpose, and what others say of what they are given: that is not ours.
SAID = re.compile(
    r"(sk_cbloss|sklearn|skorch)\..*"
    "|builtins.UserWarning: (X (has|does not have) |Scoring failed, and this fold is left out: "
    "|confidence=.*: every set holds every class)"
)
OTHERS = re.compile(r"/(sklearn|imblearn|skorch)/")


def law(examples=50, **drawn):
    """Make a test of a law, a function of what is drawn; ``test.run`` runs it otherwise."""

    def decorate(check):
        def run(check=check, **more):
            more = {"max_examples": examples, "derandomize": True} | more
            return settings(
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
                **more,
            )(given(**drawn)(check))

        test = run()
        test.check, test.run, test.examples = check, run, examples
        return test

    return decorate


class Refused:
    """A call's refusal, in place of an answer."""

    def __init__(self, error):
        self.error = error


def attempt(function, *codes, **named):
    """Call the function with what the codes make. Return its answer, or the refusal."""
    args, kwargs = [made(c) for c in codes], {k: made(c) for k, c in named.items()}
    before = _contents(args, kwargs)
    with undisturbed(), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.set_warn_always(True)
        try:
            answer = function(*args, **kwargs)
        except Exception as error:
            check_refusal(error)
            answer = Refused(error)
        finally:
            torch.set_warn_always(False)
    for warning in seen:
        kind = warning.category
        said = SAID.match(f"{kind.__module__}.{kind.__name__}: {warning.message}")
        if not said and not OTHERS.search(Path(warning.filename).as_posix()):
            raise warning.message
    assert _contents(args, kwargs) == before, "the call changed what it was given"
    return answer


def answer(function, *codes, **named):
    """Return what the call gives, which must not be refused."""
    result = attempt(function, *codes, **named)
    if isinstance(result, Refused):
        raise result.error
    return result


def check_refusal(error):
    """Raise the error again, unless it is a sentence."""
    said = str(getattr(error, "strerror", None) or error)  # without a file's number of errors
    if SCIKIT_LEARNS.match(said):
        return
    sentence = said[:1].isalpha() and said.endswith((".", ".)")) and not RAW.search(said)
    # An AttributeError is of a method that is not there any more.
    kinds = ValueError | TypeError | AttributeError | OSError
    if not isinstance(error, kinds) or not sentence:
        raise error


@contextmanager
def undisturbed():
    """Hold that the global generators are left where they are."""
    before = _generators()
    yield
    assert _generators() == before, "the call moved a global generator"


def _generators():
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return random.getstate(), name, keys.tobytes(), rest, torch.get_rng_state().numpy().tobytes()


def made(code):
    """Return what a code makes, or what is no code as it is."""
    return code() if isinstance(code, Code) else code


def _content(value):
    if hasattr(value, "to_numpy"):  # pandas keeps notes in what it pickles
        return repr(getattr(value, "index", None)), repr(np.asarray(value).tolist())
    if hasattr(value, "toarray"):  # so does scipy
        return repr(value.toarray().tolist())
    try:
        return pickle.dumps(value)
    except Exception:  # of what has no pickle, such as a generator
        return None


def _contents(args, kwargs):
    return [_content(value) for value in (*args, *kwargs.values())]


class Code:
    """A value by the code that makes it: made anew at each call, and readable in a failure."""

    def __init__(self, text, **known):
        self.text = text
        vars(self).update(known)

    def __call__(self, **more):
        return eval(self.text, NAMES | more)

    def __repr__(self):
        return self.text

    @classmethod
    def of(cls, template, values, **known):
        """Return a template's code, its {} filled with values."""
        return cls(template.replace("{}", repr(values)), **known)


NAMES = {}
"""What codes may name."""


def codes(*texts):
    """Return a strategy for one of these codes."""
    return st.sampled_from([Code(text) for text in texts])
