#!/usr/bin/env bash
# Installs what benchmarks and tests compare with into an environment of its own, .tools/peers: `import torch`
# wants all of PyTorch's dependencies, CUDA's included, which the notebooks do without.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

one_at_a_time "$@"
say "Installing PyTorch, pandas, scikit-learn and SparkTorch into .tools/peers (6 GB, about 2 minutes)"
rm -rf "$tools/peers"
# The environment's own pip does the work, so that nothing depends on ensurepip.
"$PYTHON_ENV/bin/python" -m venv --without-pip "$tools/peers"
"$PYTHON_ENV/bin/python" -m pip --python "$tools/peers/bin/python" install --quiet \
    --disable-pip-version-check "torch==$TORCH_VERSION" "numpy==$NUMPY_VERSION" \
    "pandas==$PANDAS_VERSION" "pyarrow==$PYARROW_VERSION" "scikit-learn==$SCIKIT_LEARN_VERSION" \
    "pyspark==$PYSPARK_PEER_VERSION" "sparktorch==$SPARKTORCH_VERSION" \
    "safetensors==$SAFETENSORS_VERSION" "onnxruntime==$ONNXRUNTIME_VERSION"
