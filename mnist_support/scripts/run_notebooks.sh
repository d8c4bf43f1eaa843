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
for notebook in *.ipynb; do
    say "Running $notebook (a few minutes)"
    start=$SECONDS
    "$PYTHON_ENV/bin/python" -m nbconvert --config "$scripts/nbconvert_config.py" --log-level WARN \
        --to notebook --execute "${output[@]}" "$notebook" || fail "$notebook failed, see above."
    say "$notebook ran in $((SECONDS - start)) s"
done
