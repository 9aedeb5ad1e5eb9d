"""The package's face."""

import subprocess
import sys

import sk_cbloss


def test_every_public_name_is_there():
    for name in sk_cbloss.__all__:
        assert getattr(sk_cbloss, name).__name__ == name
    assert "CBNeuralNetClassifier" in dir(sk_cbloss)


def test_the_version():
    from importlib.metadata import version

    assert sk_cbloss.__version__ == version("sk-cbloss")


def test_torch_loads_with_the_first_name_that_needs_it():
    script = (
        "import sys, sk_cbloss\n"
        "assert not {'torch', 'sklearn', 'numpy'} & sys.modules.keys()\n"
        "from sk_cbloss import (ClassBalancedWeigher, UnusedWeightsWarning, beta_grid,\n"
        "    class_balanced_sample_weight, class_balanced_weight, effective_number)\n"
        "from sk_cbloss import ClassBalancedClassifier, load_digits_lt, shot_recall_score\n"
        "assert not {'torch', 'skorch', 'imblearn', 'matplotlib'} & sys.modules.keys()\n"
        "sk_cbloss.ClassBalancedFocalLoss\n"
        "assert 'torch' in sys.modules and 'skorch' not in sys.modules\n"
        "sk_cbloss.CBNeuralNetClassifier\n"
        "assert 'skorch' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
