"""Fixtures of the browser tests: a browser, pages that may not complain, and a JupyterLab."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_TOKEN = "browser-tests"
# Voila would load every extension that is installed, also those that do not work in it.
_NO_OTHER_EXTENSIONS = [
    "--VoilaConfiguration.extension_allowlist=@jupyter-widgets/jupyterlab-manager",
    "--VoilaConfiguration.extension_allowlist=@voila-dashboards/widgets-manager8",
    "--VoilaConfiguration.extension_allowlist=anywidget",
]
_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def browser_path() -> str:
    """The browser named by KERNEL_LIB_BROWSER, or the first one that is installed."""
    named = os.environ.get("KERNEL_LIB_BROWSER")
    found = named or next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium or Chrome found; set KERNEL_LIB_BROWSER to its path")
    return found


@pytest.fixture(scope="session")
def browser(browser_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=browser_path, args=_QUIET)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page 1,280 pixels wide; the test fails if the page reports an error."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.extend(_complaint(message)))
    yield opened
    context.close()
    assert not errors, errors


def _complaint(message: ConsoleMessage) -> list[str]:
    """Errors of ours. Voila's page asks a far server for fonts, which need not be reachable."""
    host = urlparse(message.location["url"]).hostname
    far = message.text.startswith("Failed to load resource") and host not in (None, "127.0.0.1")
    return [f"{message.text} ({message.location})"] if message.type == "error" and not far else []


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """Where pictures go, to be looked at: KERNEL_LIB_SCREENSHOTS, or a temporary folder."""
    named = os.environ.get("KERNEL_LIB_SCREENSHOTS")
    folder = Path(named) if named else tmp_path / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass
class Server:
    """A running Jupyter server with folders of its own."""

    url: str
    token: str
    folder: Path  # the notebooks
    environment: dict[str, str] = field(repr=False)

    @property
    def data_dir(self) -> Path:
        return Path(self.environment["JUPYTER_DATA_DIR"])

    def lab_url(self, notebook: str) -> str:
        return f"{self.url}/lab/tree/{notebook}?token={self.token}&reset"


@pytest.fixture(scope="session")
def jupyter_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A JupyterLab on a free port that shares no setting with the person's own."""
    home = tmp_path_factory.mktemp("jupyter")
    folder = home / "notebooks"
    folder.mkdir()
    environment = jupyter_environment(home)
    keep_news_away(home)
    arguments = [
        "jupyterlab",
        f"--ServerApp.root_dir={folder}",
        f"--IdentityProvider.token={_TOKEN}",
        "--ServerApp.port_retries=0",
        "--LabApp.expose_app_in_browser=True",
        "--allow-root",
    ]
    with serving(arguments, environment, home / "log.txt", f"api?token={_TOKEN}") as url:
        yield Server(url, _TOKEN, folder, environment)


@pytest.fixture
def voila(tmp_path: Path) -> Callable[[Path], AbstractContextManager[str]]:
    """Serve one notebook as an app: `with voila(path) as url`."""
    pytest.importorskip("voila")

    def serve(notebook: Path) -> AbstractContextManager[str]:
        arguments = ["voila", str(notebook), "--Voila.ip=127.0.0.1", *_NO_OTHER_EXTENSIONS]
        return serving(arguments, jupyter_environment(tmp_path), tmp_path / "log.txt", "static/")

    return serve


@contextmanager
def serving(
    arguments: list[str], environment: dict[str, str], log: Path, ready: str
) -> Iterator[str]:
    """Run a Jupyter program on a free port until the block ends, and stop it by its id."""
    port = _free_port()
    command = [sys.executable, "-m", *arguments, f"--port={port}", "--no-browser"]
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            _wait_for(f"{url}/{ready}", process, log)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                # A Jupyter server that is stopped while a kernel starts, as when a test fails at
                # that moment, waits for ever for a thread of its own, with or without us.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def jupyter_environment(home: Path) -> dict[str, str]:
    """The environment of a Jupyter whose settings, data and run files lie under `home`."""
    own = {
        f"JUPYTER_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")
    }
    paths = [_ROOT, _ROOT / "widgets", _ROOT / "tests" / "widgets"]
    return (
        os.environ
        | own
        | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "JUPYTER_PLATFORM_DIRS": "1"}
    )


def keep_news_away(home: Path) -> None:
    """JupyterLab would ask whether to fetch news, in a box over the notebook."""
    overrides = home / "config" / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    overrides.write_text(json.dumps({"@jupyterlab/apputils-extension:notification": quiet}))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError:
            return  # it answers
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-4000:]}")
