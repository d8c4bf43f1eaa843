#!/usr/bin/env bash
# Checks that the machine has what `make setup` can't install itself, and says what is missing.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[[ $(uname -sm) == "Linux x86_64" ]] ||
    fail "this project is set up for Linux on x86-64; this is $(uname -sm)."

needed_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
command -v cargo >/dev/null && command -v rustc >/dev/null ||
    fail "no Rust here. Install Rust $needed_rust or later, for instance with rustup."
found_rust=$(rustc --version | cut -d' ' -f2)
[[ $(printf '%s\n' "$needed_rust" "$found_rust" | sort -V | head -n1) == "$needed_rust" ]] ||
    fail "Rust $found_rust is too old: $needed_rust or later is needed ('rustup update')."

python=${1:-python3}
command -v "$python" >/dev/null || fail "no $python here. Install Python 3.10 or later."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$("$python" --version) is too old: 3.10 or later is needed (name another with PYTHON=...)."

command -v "${CXX:-g++}" >/dev/null ||
    fail "no C++ compiler here (${CXX:-g++}). Install g++, or name another with CXX=..."
