"""Runs both notebooks in a real browser and uses them as a person would. Run by tests/browser.rs.

    drive.py ROOT PYTHON CHROMIUM

ROOT is the repository, PYTHON has JupyterLab, CHROMIUM is the browser's executable. Screenshots go to
ROOT/target/screenshots.
"""
import json
import shutil
import signal
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from lab import browser, die_with_parent, jupyterlab
from notebook import DRAWN, LONG, Notebook

# In seconds. Left alone, the fit would take hours.
STOP = 120


def pictures_of(path):
    """Returns the number of pictures in the outputs of a notebook that has been run."""
    cells = json.loads(path.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    html = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
    return sum(text.count("<img") for text in html)


def every_picture_is_drawn_and_no_error_shown(notebook, expected):
    assert notebook.errors() == [], notebook.errors()
    deadline = time.monotonic() + STOP
    # evcxr reports the end of a cell a moment before its last output arrives.
    while len(notebook.pictures()) < expected and time.monotonic() < deadline:
        notebook.page.wait_for_timeout(200)
    pictures = notebook.pictures()
    assert len(pictures) == expected, f"{len(pictures)} pictures, not {expected}"
    for number, picture in enumerate(pictures, 1):
        picture.scroll_into_view_if_needed()
        drawn = picture.evaluate(DRAWN)
        assert min(drawn["width"], drawn["height"], drawn["shown"]) > 0, f"picture {number}: {drawn}"
        # Dark ink, on a page that may be dark.
        assert drawn["opaque"], f"picture {number} has no background of its own: {drawn}"
    for theme in ("dark", "light"):
        notebook.theme(theme)
        for number, picture in enumerate(pictures, 1):
            cell = picture.locator("xpath=ancestor::*[contains(@class, 'jp-Cell ')]")
            notebook.shot(f"picture-{number}", theme, cell)
    assert notebook.errors() == [], notebook.errors()
    print(f"{notebook.name}: {expected} pictures drawn, no error")


def tab_completes(notebook, theme):
    notebook.new_cell("train.")
    popup = notebook.page.locator(".jp-Completer:visible")
    notebook.page.keyboard.press("Tab")
    popup.wait_for()
    offered = popup.locator(".jp-Completer-item").all_inner_texts()
    for method in ("columns", "head", "num_classes", "collect"):
        assert any(method in item for item in offered), f"no {method} in {offered}"
    notebook.shot("tab", theme)
    print(f"Tab offers {len(offered)} completions of `train.`")
    leave(notebook)


def shift_tab_documents(notebook, theme):
    notebook.new_cell("train.head")
    tooltip = notebook.page.locator(".jp-Tooltip:visible")
    notebook.page.keyboard.press("Shift+Tab")
    tooltip.wait_for()
    text = " ".join(tooltip.inner_text().split())
    assert "pub fn head(&self, n: usize)" in text, text
    assert "Of a CSV just the beginning is read" in text, text
    notebook.shot("shift-tab", theme)
    print("Shift-Tab shows `head`'s documentation")
    leave(notebook)


def leave(notebook):
    """Closes any pop-up over the cell, and deletes the cell."""
    notebook.page.keyboard.press("Escape")
    notebook.page.keyboard.press("Escape")
    notebook.page.keyboard.press("d")
    notebook.page.keyboard.press("d")


def mistakes_read_well(notebook):
    cell = notebook.run('let seven: i32 = "seven";')
    print("a compile error: " + notebook.hears(cell, "mismatched types"))
    print("  " + notebook.hears(cell, "expected `i32`, found `&str`"))
    notebook.in_both_themes("compile-error", cell)

    cell = notebook.run('lake.csv("trian.csv")?.head(3)?')
    print("a wrong file name: " + notebook.hears(
        cell, "trian.csv was not found: there is no such file in the container or folder"))
    notebook.in_both_themes("wrong-file-name", cell)
    # Neither has lost a variable.
    notebook.hears(notebook.run("train.columns().len()"), "785")


FIT = """let network = CnnConfig {
    input_height: side,
    input_width: side,
    linear_channels: vec![128, 64, classes],
    ..CnnConfig::default()
}
.network()?;
let endless = TorchEstimator::new(network)
    .features_col("scaledFeatures")
    .partitions(2)
    .iterations(1_000_000)
    .validation_fraction(0.02)
    .validation_every(20)
    .verbose(2);
let model = Pipeline::new()
    .stage(VectorAssembler::new().input_cols(pixels.clone()).output_col("features"))
    .stage(MinMaxScaler::new().input_col("features").output_col("scaledFeatures"))
    .stage(endless)
    .fit(&train)?;"""


def stop_keeps_variables_and_shows_the_model_so_far(notebook):
    fit = notebook.begin(FIT)
    # So that the screenshot has something to show.
    notebook.hears(fit, "iteration      40/1000000", LONG)
    start = time.monotonic()
    notebook.press_stop()
    print(notebook.hears(fit, "stopped on request after iteration", 1000 * STOP))
    notebook.wait_until_idle()
    print(f"the fit has ended {time.monotonic() - start:.1f} s after Stop")
    notebook.in_both_themes("stop", fit)

    said = notebook.run("(model.report()?.interrupted, model.transform(&test)?.height(), pixels.len())")
    notebook.hears(said, "(true, 10000, 784)")
    before = len(notebook.pictures())
    curves = notebook.run('let report = model.report()?.clone();\n'
                          'loss_curves("iteration", &report.training_losses(), &report.validation_losses())?')
    curves.locator("img").wait_for()
    drawn = curves.locator("img").evaluate(DRAWN)
    assert len(notebook.pictures()) == before + 1 and drawn["width"] > 0, drawn
    notebook.in_both_themes("model-so-far", curves)


def traditional(notebook, expected):
    notebook.run_all()
    every_picture_is_drawn_and_no_error_shown(notebook, expected)


def distributed(notebook, expected):
    notebook.run_all()
    every_picture_is_drawn_and_no_error_shown(notebook, expected)
    for theme in ("dark", "light"):
        notebook.theme(theme)
        tab_completes(notebook, theme)
        shift_tab_documents(notebook, theme)
    mistakes_read_well(notebook)
    stop_keeps_variables_and_shows_the_model_so_far(notebook)


def drive(root, python, chromium, uses=(traditional, distributed)):
    folder, screenshots = root / "target/browser", root / "target/screenshots"
    shutil.rmtree(screenshots, ignore_errors=True)
    screenshots.mkdir(parents=True)
    with jupyterlab(root, python, folder) as lab, sync_playwright() as playwright, \
            browser(playwright, chromium, folder) as context:
        for use in uses:
            lab.end_kernels()
            notebook = Notebook(context, lab, use.__name__, screenshots)
            try:
                use(notebook, pictures_of(root / f"notebooks/{use.__name__}.ipynb"))
            except BaseException:
                notebook.shot("at-the-failure", "as-it-was")
                raise


if __name__ == "__main__":
    die_with_parent()
    # So that the blocks above stop what they have started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    drive(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
