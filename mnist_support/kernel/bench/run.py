"""Runs one notebook on one kernel and prints, as JSON, how long each cell took less its own code.

Usage: run.py NOTEBOOK KERNEL [DEPENDENCY]
KERNEL is the program that starts a kernel. DEPENDENCY replaces the value of `:dep mnist_support = `
in the first cell.

A cell's own code runs from its first statement until its variables are dropped or stored. A macro call in
front of it measures that. The rest of the time is overhead for the user: type analysis, compiling,
linking, loading. Training runs are shortened to a few steps: their code is the same, and their time is
not what is measured.
"""

import asyncio
import ctypes
import json
import os
import re
import resource
import sys
import time
from queue import Empty

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

# Added to the first cell. Not a `let` in the cell itself, which the kernel would store.
CLOCK = """
struct CellClock(std::time::Instant);
impl Drop for CellClock {
    fn drop(&mut self) { println!("own code: {} ns", self.0.elapsed().as_nanos()); }
}
macro_rules! cell_clock { () => { let _clock = CellClock(std::time::Instant::now()); } }
"""
OWN_CODE = re.compile(r"^own code: (\d+) ns$", re.MULTILINE)
SHORTER = [(r"\.iterations\(\d+\)", ".iterations(20)"), (r"\bepochs = \d+;", "epochs = 1;")]
LATE_OUTPUT_SECONDS = 10


class Load:
    """Measures how many cores other processes use while this one and its children run."""

    PR_SET_CHILD_SUBREAPER = 36

    def __init__(self):
        # A cell's process outlives its kernel for a moment, and must then become this process's child.
        ctypes.CDLL(None, use_errno=True).prctl(self.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.begin = time.monotonic()
        self.busy = self.all_processors()
        self.own = self.this_process()

    @staticmethod
    def all_processors():
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
        return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def this_process():
        return sum(
            usage.ru_utime + usage.ru_stime
            for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )

    def others(self):
        """Returns the load, once all children have exited."""
        while True:
            try:
                os.wait()
            except ChildProcessError:
                break
        wall = time.monotonic() - self.begin
        others = self.all_processors() - self.busy - (self.this_process() - self.own)
        return max(0.0, others / wall)


class Run:
    def __init__(self, notebook, kernel):
        self.notebook = nbformat.read(notebook, as_version=4)
        manager = AsyncKernelManager()
        manager._kernel_spec = KernelSpec(
            argv=[kernel, "{connection_file}"], language="rust", interrupt_mode="message"
        )
        folder = os.path.dirname(os.path.abspath(notebook))
        self.client = NotebookClient(
            self.notebook,
            km=manager,
            timeout=1800,
            startup_timeout=600,
            resources={"metadata": {"path": folder}},
        )

    def prepare(self, dependency):
        """Adds the clock to the cells, and returns their indices."""
        indices = [i for i, cell in enumerate(self.notebook.cells) if cell.cell_type == "code"]
        first, *others = (self.notebook.cells[i] for i in indices)
        if dependency:
            first.source, found = re.subn(
                r"(?m)^(:dep mnist_support = ).*$", lambda match: match[1] + dependency, first.source
            )
            assert found == 1, "the first cell names the crate once"
        first.source += CLOCK
        for cell in others:
            for pattern, replacement in SHORTER:
                cell.source = re.sub(pattern, replacement, cell.source)
            cell.source = "cell_clock!();\n" + cell.source
        return indices

    async def measure(self, dependency):
        first, *others = self.prepare(dependency)
        begin = time.perf_counter()
        await self.client.async_start_new_kernel()
        try:
            await self.client.async_start_new_kernel_client()
            result = {"ready": time.perf_counter() - begin, "cells": [], "failed": []}
            result["dependency"] = await self.execute(first)
            for index in others:
                try:
                    total = await self.execute(index)
                    result.setdefault("start", time.perf_counter() - begin)
                    own = await self.own_code(index)
                except (CellExecutionError, RuntimeError) as error:
                    # With static linking, every cell has its own statics, including polars' hash seeds:
                    # a frame made by one cell may not find its columns in another.
                    if not dependency:
                        raise
                    result["failed"].append({"cell": index, "reason": str(error)})
                    continue
                result["cells"].append({"cell": index, "total": total, "own": own})
            return result
        finally:
            await self.client.km.shutdown_kernel()

    async def execute(self, index):
        cell = self.notebook.cells[index]
        cell.outputs = []
        begin = time.perf_counter()
        await self.client.async_execute_cell(cell, index)
        return time.perf_counter() - begin

    async def own_code(self, index):
        """Waits for the last lines of a cell: evcxr reports its end before it has sent them all."""
        cell = self.notebook.cells[index]
        deadline = time.monotonic() + LATE_OUTPUT_SECONDS
        while True:
            streams = [output for output in cell.outputs if output.output_type == "stream"]
            said = {name: "".join(o.text for o in streams if o.name == name) for name in ("stdout", "stderr")}
            if said["stderr"]:
                raise RuntimeError(f"cell {index} failed:\n{said['stderr']}")
            if found := OWN_CODE.search(said["stdout"]):
                return int(found[1]) / 1e9
            try:
                message = await self.client.kc.get_iopub_msg(timeout=deadline - time.monotonic())
            except Empty:
                raise RuntimeError(f"cell {index} did not say how long its code took") from None
            self.client.process_message(message, cell, index)


def main():
    notebook, kernel, *dependency = sys.argv[1:]
    load = Load()
    run = Run(notebook, kernel)
    result = asyncio.run(run.measure(dependency[0] if dependency else None))
    result["other_load"] = load.others()
    print(json.dumps(result))


main()
