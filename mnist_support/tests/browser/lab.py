"""Context managers for JupyterLab and a Chromium that shows it, each with its own home directory."""
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

# Time limits for starting and stopping on a busy machine.
PATIENCE = 120

SETTINGS = {
    # Otherwise a first start asks about news and checks for updates, in pop-ups over the notebook.
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # In milliseconds. By default JupyterLab stops waiting for the kernel after a second, and shows nothing.
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
    """Creates a project of symbolic links, except for the notebooks, which are copies without outputs."""
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
    """Returns this process's environment without the user's own settings, credentials or cluster."""
    foreign = ("JUPYTER", "XDG_", "ADLS_", "SPARK_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    # Rust's files are in the home directory, which is not passed on.
    rust = {name: kept.get(name, str(Path.home() / below)) for name, below in
            [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")]}
    return kept | rust | {
        "HOME": str(folder / "home"),
        # On a busy machine, libtorch's threads would spin while they wait for each other.
        "OMP_WAIT_POLICY": "PASSIVE",
        "JUPYTER_PATH": str(root / ".tools/share/jupyter"),
        # On the command line, anyone on this machine could read it.
        "JUPYTER_TOKEN": token,
    }


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def die_with_parent():
    """Makes the system kill this process when its parent exits, however that happens."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


class Lab:
    """A running JupyterLab."""

    def __init__(self, url, token):
        self.url, self.token = url, token

    def ask(self, path, method="GET"):
        """Calls the Jupyter server's REST API, `/api/...`."""
        request = urllib.request.Request(
            self.url + path, method=method, headers={"Authorization": "token " + self.token})
        # The loopback address must not go through the machine's proxy.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=PATIENCE) as response:
            return json.loads(response.read() or "null")

    def end_kernels(self):
        """Shuts down all kernels, so that the next notebook gets the one whose crates are compiled."""
        for kernel in self.ask("/api/kernels"):
            self.ask("/api/kernels/" + kernel["id"], "DELETE")


@contextmanager
def jupyterlab(root, python, folder):
    """JupyterLab with the Rust kernel, with its own port and token."""
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
    """Stops JupyterLab, which shuts down its kernels first. Kills both if that takes too long."""
    kernels = []
    try:
        kernels = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    except OSError:
        pass  # It has exited by itself.
    server.terminate()
    try:
        server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        # Each kernel is the leader of a process group.
        for group in [*map(int, kernels), server.pid]:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                pass
        server.wait()


@contextmanager
def browser(playwright, chromium, folder):
    """The machine's Chromium, headless and with an empty profile."""
    context = playwright.chromium.launch_persistent_context(
        str(folder / "chromium"), executable_path=chromium, headless=True, args=CHROMIUM_FLAGS,
        # The sandbox is not available to root, and the only page is our own.
        chromium_sandbox=os.geteuid() != 0, viewport={"width": 1280, "height": 900},
        timeout=1000 * PATIENCE)
    try:
        yield context
    finally:
        context.close()
