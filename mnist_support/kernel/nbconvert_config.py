"""Settings for `jupyter nbconvert --execute`, so that no output is lost and no failure passes.

evcxr says that a cell is done without waiting for the last lines that it printed, and reports a
panic, or an `Err` that `?` returns, only as text on stderr: to Jupyter that cell has succeeded.
So here a cell is done when its output has been quiet for a moment, and one of our cells may not
write to stderr.
"""

from queue import Empty

from jupyter_core.utils import run_sync
from nbclient.exceptions import CellExecutionError
from nbconvert.preprocessors import ExecutePreprocessor

QUIET_SECONDS = 0.25


class ExecuteRustPreprocessor(ExecutePreprocessor):
    async def async_execute_cell(self, cell, cell_index, execution_count=None, store_history=True):
        try:
            cell = await super().async_execute_cell(cell, cell_index, execution_count, store_history)
            if cell.cell_type == "code":
                await self.take_late_output(cell, cell_index)
        except CellExecutionError as error:
            raise failure(cell, cell_index) from error
        if any(is_stream(output, "stderr") for output in cell.get("outputs", [])):
            raise failure(cell, cell_index)
        return cell

    execute_cell = run_sync(async_execute_cell)

    async def take_late_output(self, cell, cell_index):
        while True:
            try:
                message = await self.kc.get_iopub_msg(timeout=QUIET_SECONDS)
            except Empty:
                break
            # Whether the kernel is busy is settled.
            if message["header"]["msg_type"] != "status":
                self.process_message(message, cell, cell_index)
        cell.outputs = joined(cell.outputs)


def is_stream(output, name):
    return output["output_type"] == "stream" and output["name"] == name


def joined(outputs):
    """Makes one output of lines that follow each other: evcxr sends each on its own."""
    result = []
    for output in outputs:
        if result and output["output_type"] == "stream" and is_stream(result[-1], output["name"]):
            result[-1]["text"] += output["text"]
        else:
            result.append(output)
    return result


def failure(cell, cell_index):
    said = []
    for output in cell.get("outputs", []):
        if is_stream(output, "stderr"):
            said.append(output["text"])
        elif output["output_type"] == "error":
            said += [output["evalue"], *output["traceback"]]
    return CellExecutionError(
        f"Cell {cell_index} failed:\n{cell['source']}\n" + "\n".join(said), "Rust", said[0] if said else ""
    )


c = get_config()  # noqa: F821, jupyter defines it
c.NotebookExporter.default_preprocessors = [ExecuteRustPreprocessor]
# Training takes a while. The crate itself is compiled before, so a cell that takes longer hangs.
c.ExecutePreprocessor.timeout = 1800
c.ExecutePreprocessor.startup_timeout = 300
