"""A notebook in JupyterLab, used as a person would: menus, keys, toolbar buttons."""
import re

# In milliseconds. A cell may train, and the first one may compile. No assertion depends on it.
LONG = 900_000
SOON = 120_000

ERRORS = ", ".join(f'.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.{kind}"]'
                   for kind in ("error", "stderr"))
PICTURES = ".jp-OutputArea-output img, .jp-OutputArea-output svg"

# For each picture: its natural and its displayed size, and whether its corners are opaque.
DRAWN = """async picture => {
    if (picture.decode) await picture.decode();
    const shown = picture.getBoundingClientRect();
    const [width, height] = [picture.naturalWidth ?? shown.width, picture.naturalHeight ?? shown.height];
    const canvas = Object.assign(document.createElement('canvas'), {width, height});
    const context = canvas.getContext('2d');
    context.drawImage(picture, 0, 0, width, height);
    const corners = [[1, 1], [width - 2, 1], [1, height - 2], [width - 2, height - 2]];
    const opaque = corners.every(([x, y]) => context.getImageData(x, y, 1, 1).data[3] === 255);
    return {width, height, shown: Math.min(shown.width, shown.height), opaque};
}"""

RUN = """() => {
    const cells = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')];
    return cells.length > 0 && cells.every(
        cell => /^\\[\\d+\\]:$/.test(cell.querySelector('.jp-InputPrompt').textContent.trim()));
}"""


class Notebook:
    def __init__(self, context, lab, name, screenshots):
        self.page, self.name, self.screenshots = context.new_page(), name, screenshots
        self.page.set_default_timeout(SOON)
        # Its own workspace, so that no other notebook's tab is restored with it.
        self.page.goto(f"{lab.url}/lab/workspaces/{name}/tree/notebooks/{name}.ipynb?token={lab.token}")
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        self.wait_until_idle()

    def menu(self, *labels):
        first, *rest = [re.compile(f"^{re.escape(label)}$") for label in labels]
        self.page.locator(".lm-MenuBar-itemLabel", has_text=first).click()
        for label in rest:
            self.page.locator(".lm-Menu-itemLabel", has_text=label).click()

    def wait_until_idle(self):
        # Only the status bar distinguishes an idle kernel from one that has not started yet, for
        # which JupyterLab would ask at the first cell.
        self.page.locator("#jp-main-statusbar").get_by_text("Rust | Idle").wait_for(timeout=LONG)

    def run_all(self):
        self.menu("Run", "Run All Cells")
        try:
            self.page.wait_for_function(RUN, timeout=LONG)
        except Exception as error:
            raise AssertionError(f"the cells stand at {self.prompts()}") from error
        self.wait_until_idle()

    def prompts(self):
        return self.page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt").all_inner_texts()

    def new_cell(self, code):
        """Appends a cell with this code, with the cursor at its end."""
        self.page.locator(".jp-Notebook-footer").click()
        cell = self.page.locator(".jp-Notebook .jp-CodeCell").last
        cell.locator(".cm-content").click()
        # Inserted at once: typed key by key, the editor would add brackets.
        self.page.keyboard.insert_text(code)
        return cell

    def begin(self, code):
        cell = self.new_cell(code)
        self.page.keyboard.press("Control+Enter")
        return cell

    def run(self, code):
        """Runs a cell and waits for its end. Its output may arrive a little later."""
        cell = self.begin(code)
        cell.locator(".jp-InputPrompt", has_text=re.compile(r"\[\d+\]:")).wait_for(timeout=LONG)
        self.wait_until_idle()
        return cell

    def hears(self, cell, words, limit=SOON):
        """Waits until a line of a cell's output contains these words, and returns that line."""
        output = cell.locator(".jp-OutputArea-output")
        try:
            output.filter(has_text=words).first.wait_for(timeout=limit)
        except Exception as error:
            raise AssertionError(f"no {words!r} in {output.all_inner_texts()}") from error
        lines = "\n".join(output.all_inner_texts()).splitlines()
        return next((line.strip() for line in lines if words in line), words)

    def press_stop(self):
        self.page.locator('.jp-NotebookPanel-toolbar [data-jp-item-name="interrupt"] jp-button').click()

    def errors(self):
        return self.page.locator(ERRORS).all_inner_texts()

    def pictures(self):
        return self.page.locator(PICTURES).all()

    def theme(self, name):
        self.menu("Settings", "Theme", f"JupyterLab {name.capitalize()}")
        light = "true" if name == "light" else "false"
        # The body has no height of its own, so it never counts as visible.
        self.page.wait_for_selector(f'body[data-jp-theme-light="{light}"]', state="attached")
        # The theme's style sheet is loaded and takes effect a moment later.
        self.page.wait_for_load_state("networkidle")
        self.page.wait_for_timeout(500)

    def shot(self, what, theme, of=None):
        """Saves a screenshot of the page, or of part of it, to `screenshots`."""
        path = self.screenshots / f"{self.name}-{what}-{theme}.png"
        (of or self.page).screenshot(path=str(path))

    def in_both_themes(self, what, of):
        for theme in ("dark", "light"):
            self.theme(theme)
            of.scroll_into_view_if_needed()
            self.shot(what, theme, of)
