#!/usr/bin/env bash
# A stock evcxr kernel: its own cargo calls, with the crate linked statically into each cell. It finds
# libtorch and the registry's compiled crates, so that only the compilation of cells differs.
# Usage: static_kernel.sh CONNECTION_FILE
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

mkdir -p "$root/target/kernel"
exec {lock}>"$root/target/kernel/static.lock"
flock --nonblock "$lock" || fail "another such kernel is running."
"$scripts/prepare_slot.sh" static

libtorch=$root/target/$triple/debug/libtorch
export EVCXR_TMPDIR=$root/target/kernel/static/cells
# None of the user's settings, as in kernel.sh.
export EVCXR_CONFIG_DIR=$root/notebooks
export JUPYTER_PATH=$tools/share/jupyter
export LD_LIBRARY_PATH=$libtorch:$libtorch/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
unset CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET
if command -v lld >/dev/null && ! command -v mold >/dev/null; then
    export PATH=$scripts/system_linker:$PATH
fi
exec "$tools/bin/evcxr_jupyter" --control_file "$1" >/dev/null
