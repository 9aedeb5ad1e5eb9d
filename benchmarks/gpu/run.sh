#!/usr/bin/env bash
# All that there is to prove and measure on a GPU; run.py says how.
exec python3 "$(dirname "$0")/run.py" "$@"
