#!/usr/bin/env bash
# Starts the Rust kernel. Jupyter runs it as: kernel.sh CONNECTION_FILE PYTHON
#
# Each running kernel compiles its cells in a folder of its own, a slot, which it holds by a lock
# until it ends; so two open notebooks don't disturb one another. Slot 1 is the warm one.
set -euo pipefail

connection_file=$1
python=${2:-python3}
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$scripts/../.." && pwd -P)
libtorch=$root/target/x86_64-unknown-linux-gnu/debug/libtorch

# Says in the notebook why there is no Rust kernel.
explain() {
    echo "$1" >&2
    exec "$python" "$scripts/explain_kernel.py" "$connection_file" "$1"
}

for needed in "$root/.tools/bin/evcxr_jupyter" "$libtorch/libtch.so"; do
    [[ -e $needed ]] ||
        explain "The Rust kernel can't start, $needed is missing: run 'make setup' in $root, then restart the kernel."
done
# Jupyter may have been started where cargo is not on the PATH, from a desktop for instance.
command -v cargo >/dev/null || export PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
KERNEL_SYSROOT=$(cd "$root/notebooks" && rustc --print sysroot) ||
    explain "The Rust kernel can't start, there is no Rust on the PATH: install it, then run 'make setup' in $root."
library=$KERNEL_SYSROOT/lib/rustlib/src/rust/library
[[ -e ${RUST_SRC_PATH:-$library}/core ]] ||
    explain "The Rust kernel can't start, the sources of Rust's own library (rust-src) are missing from $KERNEL_SYSROOT: run 'make setup' in $root, then restart the kernel."

slot=1
# A kernel that is being restarted may need a moment to let go of the warm slot.
wait_seconds=1
mkdir -p "$root/target/kernel"
while :; do
    exec {lock}>"$root/target/kernel/$slot.lock"
    # The descriptor stays open across exec, so the lock lasts as long as the kernel.
    flock --timeout "$wait_seconds" "$lock" && break
    exec {lock}>&-
    slot=$((slot + 1))
    wait_seconds=0
done
"$scripts/prepare_slot.sh" "$slot"

export EVCXR_TMPDIR=$root/target/kernel/$slot/cells
# The user's own evcxr settings could name another folder or other dependencies.
export EVCXR_CONFIG_DIR=$root/notebooks
# evcxr looks there whether its kernel.json is up to date, and would write into the user's.
export JUPYTER_PATH=$root/.tools/share/jupyter
# Where compiled cells find libtorch and its C interface, the crate, and Rust's own library. The paths
# that rustc writes into a cell's library are relative to where it was compiled, which is not where it is
# loaded from: where Rust lies below the same folder as the repository, a home for instance, they miss it.
built=$EVCXR_TMPDIR/target/x86_64-unknown-linux-gnu/debug/deps
rust=$KERNEL_SYSROOT/lib/rustlib/x86_64-unknown-linux-gnu/lib
export LD_LIBRARY_PATH=$libtorch:$libtorch/lib:$built:$rust${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
# Other flags or another target folder would compile every crate again.
unset CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET OUT_DIR
# Where lld is installed, evcxr has cells linked by it, with a flag for which cargo would compile
# every crate again; but where mold is, evcxr runs cargo through that and adds no flag.
if command -v lld >/dev/null && ! command -v mold >/dev/null; then
    export PATH=$scripts/system_linker:$PATH
fi

# A toolchain whose cargo and rustc answer sooner (toolchain/). rustup takes a toolchain by its path;
# without rustup it is found on the PATH.
export KERNEL_ROOT=$root KERNEL_SLOT=$root/target/kernel/$slot
export KERNEL_SYSROOT
# To the process of the cells, evcxr names a compiled cell in a line of words. Where the slot's path has a
# space, the folder is kept open and named by its descriptor, which all processes of the kernel inherit.
export KERNEL_LOADED=$KERNEL_SLOT
if [[ $KERNEL_SLOT == *[[:space:]]* ]]; then
    exec {slot_folder}<"$KERNEL_SLOT"
    KERNEL_LOADED=/proc/self/fd/$slot_folder
fi
toolchain=$root/target/kernel/toolchain
mkdir -p "$toolchain/bin" "$toolchain/library"
ln -sfn "$KERNEL_SYSROOT/lib" "$toolchain/lib"
ln -sfn "$scripts/toolchain/"{cargo,rustc} "$toolchain/bin"
export RUSTUP_TOOLCHAIN=$toolchain CARGO=$toolchain/bin/cargo
command -v rustup >/dev/null || export PATH=$toolchain/bin:$PATH
# What an earlier kernel has noted for its cells.
rm -rf "$KERNEL_SLOT/session"
mkdir "$KERNEL_SLOT/session"

# Rust's own library without the processors' instructions (core::arch): they are half of all sources, and
# rust-analyzer would read them for 2 seconds at each start.
if [[ -e $library/core ]]; then
    parts=()
    for part in "$library"/*; do
        [[ $part == */stdarch ]] || parts+=("$part")
    done
    ln -sfn -t "$toolchain/library" "${parts[@]}"
    export RUST_SRC_PATH=$toolchain/library
fi

# Stop sends SIGINT to the whole process group. The kernel and all that it starts ignore it; the process of
# the cells listens for it as soon as it has loaded the crate, and until then the watch does.
trap '' INT
if command -v python3 >/dev/null; then
    python3 "$scripts/interrupt_watch.py" $$ </dev/null >/dev/null {lock}>&- &
fi

# Its own standard output only says which settings it found; what cells print goes another way.
exec "$root/.tools/bin/evcxr_jupyter" --control_file "$connection_file" >/dev/null
