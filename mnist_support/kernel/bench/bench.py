"""Measures the waiting time of notebook cells: this repository's kernel against stock evcxr
(KERNEL_PLAIN=1), which links the crate statically. Called by `make bench-cells`.

Usage: bench.py ROOT [ROUNDS]

Each round runs both notebooks on both kernels, in turn. A run of ours and the peer's run after it form a
pair. Two rows are written to target/bench.json, where each replaces the row with its name:
  cell    the median cell, less the time of its own code
  start   from the kernel's start to the result of the first cell with a `let`, with nothing to compile
          except the cells
Every cell's times are written to target/bench-cells.json.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

NOTEBOOKS = ["distributed", "traditional"]
# A pair in which other processes used more cores than this is run again, at most twice.
TOO_MUCH_LOAD = 0.15
TRIES = 3
# As a fraction of the peer's time, and the most seconds that ours may take.
CELL_RATIO, CELL_SECONDS = 1 / 0.55, 1.2
START_SECONDS = 12
AGAINST = "evcxr as it comes, the crate linked statically"


def measure(root, notebook, ours):
    kernel = root / "mnist_support/kernel"
    dependency = [] if ours else ['{ path = "../mnist_support" }']
    done = subprocess.run(
        [
            sys.executable,
            kernel / "bench/run.py",
            root / f"notebooks/{notebook}.ipynb",
            kernel / "start.sh",
            *dependency,
        ],
        stdout=subprocess.PIPE,
        check=True,
        env={
            **os.environ,
            "JUPYTER_PATH": str(root / ".tools/share/jupyter"),
            "KERNEL_PLAIN": "0" if ours else "1",
        },
    )
    return json.loads(done.stdout.splitlines()[-1])


def median_cell(run):
    return statistics.median(cell["total"] - cell["own"] for cell in run["cells"])


def pair_of(root, notebook):
    for _ in range(TRIES):
        ours, peer = measure(root, notebook, True), measure(root, notebook, False)
        load = max(ours["other_load"], peer["other_load"])
        print(
            f"{notebook}: cell {median_cell(ours):.2f} s against {median_cell(peer):.2f}, "
            f"start {ours['start']:.1f} s against {peer['start']:.1f}, others took {load:.2f} cores",
            flush=True,
        )
        if load <= TOO_MUCH_LOAD:
            break
        print("Other processes took too much in this pair.", flush=True)
    return {"notebook": notebook, "ours": ours, "peer": peer, "other_load": load}


def failures(pairs):
    """Returns a note for each notebook with cells that fail under static linking."""
    failed = {}
    for pair in pairs:
        cells = failed.setdefault(pair["notebook"], set())
        cells.update(failure["cell"] for failure in pair["peer"]["failed"])
    return [
        f"linked statically, cells {', '.join(map(str, sorted(cells)))} of {notebook}.ipynb fail and do "
        "not count (target/bench-cells.json has the reasons)"
        for notebook, cells in failed.items()
        if cells
    ]


def row(name, pairs, seconds, value):
    values = [
        {
            "ours": value(pair["ours"]),
            "peer": value(pair["peer"]),
            "ratio": value(pair["peer"]) / value(pair["ours"]),
            "other_load": pair["other_load"],
        }
        for pair in pairs
    ]

    def of(key):
        return [one[key] for one in values]

    ours, ratio = statistics.median(of("ours")), statistics.median(of("ratio"))
    target = CELL_RATIO if name == "cell" else None
    disturbed = sum(load > TOO_MUCH_LOAD for load in of("other_load"))
    return {
        "name": name,
        "ours": ours,
        "peer": statistics.median(of("peer")),
        "unit": "s",
        "ratio": ratio,
        "runs": len(values),
        "other_load": max(of("other_load")),
        "target": target,
        "reached": ours <= seconds and (target is None or ratio >= target),
        "against": AGAINST,
        "ours_range": [min(of("ours")), max(of("ours"))],
        "peer_range": [min(of("peer")), max(of("peer"))],
        "ratio_range": [min(of("ratio")), max(of("ratio"))],
        "pairs": values,
        "notes": [f"ours may take {seconds} s"]
        + ([f"{disturbed} of the pairs were disturbed"] if disturbed else [])
        + failures(pairs),
    }


def write(path, value):
    part = path.with_suffix(".json.part")
    part.write_text(json.dumps(value, indent=2))
    part.replace(path)


def save(path, rows):
    """Replaces rows by name. The others keep their places."""
    there = json.loads(path.read_text()) if path.exists() else []
    new = {row["name"]: row for row in rows}
    merged = [new.pop(row["name"], row) for row in there]
    write(path, merged + list(new.values()))


def table(rows):
    line = "{:<6} {:>8} {:>8} {:>7}  {:<16} {}"
    print(line.format("row", "ours", "theirs", "ratio", "range of ratios", "reached"))
    for row in rows:
        low, high = row["ratio_range"]
        seconds = (f"{row[side]:.2f} s" for side in ("ours", "peer"))
        ratios = (f"{row['ratio']:.2f}", f"{low:.2f} to {high:.2f}")
        print(line.format(row["name"], *seconds, *ratios, "yes" if row["reached"] else "no"))
    for row in rows:
        print(
            f"{row['name']}: {row['runs']} pairs against {row['against']}; other processes took at "
            f"most {row['other_load']:.2f} of a core; {'; '.join(row['notes'])}"
        )


def main():
    root = Path(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    print("Starting each kernel once, so that nothing is left to be compiled but cells", flush=True)
    for ours in (True, False):
        measure(root, NOTEBOOKS[0], ours)
    pairs = [pair_of(root, notebook) for _ in range(rounds) for notebook in NOTEBOOKS]
    rows = [
        row("cell", pairs, CELL_SECONDS, median_cell),
        row("start", pairs, START_SECONDS, lambda run: run["start"]),
    ]
    write(root / "target/bench-cells.json", pairs)
    save(root / "target/bench.json", rows)
    table(rows)


if __name__ == "__main__":
    main()
