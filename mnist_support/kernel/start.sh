#!/usr/bin/env bash
# Starts the Rust kernel. Jupyter runs it as: start.sh CONNECTION_FILE PYTHON
# With KERNEL_PLAIN=1 in the environment it is stock evcxr, without the shortcuts (README.md).
#
# Each running kernel compiles its cells in a folder of its own, a slot, which it holds by a lock
# until it ends; so two open notebooks don't disturb one another. Slot 1 is the warm one.
set -euo pipefail

connection_file=$1
python=${2:-python3}
kernel=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$kernel/../.." && pwd -P)
libtorch=$root/target/x86_64-unknown-linux-gnu/debug/libtorch
plain=
[[ ${KERNEL_PLAIN:-0} == 0 ]] || plain=yes

# Says in the notebook why there is no Rust kernel.
explain() {
    echo "$1" >&2
    exec "$python" "$kernel/explain.py" "$connection_file" "$1"
}

for needed in "$root/.tools/bin/evcxr_jupyter" "$libtorch/libtch.so"; do
    [[ -e $needed ]] ||
        explain "The Rust kernel can't start, $needed is missing: run 'make setup' in $root, then restart the kernel."
done
# Jupyter may have been started where cargo is not on the PATH, from a desktop for instance.
command -v cargo >/dev/null || export PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
sysroot=$(cd "$root/notebooks" && rustc --print sysroot) ||
    explain "The Rust kernel can't start, there is no Rust on the PATH: install it, then run 'make setup' in $root."
library=$sysroot/lib/rustlib/src/rust/library
[[ -e ${RUST_SRC_PATH:-$library}/core ]] ||
    explain "The Rust kernel can't start, the sources of Rust's own library (rust-src) are missing from $sysroot: run 'make setup' in $root, then restart the kernel."
[[ -z $plain || $root != *[[:space:]]* ]] ||
    explain "The Rust kernel can't start with KERNEL_PLAIN=1: stock evcxr cannot load cells from a path with a space, $root. Start Jupyter without KERNEL_PLAIN, or move the folder."

slot=1
# A kernel that is being restarted may need a moment to let go of the warm slot. Without shortcuts
# the crate is compiled anew in any other.
wait_seconds=1
[[ -z $plain ]] || wait_seconds=10
mkdir -p "$root/target/kernel"
while :; do
    exec {lock}>"$root/target/kernel/$slot.lock"
    # The descriptor stays open across exec, so the lock lasts as long as the kernel.
    flock --timeout "$wait_seconds" "$lock" && break
    exec {lock}>&-
    slot=$((slot + 1))
    wait_seconds=0
done
"$kernel/prepare_slot.sh" "$slot"
folder=$root/target/kernel/$slot

export EVCXR_TMPDIR=$folder/cells
# The user's own evcxr settings could name another folder or other dependencies.
export EVCXR_CONFIG_DIR=$root/notebooks
# evcxr looks there whether its kernel.json is up to date, and would write into the user's.
export JUPYTER_PATH=$root/.tools/share/jupyter
# Where compiled cells find libtorch and its C interface, the crate, and Rust's own library. The
# paths that rustc writes into a cell's library are relative to where it was compiled, which is not
# where it is loaded from: where Rust lies below the same folder as the repository, a home for
# instance, they miss it.
built=$EVCXR_TMPDIR/target/x86_64-unknown-linux-gnu/debug/deps
rust=$sysroot/lib/rustlib/x86_64-unknown-linux-gnu/lib
export LD_LIBRARY_PATH=$libtorch:$libtorch/lib:$built:$rust${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
# Other flags or another target folder would compile every crate again.
unset CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET OUT_DIR

[[ -n $plain ]] || source "$kernel/shortcuts.sh"

# Stop sends SIGINT to the whole process group. The kernel and all that it starts ignore it; the
# process of the cells listens for it as soon as it has loaded the crate, and until then the watch
# does.
trap '' INT
if command -v python3 >/dev/null; then
    python3 "$kernel/interrupt_watch.py" $$ </dev/null >/dev/null {lock}>&- &
fi

# Its own standard output only says which settings it found; what cells print goes another way.
exec "$root/.tools/bin/evcxr_jupyter" --control_file "$connection_file" >/dev/null
