#!/bin/sh
# All checks that need a GPU, on a bare machine that has Python with torch, pytorch-lightning, torchmetrics, scipy and
# scikit-learn, and no network: what CMC needs besides lies as wheels in WHEELS (pip download -d WHEELS hydra-core pytest
# rich pillow h5py ...). One JSON holds what was found. Arguments go to `python -m experiments.gpu`; --dry needs no GPU.
#
#     experiments/gpu.sh [--out FILE.json] [--dry]
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
if [ -n "${WHEELS:-}" ]; then
    "$PYTHON" -m pip install --quiet --no-index --find-links "$WHEELS" --no-deps "$WHEELS"/*.whl
fi
PYTHONPATH=. exec "$PYTHON" -m experiments.gpu "$@"
