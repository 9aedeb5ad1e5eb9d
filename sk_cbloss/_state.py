"""A call that fails loses nothing: what an estimator knew before is put back."""

from contextlib import contextmanager
from functools import wraps


@contextmanager
def put_back_on_error(*estimators):
    """Put the attributes of estimators back as they were, if what runs inside raises.

    Attributes that are assigned, as ``fit`` assigns what it learns, come back; one that is
    changed in place does not.
    """
    before = [(vars(estimator), dict(vars(estimator))) for estimator in estimators]
    try:
        yield
    except BaseException:  # an interrupt, too
        for attributes, old in before:
            put_back(attributes, old)
        raise


def put_back(changed, old):
    """Make a dict what it was."""
    changed.clear()
    changed.update(old)


def all_or_nothing(method):
    """Return the method of an estimator, made to change nothing of it when it raises."""

    @wraps(method)
    def call(self, *args, **kwargs):
        with put_back_on_error(self):
            return method(self, *args, **kwargs)

    return call
