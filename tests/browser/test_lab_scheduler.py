"""A form makes a job of jupyter-scheduler, where that is installed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import jupyter_environment, keep_news_away, serving
from playwright.sync_api import Browser, Page, expect

from small_notebooks import cell, notebook

pytest.importorskip("jupyter_scheduler", reason="jupyter-scheduler is not installed")
TOKEN = "scheduler-tests"
WRITE = "import pathlib\npathlib.Path('told.txt').write_text(f'{seed} {name}')"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's root, beside a template of its own."""
    home = tmp_path_factory.mktemp("scheduler")
    (home / "templates").mkdir()
    (home / "notebooks" / "deep").mkdir(parents=True)
    parameters = 'seed: int = 0  # any\nname: str = "nobody"'
    made = notebook(parameters, cell("## Write", "markdown"), WRITE)
    made["metadata"]["kernel_lib"] = {"title": "Quick question"}
    (home / "templates" / "quick.ipynb").write_text(json.dumps(made))
    keep_news_away(home)
    settings = {"KernelLib": {"template_folders": [str(home / "templates")]}}
    (home / "config" / "jupyter_server_config.json").write_text(json.dumps(settings))
    return home / "notebooks"


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    arguments = [
        "jupyterlab",
        f"--ServerApp.root_dir={folder}",
        f"--IdentityProvider.token={TOKEN}",
        "--LabApp.expose_app_in_browser=True",
        "--allow-root",
    ]
    environment = jupyter_environment(folder.parent)
    log = folder.parent / "log.txt"
    with serving(arguments, environment, log, f"api?token={TOKEN}") as served:
        yield served


@pytest.fixture
def home(browser: Browser, url: str) -> Iterator[Page]:
    """JupyterLab; jupyter-scheduler complains of things of its own, so nobody listens."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto(f"{url}/lab/tree/deep?token={TOKEN}&reset")
    page.locator(".jp-LauncherCard", has_text="Quick question").wait_for(timeout=60_000)
    yield page
    page.context.close()


def test_a_form_becomes_a_job_that_runs(home: Page, folder: Path, screenshots: Path) -> None:
    home.locator(".jp-LauncherCard", has_text="Quick question").click()
    form = home.get_by_role("form", name="Quick question")
    form.get_by_label("Seed").fill("7")
    form.get_by_role("button", name="Schedule").click()
    job = home.get_by_role("tabpanel", name="Jobs")
    expect(job.get_by_label("Job name")).to_have_value("quick", timeout=20_000)
    expect(job.get_by_label("Input file")).to_have_value("deep/quick.ipynb")
    assert "seed: int = 7  # any" in (folder / "deep" / "quick.ipynb").read_text()
    home.screenshot(path=screenshots / "extension_schedule.png")
    job.get_by_role("button", name="Create", exact=True).click()
    row = job.get_by_role("row", name="quick.ipynb")
    row.wait_for()
    deadline = time.monotonic() + 90
    while "Completed" not in row.inner_text() and time.monotonic() < deadline:
        job.get_by_role("button", name="Reload").click()  # its list does not renew itself
        home.wait_for_timeout(1000)
    expect(row).to_contain_text("Completed")
    home.screenshot(path=screenshots / "extension_job.png")
    assert (folder / "deep" / "told.txt").read_text() == "7 nobody"
