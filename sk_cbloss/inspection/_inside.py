"""What a fitted estimator holds."""


def held_by(estimator):
    """Yield an estimator, and the fitted ones inside it, from the outside in."""
    yield estimator
    for name in ("best_estimator_", "estimator_"):
        if hasattr(estimator, name):
            yield from held_by(getattr(estimator, name))
    for _, step in getattr(estimator, "steps", ()):
        yield from held_by(step)
