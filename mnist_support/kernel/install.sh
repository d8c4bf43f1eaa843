#!/usr/bin/env bash
# Tells Jupyter about the Rust kernel: in .tools, where JUPYTER_PATH points, and in the Python
# environment, for a Jupyter that is started there by hand.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

one_at_a_time "$@"
folder=$tools/share/jupyter/kernels/rust
# The logos, and the version.txt without which evcxr would write its own kernel.json at each start.
JUPYTER_PATH=$tools/share/jupyter "$tools/bin/evcxr_jupyter" --install >/dev/null

"$PYTHON_ENV/bin/python" - "$kernel/start.sh" "$PYTHON_ENV/bin/python" \
    >"$folder/kernel.json" <<'PYTHON'
import json, sys

kernel = {
    "argv": [sys.argv[1], "{connection_file}", sys.argv[2]],
    "display_name": "Rust",
    "language": "rust",
    # A message would make evcxr end the process of the cells, and with it all variables.
    "interrupt_mode": "signal",
}
json.dump(kernel, sys.stdout, indent=2)
PYTHON

installed=$PYTHON_ENV/share/jupyter/kernels/rust
mkdir -p "$installed"
cp "$folder"/* "$installed/"
