"""Keep pytest off what a build leaves behind, and small nets off each other's cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

collect_ignore = ["conf.py", "_build", "auto_examples", "generated"]
