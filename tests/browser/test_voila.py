"""The widget in Voila, which runs the notebook and shows its outputs as a page."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import nbformat
from notebooks import CASCADE
from playwright.sync_api import Page, expect


def test_it_steps_in_voila(
    page: Page,
    voila: Callable[[Path], AbstractContextManager[str]],
    tmp_path: Path,
    screenshots: Path,
) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CASCADE)])
    path = tmp_path / "cascade.ipynb"
    nbformat.write(notebook, path)
    with voila(path) as url:
        page.goto(url)
        slider = page.locator(".kernel-cascade").get_by_role("slider")
        slider.wait_for(timeout=90_000)
        slider.press("End")
        expect(slider).to_have_attribute("aria-valuenow", "4")
        page.wait_for_timeout(400)
        page.screenshot(path=screenshots / "voila.png", full_page=True)
        page.goto("about:blank")  # leave before the server does
