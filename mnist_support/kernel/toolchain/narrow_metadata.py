"""Runs `cargo metadata` and leaves out the crates that no cell can see.

evcxr asks rust-analyzer for the types of variables, and rust-analyzer reads the sources of every
crate that `cargo metadata` names. Of the 200 below mnist_support cells see a dozen; the others
only cost memory (1.9 GB rather than 0.6) and seconds at the kernel's start. Crates that a notebook
adds by `:dep` itself stay, with all that they depend on.

Usage: narrow_metadata.py ANSWER CARGO metadata ...
The answer is printed, and kept in the file ANSWER if the notebook has no crates of its own; in
ANSWER.sources are the manifests that it names.
"""

import json
import os
import subprocess
import sys

# The crate, what it re-exports, and where the types of those are defined.
SEEN = {
    "mnist_support_notebook", "mnist_support", "bytes", "ndarray", "plotters", "plotters-backend",
    "polars", "polars-core", "polars-error", "polars-io", "polars-ops", "polars-utils", "tch",
}
# The root package of a kernel's workspace, which only keeps the locked versions.
UNSEEN_ROOT = "locked_versions"
# What a notebook may depend on whose answer is kept: the versions below it are locked.
LOCKED = {"mnist_support_notebook"}


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


def has_no_crates_of_its_own(metadata):
    members = set(metadata["workspace_members"])
    return all(
        dependency["name"] in LOCKED
        for package in metadata["packages"]
        if package["id"] in members
        for dependency in package["dependencies"]
    )


def keep(answer, output, metadata):
    """Each file is there whole or not at all: another process may ask the same at this moment."""
    sources = "".join(package["manifest_path"] + "\n" for package in metadata["packages"])
    for path, content in [(answer + ".sources", sources.encode()), (answer, output)]:
        new = f"{path}.{os.getpid()}"
        with open(new, "wb") as file:
            file.write(content)
        os.replace(new, path)


def main():
    answer, command = sys.argv[1], sys.argv[2:]
    done = subprocess.run(command, stdout=subprocess.PIPE)
    output = done.stdout
    if done.returncode == 0:
        metadata = json.loads(output)
        # Rust's own library, and calls with --no-deps, are left as they are.
        if metadata.get("resolve") and any(p["name"] in SEEN for p in metadata["packages"]):
            narrow(metadata)
            output = json.dumps(metadata).encode()
        # What Rust's own library is made of changes with the toolchain only.
        is_library = metadata["workspace_root"] == os.environ.get("RUST_SRC_PATH")
        if is_library or has_no_crates_of_its_own(metadata):
            keep(answer, output, metadata)
    sys.stdout.buffer.write(output)
    sys.exit(done.returncode)


main()
