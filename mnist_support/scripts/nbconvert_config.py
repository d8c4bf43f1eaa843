"""Settings for `jupyter nbconvert --execute`: a cell that fails fails the run.

evcxr reports a cell that does not compile as an error, but a panic, or an `Err` that `?` returns,
only as text on stderr. So a cell of ours may not write there at all.
"""

from nbclient.exceptions import CellExecutionError


def fail_on_stderr(cell, cell_index, execute_reply):
    text = "".join(
        output["text"]
        for output in cell.get("outputs", [])
        if output["output_type"] == "stream" and output["name"] == "stderr"
    )
    if text:
        where = f"Cell {cell_index} wrote to stderr, as a panic or an Err does:\n"
        raise CellExecutionError(where + cell["source"] + "\n" + text, "stderr", text.strip())


c = get_config()  # noqa: F821, jupyter defines it
c.ExecutePreprocessor.on_cell_executed = fail_on_stderr
# Training takes a while. The crate itself is compiled before, so a cell that takes longer hangs.
c.ExecutePreprocessor.timeout = 1800
c.ExecutePreprocessor.startup_timeout = 300
