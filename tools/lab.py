"""JupyterLab with a small notebook in headless Chromium: for tests of the widgets, and for pictures of them."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat

from cpt_utils.runtime.files import ROOT

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
NAMES = ("chromium", "chromium-browser", "google-chrome", MAC)


def chromium() -> str | None:
    """The browser's path, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def started(home: Path, cells: list[str]) -> Iterator[tuple[Path, str]]:
    """JupyterLab on this machine only, on a free port, with widgets.ipynb: its folder and address."""
    root, settings = home / "root", home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    quiet = '{"fetchNews": "false", "checkForUpdates": false}'
    (settings / "notification.jupyterlab-settings").write_text(quiet)
    root.mkdir()
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata=kernel)
    nbformat.write(notebook, root / "widgets.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open(home / "lab.log", "wb") as log:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyterlab",
                "--no-browser",
                "--allow-root",
                "--ServerApp.ip=127.0.0.1",
                f"--ServerApp.port={port}",
                "--ServerApp.port_retries=0",
                "--IdentityProvider.token=",
                f"--ServerApp.root_dir={root}",
                "--LabApp.expose_app_in_browser=True",
                "--LabApp.extension_manager=readonly",
            ],
            cwd=root,
            env=_environment(home),
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(address + "/api"), 60, lambda: (home / "lab.log").read_text()[-2000:])
        yield root, address
    finally:
        server.terminate()
        server.wait(20)


def _environment(home: Path) -> dict[str, str]:
    """This one's, with all that Jupyter and the series write in `home`."""
    jupyter = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    own = {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "PYTHONPATH": path, "CPT_RUNS": str(home / "runs")}
    return os.environ | jupyter | own | {"IPYTHONDIR": str(home / "ipython"), "OMP_NUM_THREADS": "1"}


def _answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except OSError:
        return False


@contextlib.contextmanager
def opened(address: str, width: int, height: int, scale: float = 1) -> Iterator:
    """The notebook as a page of Playwright, alone on the screen, with a kernel."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=scale)
        page.set_default_timeout(20_000)
        page.goto(f"{address}/lab/tree/widgets.ipynb")
        kernel = "window.jupyterapp?.shell?.currentWidget?.context?.sessionContext?.session?.kernel"
        page.wait_for_function(kernel)
        command(page, "application:set-mode", "{mode: 'single-document'}")
        page.evaluate("window.jupyterapp.shell.collapseLeft()")
        yield page
        browser.close()


def command(page, name: str, arguments: str = "{}") -> None:
    """Have JupyterLab carry out one of its commands."""
    page.evaluate(f"window.jupyterapp.commands.execute('{name}', {arguments})")


def until(true, seconds: float, say=lambda: ""):
    """Wait until a function gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, f"not within {seconds} s. {say()}"
        time.sleep(0.1)
    return value
