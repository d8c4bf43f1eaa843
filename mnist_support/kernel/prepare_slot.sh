#!/usr/bin/env bash
# Lays out target/kernel/SLOT, the folder in which one running kernel compiles its cells.
# Usage: prepare_slot.sh SLOT, by who holds the lock target/kernel/SLOT.lock
#
#   target/kernel/SLOT/Cargo.toml   a workspace whose root package depends on the notebook crate
#   target/kernel/SLOT/Cargo.lock   the repository's locked versions
#   target/kernel/SLOT/cells/       where evcxr writes its crate and cargo its output
#
# The root package is there for the lock file alone: evcxr first builds an empty crate, and cargo
# would then forget every locked version that nothing needs.
#
# Slot 1 shares the repository's target folder, so that a crate of the registry is compiled once
# for tests and cells. The kernel's own files have fixed names there, so each further slot has a
# target folder of its own, in which the compiled crates of the registry are hard links.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

slot=$1
folder=$root/target/kernel/$slot
cells=$folder/cells

mkdir -p "$folder/src" "$cells/src"
write_if_changed "$folder/src/lib.rs" </dev/null
write_if_changed "$folder/Cargo.toml" <<TOML
[package]
name = "locked_versions"
version = "1.0.0"
edition = "2024"

[workspace]
members = ["cells"]

[dependencies]
mnist_support_notebook = { path = "$root/mnist_support/notebook" }
TOML

# evcxr overwrites both. A kernel that was killed may have left a manifest that cargo refuses.
printf '[package]\nname = "ctx"\nversion = "1.0.0"\nedition = "2024"\n' | write_if_changed "$cells/Cargo.toml"
[[ -e $cells/src/lib.rs ]] || : >"$cells/src/lib.rs"

# Cargo rewrites the lock file for this workspace, so what it was made from is kept beside it.
if ! cmp -s "$root/Cargo.lock" "$folder/Cargo.lock.repository"; then
    cp "$root/Cargo.lock" "$folder/Cargo.lock"
    cp "$root/Cargo.lock" "$folder/Cargo.lock.repository"
fi

if [[ $slot == 1 ]]; then
    [[ -L $cells/target ]] || ln -s ../../.. "$cells/target"
    exit
fi

# Without shortcuts cargo compiles every crate there itself.
if [[ ${KERNEL_PLAIN:-0} != 0 ]]; then
    [[ ! -e $cells/target/linked ]] || rm -rf "$cells/target"
    exit
fi

# Links one profile folder of the shared target. Cargo replaces a compiled library by a new file,
# but writes into its own notes in place: those are copied. So is all of the crates that lie in this
# repository, because a change of their source recompiles them under the same names.
link_profile() {
    local from=$root/target/$1 to=$cells/target/$1
    [[ -d $from/deps ]] || return 0
    mkdir -p "$to/deps"
    cp -a --reflink=auto "$from/.fingerprint" "$from/build" "$to/"
    rm -rf "$to"/.fingerprint/ctx-*
    # Static libraries too: a crate may be one besides, and cargo compiles it again where that is missing.
    local outputs=(-maxdepth 1 -type f -regex '.*\.\(rlib\|rmeta\|so\|a\|d\)')
    find "$from/deps" "${outputs[@]}" \
        ! -name '*mnist_support*' ! -name 'libcode_*' ! -name '*ctx*' -exec ln -t "$to/deps" {} +
    find "$from/deps" "${outputs[@]}" \
        -name '*mnist_support*' -exec cp -a --reflink=auto -t "$to/deps" {} +
}

# The warm build leaves this file whenever it compiled something.
built=$root/target/kernel/1/built
if [[ ! -d $cells/target || $built -nt $cells/target/linked ]]; then
    rm -rf "$cells/target"
    link_profile debug
    link_profile "$triple/debug"
    touch "$cells/target/linked"
fi
