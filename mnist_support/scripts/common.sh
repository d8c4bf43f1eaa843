# What every set-up script starts with: `source common.sh`.
#
# The Makefile hands over PYTHON_ENV, the Python environment in use, as an absolute path.
set -euo pipefail
# Of a make that runs two steps at once: cargo would look for tokens of make's, which it isn't given.
unset MAKEFLAGS MFLAGS

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$scripts/../.." && pwd -P)
tools=$root/.tools
triple=x86_64-unknown-linux-gnu
source "$scripts/versions.env"

say() {
    printf '==> %s\n' "$*"
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Writes standard input to a file unless it already says that, so that its time changes only then.
write_if_changed() {
    local new
    new=$(cat; echo x)
    new=${new%x}
    if [[ ! -e $1 || $(cat "$1"; echo x) != "${new}x" ]]; then
        printf '%s' "$new" >"$1"
    fi
}

# The folder of the torch package, without importing it.
torch_folder() {
    "$PYTHON_ENV/bin/python" -c \
        'import importlib.util; print(importlib.util.find_spec("torch").submodule_search_locations[0])'
}

# The process of a cluster's part (master, worker-1, server), if it runs: what was noted by
# spark_up.sh, unless its number has gone to another process since.
process_of() {
    local folder=$1 role=$2 process
    [[ -e $folder/pids/$role ]] || return 1
    process=$(<"$folder/pids/$role")
    # Only this cluster's processes work in this folder; a process that has ended has none.
    [[ $(readlink "/proc/$process/cwd" 2>/dev/null) == "$folder" ]] || return 1
    printf '%s\n' "$process"
}

# Builds a program of the crate within the kernel's workspace, where the crate is compiled for the
# notebooks already: in the repository's own it would be compiled once more.
build_program() {
    (cd "$root/target/kernel/1" && CARGO_TARGET_DIR=$root/target cargo build --quiet \
        --package mnist_support --bin "$1" --target "$triple")
}

# Runs a program that was built, with the libraries that cargo would name to it.
run_program() {
    local out=$root/target/$triple/debug name=$1
    shift
    local rust
    rust=$(rustc --print sysroot)/lib/rustlib/$triple/lib
    LD_LIBRARY_PATH=$out/libtorch:$out/libtorch/lib:$rust${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
        "$out/$name" "$@"
}
