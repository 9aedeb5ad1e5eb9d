"""What a bug report needs to say about the machine."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "sk-cbloss",
    "scikit-learn",
    "numpy",
    "scipy",
    "torch",
    "skorch",
    "imbalanced-learn",
    "joblib",
    "safetensors",
    "matplotlib",
    "pandas",
)


def show_versions():
    """Print the versions and devices that a bug report should name.

    The system, Python, the packages that this one builds on, and the devices
    that torch can compute on, with its number of threads.

    See Also
    --------
    sklearn.show_versions : More on the linear algebra and threads beneath.

    Examples
    --------
    >>> import sk_cbloss
    >>> sk_cbloss.show_versions()
    system: ...
    devices: ...
    """
    import torch

    devices = [f"cpu ({torch.get_num_threads()} threads)"]
    if torch.cuda.is_available():
        devices += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    rows = {"system": platform.platform(), "python": sys.version.replace("\n", " ")}
    rows |= {package: _version(package) for package in PACKAGES}
    rows["devices"] = ", ".join(devices)
    for name, value in rows.items():
        print(f"{name}: {value}")  # noqa: T201


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
