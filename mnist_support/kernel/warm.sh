#!/usr/bin/env bash
# Compiles the crate as notebook cells use it, so that a notebook's first cell need not wait for it.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

slot=$root/target/kernel/1
mkdir -p "$slot"
exec {lock}>"$slot.lock"
# A running kernel has prepared its slot itself.
if flock --nonblock "$lock"; then
    "$kernel/prepare_slot.sh" 1
fi
exec {lock}>&-

if [[ ! -e $slot/built ]]; then
    say "Compiling the crate for the notebooks (the first time 10 to 15 minutes on 2 cores)"
fi
quiet=--quiet
if [[ -t 2 ]]; then quiet=; fi
cd "$slot"
CARGO_TARGET_DIR=$root/target cargo build $quiet --target "$triple"
# As old as what was built last, for the other slots to see whether they are behind.
touch -r "$root/target/$triple/debug/deps/libmnist_support_notebook.so" "$slot/built"
