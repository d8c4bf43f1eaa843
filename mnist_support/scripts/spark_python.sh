#!/usr/bin/env bash
# Makes an environment of another Python than the server's for Spark's executors, with what PySpark's
# worker needs there. PySpark itself comes from the server's installation.
# Usage: spark_python.sh PYTHON FOLDER
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

one_at_a_time "$@"
folder=$2
# Older ones can't read the PySpark that the executors are given.
case $SPARK_VERSION in
3.5.* | 4.0.*) needed=9 ;;
*) needed=10 ;;
esac
"$1" -c "import sys; sys.exit(sys.version_info < (3, $needed))" ||
    fail "Spark $SPARK_VERSION needs Python 3.$needed or later on its executors, and $1 is older."
say "Installing pyarrow and pandas for $1 into ${folder#"$root"/} (0.3 GB, about 20 s)"
rm -rf "$folder"
"$1" -m venv --without-pip "$folder"
# The newest that this Python has. Spark 3.5 doesn't work with a newer NumPy than its pyarrow does.
numpy=numpy
[[ $SPARK_VERSION != 3.5.* ]] || numpy='numpy<2'
"$PYTHON_ENV/bin/python" -m pip --python "$folder/bin/python" install --quiet \
    --disable-pip-version-check --only-binary :all: \
    "pyarrow<=$PYARROW_VERSION" "pandas<=$PANDAS_VERSION" "$numpy"
