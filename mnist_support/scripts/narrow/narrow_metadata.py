"""Runs `cargo metadata` and leaves out the crates that no cell can see.

evcxr asks rust-analyzer for the types of variables, and rust-analyzer reads the sources of every
crate that `cargo metadata` names. Of the 200 below mnist_support cells see a dozen; the others
only cost memory (1.9 GB rather than 0.6) and seconds at the kernel's start. Crates that a notebook
adds by `:dep` itself stay, with all that they depend on.

Usage: narrow_metadata.py CARGO metadata ...
"""

import json
import subprocess
import sys

# The crate, what it re-exports, and where the types of those are defined.
SEEN = {
    "mnist_support_notebook", "mnist_support", "bytes", "ndarray", "plotters", "plotters-backend",
    "polars", "polars-core", "polars-error", "polars-io", "polars-ops", "polars-utils", "tch",
}
# The root package of a kernel's workspace, which only keeps the locked versions.
UNSEEN_ROOT = "locked_versions"


def narrow(metadata):
    names = {package["id"]: package["name"] for package in metadata["packages"]}
    dependencies = {node["id"]: node["dependencies"] for node in metadata["resolve"]["nodes"]}
    kept = set()
    waiting = list(metadata["workspace_members"])
    while waiting:
        crate = waiting.pop()
        if crate in kept:
            continue
        kept.add(crate)
        below = [] if names[crate] == UNSEEN_ROOT else dependencies[crate]
        if names[crate] in SEEN:
            below = [dependency for dependency in below if names[dependency] in SEEN]
        waiting += below

    metadata["packages"] = [package for package in metadata["packages"] if package["id"] in kept]
    nodes = [node for node in metadata["resolve"]["nodes"] if node["id"] in kept]
    for node in nodes:
        node["dependencies"] = [crate for crate in node["dependencies"] if crate in kept]
        node["deps"] = [dependency for dependency in node["deps"] if dependency["pkg"] in kept]
    metadata["resolve"]["nodes"] = nodes


def main():
    done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE)
    output = done.stdout
    if done.returncode == 0:
        metadata = json.loads(output)
        # Rust's own library, and calls with --no-deps, are left as they are.
        if metadata.get("resolve") and any(p["name"] in SEEN for p in metadata["packages"]):
            narrow(metadata)
            output = json.dumps(metadata).encode()
    sys.stdout.buffer.write(output)
    sys.exit(done.returncode)


main()
