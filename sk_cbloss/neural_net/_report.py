"""What a net has decided before it trains, in one line."""

import numpy as np


def report(net):
    """Return a line on device, samples, classes and loss."""
    count, of, total = net.class_count_, "classes", net.class_count_.sum()
    if net._has_several_labels:
        count, of, total = count[:, 1], "labels", count.sum(axis=1).max()
    seen = count[count > 0]
    sizes = f"of {seen.max():,g} to {seen.min():,g}" if seen.min() < seen.max() else "of one size"
    parts = [
        f"{type(net).__name__} trains on {net._device_in_use}",
        f"{total:,.6g} samples of {len(seen)} {of} {sizes}",
    ]
    if net.criterion is None:
        settings = {"beta": net._beta_in_use, "gamma": getattr(net.criterion_, "gamma", None)}
        named = [f"{name} {value:g}" for name, value in settings.items() if value is not None]
        parts.append(", ".join([f"loss {net._loss_in_use}", *named]))
    empty = np.asarray(net.classes_)[count == 0].tolist()
    if empty:
        more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
        parts.append(f"no samples of {', '.join(map(repr, empty[:5]))}{more}")
    return "; ".join(parts) + "."
