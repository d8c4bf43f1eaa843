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
shift
(($#)) || set -- *.ipynb
for notebook; do
    say "Running $notebook (a few minutes)"
    start=$SECONDS
    "$PYTHON_ENV/bin/python" -m nbconvert --config "$kernel/nbconvert_config.py" --log-level WARN \
        --to notebook --execute "${output[@]}" "$notebook" || fail "$notebook failed, see above."
    say "$notebook ran in $((SECONDS - start)) s"
done
