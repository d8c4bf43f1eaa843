#!/usr/bin/env bash
# Compiles the Rust kernel for Jupyter into .tools/bin.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [[ -x $tools/bin/evcxr_jupyter ]] &&
    grep -qs "^\"evcxr_jupyter $EVCXR_VERSION " "$tools/.crates.toml"; then
    exit
fi
say "Compiling the Rust kernel, evcxr_jupyter $EVCXR_VERSION (6 to 9 minutes on 2 cores)"
build=$tools/build
trap 'rm -rf "$build"' EXIT
# From another folder: this repository's cargo settings are not for tools.
cd /
quiet=--quiet
if [[ -t 2 ]]; then quiet=; fi
CARGO_TARGET_DIR=$build cargo install $quiet --locked "evcxr_jupyter@$EVCXR_VERSION" --root "$tools"
