#!/usr/bin/env bash
# Makes the virtual environment, unless one is in use, and installs requirements.txt into it.
# Usage: python_environment.sh PYTHON, the interpreter to make an environment from.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

one_at_a_time "$@"
# Begun and not ended, where it exists; not in the environment, which may have to go as a whole.
begun=$tools/making-environment
own=$root/.venv
if [[ -e $begun && $PYTHON_ENV -ef $own ]] || ! environment_has pip; then
    [[ ! -e $PYTHON_ENV || $PYTHON_ENV -ef $own ]] ||
        fail "the environment $PYTHON_ENV has no Python that runs, or no pip for it: make it again, or deactivate it."
    say "Making a Python environment in $PYTHON_ENV"
    touch "$begun"
    rm -rf "$PYTHON_ENV"
    if "$1" -c 'import ensurepip' 2>/dev/null; then
        "$1" -m venv "$PYTHON_ENV" ||
            fail "$1 could not make an environment, see above: install python3-venv, or name another" \
                "Python with PYTHON=..."
    else
        # Debian keeps ensurepip in a package of its own; an installed pip can do its work.
        "$1" -m pip --version >/dev/null 2>&1 ||
            fail "$1 has neither ensurepip nor pip. Install python3-venv or python3-pip."
        "$1" -m venv --without-pip "$PYTHON_ENV"
        "$1" -m pip --python "$PYTHON_ENV/bin/python" install --quiet pip
    fi
    rm "$begun"
fi
say "Installing JupyterLab into $PYTHON_ENV (about 30 s)"
pip_install --requirement "$root/requirements.txt"
