# What every set-up script starts with: `source common.sh`.
#
# The Makefile hands over PYTHON_ENV, the Python environment in use, as an absolute path.
set -euo pipefail
# Of a make that runs two steps at once: cargo would look for tokens of make's, which it isn't given.
unset MAKEFLAGS MFLAGS

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$scripts/../.." && pwd -P)
kernel=$root/mnist_support/kernel
tools=$root/.tools
triple=x86_64-unknown-linux-gnu
source "$scripts/versions.env"

# The Spark of make spark-up and of the tests: the newest, or the older one that make's SPARK names.
spark=$tools/spark
if [[ -n ${MNIST_SPARK:-} && $MNIST_SPARK != "${SPARK_VERSION%.*}" ]]; then
    spark_named=SPARK_${MNIST_SPARK//./_}
    pyarrow_named=${spark_named}_PYARROW_VERSION
    spark_named=${spark_named}_VERSION
    SPARK_VERSION=${!spark_named}
    PYARROW_VERSION=${!pyarrow_named:-$PYARROW_VERSION}
    spark=$tools/spark_$MNIST_SPARK
fi

say() {
    printf '==> %s\n' "$*"
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# What a script that ends, by itself or by Ctrl-C, removes.
leftovers=()

# The shell that cleans up may itself be told to end once more meanwhile.
at_end() {
    local status=$?
    trap '' INT TERM HUP
    ((status == 0)) || name_full_disks
    ((${#leftovers[@]} == 0)) || rm -rf "${leftovers[@]}"
}
trap at_end EXIT

# Says which of the disks that set-up writes to has no room left. What fails for want of room says that in
# as many ways as there are programs, and a linker dies of it without a word.
name_full_disks() {
    local folder free disk seen=
    for folder in "$root" "$root/data" "${PYTHON_ENV:-$root}" "${TMPDIR:-/tmp}" \
        "${CARGO_HOME:-${HOME:-/}/.cargo}"; do
        while [[ ! -e $folder ]]; do folder=$(dirname "$folder"); done
        read -r free disk < <(df -m --output=avail,target "$folder" 2>/dev/null | tail -n1) || continue
        if ((free < 100)) && [[ $seen != *"|$disk|"* ]]; then
            seen+="|$disk|"
            echo "error: only $free MB are free on the disk that holds $folder: make room there and run" \
                "the same command again, which goes on where it was." >&2
        fi
    done
}

# Lets one set-up script of this repository run at a time, also where two makes do the same step: the
# second waits, and finds the step done. Call it first: it starts the script anew, by flock, so that no
# process that the script leaves behind can hold the lock. A step that make does beside the others has a
# lock of its own: `lock=NAME one_at_a_time "$@"`.
one_at_a_time() {
    [[ -z ${SETUP_LOCK:-} ]] || return 0
    mkdir -p "$tools"
    export SETUP_LOCK=$tools/lock${lock:+-$lock}
    # Where make itself runs two steps side by side, one waits for the other now and then.
    flock --nonblock "$SETUP_LOCK" "$BASH" -c : || [[ -n ${SIDE_BY_SIDE:-} ]] ||
        say "Waiting for a step of set-up that another make is doing"
    exec flock --close "$SETUP_LOCK" "$BASH" "$0" "$@"
}

# Whether the environment's Python runs and finds these packages.
environment_has() {
    "$PYTHON_ENV/bin/python" -c \
        'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))' "$@" 2>/dev/null
}

# Installs packages into the environment: pip_install PIP_ARGUMENTS...
# pip takes a package for installed once its metadata are there, and those it writes before it has compiled
# and noted all files. So what a run that was interrupted had begun is forgotten, and installed once more.
pip_install() {
    local begun=$PYTHON_ENV/.mnist-notebooks/installing
    if [[ -e $begun ]]; then
        "$PYTHON_ENV/bin/python" - "$begun" <<'PYTHON'
import glob, os, shutil, sys, sysconfig
since = os.path.getmtime(sys.argv[1])
for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
    for metadata in glob.glob(glob.escape(folder) + "/*.dist-info"):
        # pip writes this file when all others are there.
        if not os.path.exists(metadata + "/INSTALLER") and os.path.getmtime(metadata) >= since:
            shutil.rmtree(metadata)
PYTHON
    else
        mkdir -p "${begun%/*}"
        touch "$begun"
    fi
    "$PYTHON_ENV/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    rm "$begun"
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
