"""Print, as JSON, what machine this is and how fast its device copies and multiplies.

Run as `python benchmarks/gpu/machine.py`. Bandwidth is of copying a large buffer on the device,
bytes read and written; the product is of two matrices of random numbers in bfloat16. Both are
medians. `--tiny` takes small ones.
"""

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version

import torch

PACKAGES = "torch", "triton", "numpy", "scipy", "scikit-learn", "skorch", "imbalanced-learn"


def version_of(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def nvidia_smi(what):
    """Return what nvidia-smi says of the first GPU; None if it is not there."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "-i", "0", f"--query-gpu={what}", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def seconds(function, device, n_warmup=5, repeats=30):
    """Return the median time of a call."""
    times = []
    for _ in range(n_warmup + repeats):
        if device == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            function()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 1000)
        else:
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
    return statistics.median(times[n_warmup:])


def copy_bandwidth(device, n_bytes):
    source = torch.ones(n_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * n_bytes / seconds(lambda: target.copy_(source), device)


def product_rate(device, n):
    a, b = (torch.randn(n, n, device=device).bfloat16() for _ in range(2))
    out = torch.empty_like(a)
    return 2 * n**3 / seconds(lambda: torch.matmul(a, b, out=out), device)


def rounded(value):
    return float(f"{value:.4g}")


def of_the_gpu():
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "multiprocessors": properties.multi_processor_count,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": nvidia_smi("driver_version"),
        "clocks_sm_memory": nvidia_smi("clocks.sm,clocks.mem"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("--device cuda needs a GPU that torch can use, and there is none.")
    n_bytes, n = (2**20, 256) if args.tiny else (2**31, 8192)
    found = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {package: version_of(package) for package in PACKAGES},
        "cpu_threads": torch.get_num_threads(),
    }
    if args.device == "cuda":
        found |= of_the_gpu()
    found["copy_gb_per_s"] = rounded(copy_bandwidth(args.device, n_bytes) / 1e9)
    found[f"product_{n}_bfloat16_tflop_per_s"] = rounded(product_rate(args.device, n) / 1e12)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
