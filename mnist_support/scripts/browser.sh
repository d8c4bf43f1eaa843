#!/usr/bin/env bash
# Installs what drives a browser in the tests into an environment of its own, .tools/browser.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

say "Installing Playwright $PLAYWRIGHT_VERSION into .tools/browser (170 MB, about 10 s)"
rm -rf "$tools/browser"
# The environment's own pip does the work, so that nothing depends on ensurepip.
"$PYTHON_ENV/bin/python" -m venv --without-pip "$tools/browser"
"$PYTHON_ENV/bin/python" -m pip --python "$tools/browser/bin/python" install --quiet \
    --disable-pip-version-check "playwright==$PLAYWRIGHT_VERSION"
