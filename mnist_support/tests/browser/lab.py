"""JupyterLab and a Chromium that shows it, each with a home of its own, for as long as a block needs them."""
import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

# What starting and ending may take on a busy machine.
PATIENCE = 120

SETTINGS = {
    # A first start would ask about news, look for a newer version, and show both above the notebook.
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # Milliseconds. After a second JupyterLab would not wait for the kernel any longer, and show nothing.
    "completer-extension/manager": {"providerTimeout": 120_000},
}

CHROMIUM_FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def lay_out(root, folder):
    """A project that consists of links, but for the notebooks: they are copies, without outputs."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "notebooks").mkdir(parents=True)
    (folder / "mnist_support").symlink_to(root / "mnist_support")
    for path in (root / "notebooks").glob("*.ipynb"):
        notebook = json.loads(path.read_text())
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell.update(outputs=[], execution_count=None)
        (folder / "notebooks" / path.name).write_text(json.dumps(notebook))
    for name, content in SETTINGS.items():
        settings = folder / f"home/.jupyter/lab/user-settings/@jupyterlab/{name}.jupyterlab-settings"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(json.dumps(content))


def environment(root, folder, token):
    """This process's, without what would bring in the user's own settings, credentials or cluster."""
    foreign = ("JUPYTER", "XDG_", "ADLS_", "SPARK_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    # Rust's own files lie below the home that is not handed on.
    rust = {name: kept.get(name, str(Path.home() / below)) for name, below in
            [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")]}
    return kept | rust | {
        "HOME": str(folder / "home"),
        # On a busy machine libtorch's threads would wait for one another by keeping each other busy.
        "OMP_WAIT_POLICY": "PASSIVE",
        "JUPYTER_PATH": str(root / ".tools/share/jupyter"),
        # On the command line everybody on this machine could read it.
        "JUPYTER_TOKEN": token,
    }


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def die_with_parent():
    """The system ends this process when its parent ends, however that comes about."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


class Lab:
    """How to reach a JupyterLab that runs."""

    def __init__(self, url, token):
        self.url, self.token = url, token

    def ask(self, path, method="GET"):
        """What its REST interface answers, the Jupyter server's `/api/...`."""
        request = urllib.request.Request(
            self.url + path, method=method, headers={"Authorization": "token " + self.token})
        # The machine's proxy has no business with the loopback address.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=PATIENCE) as response:
            return json.loads(response.read() or "null")

    def end_kernels(self):
        """Ends all kernels, so that the next notebook gets the one whose crates are compiled."""
        for kernel in self.ask("/api/kernels"):
            self.ask("/api/kernels/" + kernel["id"], "DELETE")


@contextmanager
def jupyterlab(root, python, folder):
    """JupyterLab with the Rust kernel, on a port and with a token of its own."""
    lay_out(root, folder)
    token, port = secrets.token_urlsafe(24), free_port()
    command = [python, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
               f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}"]
    with open(folder / "jupyter.log", "wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment(root, folder, token), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
    try:
        lab = Lab(f"http://127.0.0.1:{port}", token)
        wait_for_answer(lab, server, folder / "jupyter.log")
        yield lab
    finally:
        end(server)


def wait_for_answer(lab, server, log):
    start = time.monotonic()
    while True:
        try:
            return lab.ask("/api/status")
        except (urllib.error.URLError, ConnectionError) as error:
            late = time.monotonic() - start > PATIENCE
            if late or server.poll() is not None:
                raise RuntimeError(f"JupyterLab did not start: {error}\n{log.read_text()}") from error
            time.sleep(0.2)


def end(server):
    """Ends JupyterLab, which ends its kernels first, and both by force where that takes too long."""
    kernels = []
    try:
        kernels = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    except OSError:
        pass  # It has ended by itself.
    server.terminate()
    try:
        server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        # Each kernel leads a process group.
        for group in [*map(int, kernels), server.pid]:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                pass
        server.wait()


@contextmanager
def browser(playwright, chromium, folder):
    """The machine's Chromium, without a window and without anybody's profile."""
    context = playwright.chromium.launch_persistent_context(
        str(folder / "chromium"), executable_path=chromium, headless=True, args=CHROMIUM_FLAGS,
        # Root may not use the sandbox, and the only page is our own.
        chromium_sandbox=os.geteuid() != 0, viewport={"width": 1280, "height": 900},
        timeout=1000 * PATIENCE)
    try:
        yield context
    finally:
        context.close()
