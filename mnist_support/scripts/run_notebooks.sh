#!/usr/bin/env bash
# Runs notebooks, all of the repository's if none is named, from the first cell to the last, and
# fails if a cell fails.
# Usage: run_notebooks.sh copies [NOTEBOOK...]     executed copies go to target/notebooks
#        run_notebooks.sh in-place [NOTEBOOK...]   the notebooks themselves get the new outputs
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case $1 in
copies) output=(--output-dir "$root/target/notebooks") ;;
in-place) output=(--inplace) ;;
*) fail "'$1' is neither copies nor in-place." ;;
esac

# Two runs at once would write the same files; the lock is one that no process can hold longer.
if [[ -z ${NOTEBOOKS_LOCK:-} ]]; then
    mkdir -p "$root/target"
    export NOTEBOOKS_LOCK=$root/target/notebooks.lock
    flock --nonblock "$NOTEBOOKS_LOCK" "$BASH" -c : || say "Waiting for another run of the notebooks to end"
    exec flock --close "$NOTEBOOKS_LOCK" "$BASH" "$0" "$@"
fi

export JUPYTER_PATH=$tools/share/jupyter
cd "$root/notebooks"
run() {
    say "Running $1 (about a minute)"
    local start=$SECONDS
    "$PYTHON_ENV/bin/python" -m nbconvert --config "$kernel/nbconvert_config.py" --log-level WARN \
        --to notebook --execute "${output[@]}" "$1" || fail "$1 failed, see above."
    say "$1 ran in $((SECONDS - start)) s"
}
how=$1
shift
(($#)) || set -- *.ipynb
running=()
for notebook; do
    if [[ $how == in-place || ${KERNEL_PLAIN:-0} != 0 ]]; then
        # One after the other: the times in their outputs are to be those of a machine that does nothing
        # else. Without the kernel's shortcuts only one kernel at a time finds the crate compiled.
        run "$notebook"
    else
        # What a shell starts in the background ignores Ctrl-C, unless it is told otherwise.
        (trap - INT && run "$notebook") &
        running+=($!)
    fi
done
failed=
for notebook in "${running[@]}"; do wait "$notebook" || failed=yes; done
[[ -z $failed ]]
