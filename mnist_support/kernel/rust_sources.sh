#!/usr/bin/env bash
# Brings the sources of Rust's own library, without which the kernel cannot tell a variable's type.
# Usage: rust_sources.sh          installs them where they are missing
#        rust_sources.sh --how    says how it would, or fails with what to install by hand
#
# Only the toolchain's own manager adds to a toolchain, and only where the folder is the user's.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

cd "$root"
sysroot=$(rustc --print sysroot)
version=$(rustc --version | cut -d' ' -f2)
if [[ -e ${RUST_SRC_PATH:-$sysroot/lib/rustlib/src/rust/library}/core ]]; then
    [[ ${1-} == --how ]] && echo "they are there"
    exit 0
fi

by_hand="the sources of Rust's own library are missing from $sysroot"
if [[ ! -O $sysroot/lib/rustlib ]]; then
    fail "$by_hand, which belongs to somebody else: ask who manages it for the rustup component" \
        "rust-src (on Debian and Fedora the package rust-src) of Rust $version, or install Rust" \
        "with rustup for yourself."
elif command -v rustup >/dev/null && [[ $sysroot == "$(rustup show home)"/* ]]; then
    install=(rustup component add rust-src --toolchain "$(basename "$sysroot")")
elif [[ -n ${CONDA_PREFIX:-} && $sysroot == "$CONDA_PREFIX" ]] &&
    conda=$(command -v mamba || command -v conda || command -v micromamba); then
    install=("$conda" install --yes --quiet --prefix "$CONDA_PREFIX" --channel conda-forge
        "rust-src=$version")
else
    fail "$by_hand: install the package rust-src of Rust $version from where that Rust came, or" \
        "Rust with rustup."
fi

if [[ ${1-} == --how ]]; then
    printf '%s\n' "${install[*]}"
    exit
fi
one_at_a_time "$@"
say "Installing the sources of Rust's own library: ${install[*]} (about 5 s)"
"${install[@]}" >/dev/null 2>"$tools/rust-src.log" || {
    cat "$tools/rust-src.log" >&2
    fail "the sources of Rust's own library could not be installed, see above. By hand: ${install[*]}"
}
[[ -e $sysroot/lib/rustlib/src/rust/library/core ]] ||
    fail "${install[*]} ended well, yet $sysroot/lib/rustlib/src/rust/library is not there."
