#!/usr/bin/env bash
# Runs every notebook from its first cell to its last, and fails if a cell fails.
# Usage: run_notebooks.sh copies     executed copies go to target/notebooks
#        run_notebooks.sh in-place   the committed notebooks get the new outputs
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
    "$PYTHON_ENV/bin/python" -m nbconvert --config "$scripts/nbconvert_config.py" --log-level WARN \
        --to notebook --execute "${output[@]}" "$1" || fail "$1 failed, see above."
    say "$1 ran in $((SECONDS - start)) s"
}
running=()
for notebook in *.ipynb; do
    if [[ $1 == in-place ]]; then
        # One after the other: the times in their outputs are to be those of a machine that does nothing else.
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
