#!/usr/bin/env bash
# Installs Spark with an environment of its own into .tools/spark, or an older one, which
# MNIST_SPARK names, into .tools/spark_4.0: it is large, and brings packages that the notebooks don't need.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

one_at_a_time "$@"
say "Installing Spark $SPARK_VERSION into .tools/${spark##*/} (1 GB, about 1 minute)"
rm -rf "$spark"
# The environment's own pip does the work, so that nothing depends on ensurepip.
"$PYTHON_ENV/bin/python" -m venv --without-pip "$spark"
"$PYTHON_ENV/bin/python" -m pip --python "$spark/bin/python" install --quiet \
    --disable-pip-version-check "pyspark[connect]==$SPARK_VERSION" "pyarrow==$PYARROW_VERSION"
