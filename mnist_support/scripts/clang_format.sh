#!/usr/bin/env bash
# Installs clang-format into the Python environment: two megabytes, for `make lint`.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

say "Installing clang-format $CLANG_FORMAT_VERSION into $PYTHON_ENV (about 3 s)"
"$PYTHON_ENV/bin/python" -m pip install --quiet --disable-pip-version-check \
    "clang-format==$CLANG_FORMAT_VERSION"
