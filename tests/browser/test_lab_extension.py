"""The extension in a real JupyterLab: found, filled in, opened, run, cancelled, looked at."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import nbformat
import numpy as np
import pytest
from conftest import jupyter_environment, keep_news_away, serving
from playwright.sync_api import Browser, Locator, Page, expect

from small_notebooks import cell, notebook

TOKEN = "extension-tests"
QUICK = """
from typing import Literal
seed: int = 0  # seed of all that is drawn
mode: Literal["a", "b"] = "a"  # how it is done
layers: list[str] | None = None  # all layers when None
"""
SLOW = """
import time
for count in range(900):
    print("tick", count, flush=True)
    time.sleep(0.1)
"""
RANGES = {"kernel_lib": {"title": "Quick question", "parameters": {"seed": {"minimum": 0}}}}


class Lab:
    """A JupyterLab with templates of its own, which can be stopped and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "notebooks"
        self.folder.mkdir()
        self.environment = jupyter_environment(home)
        self.url = ""
        self._running = ExitStack()
        keep_news_away(home)
        templates = home / "templates"
        templates.mkdir()
        titles = {name: {"kernel_lib": {"title": name.title()}} for name in ("slow", "failing")}
        made = {
            "quick": notebook(QUICK, "seed * 2", metadata=RANGES),
            "slow": notebook(
                "n: int = 0", cell("## Wait", "markdown"), SLOW, metadata=titles["slow"]
            ),
            "failing": notebook(
                "n: int = 0", cell("## Divide", "markdown"), "1 / n", metadata=titles["failing"]
            ),
        }
        for name, content in made.items():
            (templates / f"{name}.ipynb").write_text(json.dumps(content))
        (templates / "broken.ipynb").write_text("{")
        settings = {"KernelLib": {"template_folders": [str(templates)], "max_runs": 1}}
        (home / "config" / "jupyter_server_config.json").write_text(json.dumps(settings))

    def start(self) -> None:
        arguments = [
            "jupyterlab",
            f"--ServerApp.root_dir={self.folder}",
            f"--IdentityProvider.token={TOKEN}",
            "--ServerApp.port_retries=0",
            "--LabApp.expose_app_in_browser=True",
            "--allow-root",
        ]
        running = serving(arguments, self.environment, self.home / "log.txt", f"api?token={TOKEN}")
        self.url = self._running.enter_context(running)

    def stop(self) -> None:
        self._running.close()

    def open(self, page: Page) -> None:
        """Open JupyterLab as it is for the first time."""
        page.goto(f"{self.url}/lab?token={TOKEN}&reset")
        page.locator(".jp-LauncherCard", has_text="Quick question").wait_for(timeout=60_000)

    def processes(self) -> list[Path]:
        return sorted((self.home / "data" / "kernel_lib" / "runs").glob("*/*/process.json"))

    def kill_runs(self) -> None:
        for file in self.processes():
            with contextlib.suppress(OSError, ValueError, KeyError):
                os.kill(json.loads(file.read_text())["pid"], signal.SIGKILL)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("extension"))
    made.start()
    yield made
    made.stop()
    made.kill_runs()


@pytest.fixture
def home(page: Page, lab: Lab) -> Iterator[Page]:
    """The Launcher of a JupyterLab that complains of nothing of ours."""
    told: list[str] = []
    page.on("console", lambda message: told.append(f"{message.text} {message.location['url']}"))
    lab.open(page)
    yield page
    assert not [each for each in told if "kernel-lib" in each or "kernel_lib" in each]


def card(page: Page, title: str) -> Locator:
    return page.locator(".jp-LauncherCard", has_text=title)


def form(page: Page, title: str) -> Locator:
    card(page, title).click()
    opened = page.get_by_role("form", name=title)
    opened.wait_for()
    return opened


def run_item(page: Page) -> Locator:
    return page.get_by_role("list", name="Runs").get_by_role("listitem").first


def test_the_launcher_has_a_card_for_each_template(home: Page, screenshots: Path) -> None:
    section = home.locator(".jp-Launcher-section", has_text="Model check-ups")
    for title in ("Saliency sanity checks", "Quick question", "Slow", "Failing", "All check-ups"):
        expect(section.locator(".jp-LauncherCard", has_text=title)).to_have_count(1)
    saliency = section.locator(".jp-LauncherCard", has_text="Saliency sanity checks")
    expect(saliency).to_have_attribute("title", re.compile("Do explanation maps depend"))
    home.screenshot(path=screenshots / "extension_launcher.png")


def test_the_gallery_shows_what_each_needs_and_what_is_broken(
    home: Page, screenshots: Path
) -> None:
    from kernel_lib.run.catalogue import template

    card(home, "All check-ups").click()
    saliency = home.get_by_role("listitem", name="Saliency sanity checks", exact=True)
    count = len(template("saliency_cascade").parameters)
    saliency.get_by_text(f"{count} parameters").click()
    expect(saliency).to_contain_text("explanation methods; empty takes all that fit the network")
    expect(home.get_by_role("region", name="Templates that cannot be read")).to_contain_text(
        "broken.ipynb"
    )
    home.screenshot(path=screenshots / "extension_gallery.png")
    saliency.get_by_role("button", name="ci", exact=True).click()
    opened = home.get_by_role("form", name="Saliency sanity checks")
    expect(opened.get_by_label("Preset")).to_have_value("ci")
    expect(opened.get_by_label("Epochs")).to_have_value("2")


def test_the_form_refuses_bad_values_in_words(home: Page, screenshots: Path) -> None:
    opened = form(home, "Saliency sanity checks")
    both = [opened.get_by_role("button", name=name) for name in ("Open notebook", "Run in the")]
    opened.get_by_label("Preset").select_option("demo")
    expect(opened.get_by_label("Num images")).to_have_value("20")
    for button in both:
        expect(button).to_be_enabled()
    opened.get_by_label("Num images").fill("0")
    expect(opened.get_by_role("alert")).to_have_text(
        "`num_images` must be at least 1. Received: num_images=0."
    )
    for button in both:
        expect(button).to_be_disabled()
    home.screenshot(path=screenshots / "extension_bad_value.png")
    opened.get_by_label("Num images").fill("")
    expect(opened.get_by_role("alert")).to_have_text("`num_images` needs a value.")
    opened.get_by_label("Num images").fill("3")
    expect(opened.get_by_role("alert")).to_have_count(0)
    opened.get_by_label("Epochs").fill("2.5")
    expect(opened.get_by_role("alert")).to_contain_text("`epochs` must be a whole number")
    described = opened.get_by_label("Epochs").get_attribute("aria-describedby")
    assert "root_epochs__error" in described.split()
    opened.get_by_label("Epochs").fill("2")
    for button in both:
        expect(button).to_be_enabled()


def test_names_are_suggested_and_files_are_picked(home: Page, lab: Lab) -> None:
    photos = lab.folder / "photos"
    photos.mkdir(exist_ok=True)
    opened = form(home, "Saliency sanity checks")
    names = opened.locator("#root_model-names option")
    expect(names.first).to_be_attached()
    assert "resnet20" in names.evaluate_all("options => options.map((each) => each.value)")
    opened.get_by_role("button", name="Choose a folder for Data").click()
    dialog = home.get_by_role("dialog")
    dialog.get_by_text("photos", exact=True).click()
    dialog.get_by_role("button", name="Select").click()
    expect(opened.get_by_label("Data", exact=True)).to_have_value("folder:photos")


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
def test_model_and_data_are_looked_at_before_a_run(home: Page, lab: Lab, screenshots: Path) -> None:
    import kernel_lib  # noqa: F401  (before TensorFlow, which the helper imports)
    from brightness import NAMES, brightness_images, brightness_network

    images = brightness_images(400)
    np.savez(lab.folder / "grey.npz", x=images.images, y=images.labels, class_names=list(NAMES))
    brightness_network(255.0).save(lab.folder / "grey.keras")
    opened = form(home, "Saliency sanity checks")
    look = opened.get_by_role("button", name="Check model and data")
    said = opened.get_by_role("region", name="Intake")
    opened.get_by_label("Data", exact=True).fill("npz:grey.npz")
    look.click()
    expect(said).to_contain_text("is trained in the run; the intake stands in its notebook")
    opened.get_by_label("Model", exact=True).fill("gone.keras")
    expect(said).to_contain_text("The values have changed since this check.")
    expect(look).to_be_enabled()
    look.click()
    expect(said).to_contain_text("There is no model file 'gone.keras'.")
    opened.get_by_label("Model", exact=True).fill("grey.keras")
    opened.get_by_label("Preprocessing", exact=True).fill("unit")
    look.press("Enter")
    expect(said.get_by_text("No verdict can stand")).to_be_visible(timeout=120_000)
    expect(said).to_contain_text("400 images, 4 classes: darkest, dark, light, lightest")
    expect(said).to_contain_text("the network has scores for 4 classes")
    expect(said.locator("code").first).to_have_text("preprocessing='bytes'")
    expect(look).to_be_enabled()
    details = said.locator("summary")
    details.press("Enter")
    expect(said.get_by_role("row", name="Fed as")).to_be_visible()
    said.scroll_into_view_if_needed()
    home.screenshot(path=screenshots / "extension_intake.png")


def test_open_makes_a_filled_notebook_whose_first_cells_run(
    home: Page, lab: Lab, screenshots: Path
) -> None:
    opened = form(home, "Saliency sanity checks")
    opened.get_by_label("Preset").select_option("ci")
    opened.get_by_label("Seed", exact=True).fill("7")
    start = time.monotonic()
    opened.get_by_role("button", name="Open notebook").click()
    home.locator(".jp-Notebook").wait_for(timeout=60_000)
    print(f"click to open notebook: {time.monotonic() - start:.2f} s")
    expect(home.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=60_000)
    written = nbformat.read(lab.folder / "saliency_cascade.ipynb", as_version=4)
    (values,) = [each for each in written.cells if "parameters" in str(each.metadata)]
    assert "seed: int = 7  # seed of training" in values.source
    assert "'digits'  # images" in values.source
    for _ in range(4):  # title, parameters, heading, the images
        home.keyboard.press("Shift+Enter")
    expect(home.locator(".jp-Notebook")).to_contain_text(
        re.compile("1,?797 images"), timeout=120_000
    )
    home.screenshot(path=screenshots / "extension_open.png")


def test_open_never_replaces_a_notebook(home: Page, lab: Lab) -> None:
    (lab.folder / "quick.ipynb").write_text("mine")
    opened = form(home, "Quick question")
    opened.get_by_label("Mode").select_option("b")
    opened.get_by_role("button", name="Add to Layers").click()
    opened.locator("#root_layers_0").fill("conv")
    opened.get_by_role("button", name="Open notebook").click()
    home.get_by_role("tab", name="quick-1.ipynb").wait_for(timeout=60_000)
    assert (lab.folder / "quick.ipynb").read_text() == "mine"
    source = nbformat.read(lab.folder / "quick-1.ipynb", as_version=4).cells[1].source
    assert "= 'b'  # how it is done" in source
    assert "layers: list[str] | None = ['conv']  # all" in source


@pytest.mark.timeout(420)
def test_a_run_to_the_end_then_its_report_and_a_comparison(
    home: Page, lab: Lab, screenshots: Path
) -> None:
    opened = form(home, "Saliency sanity checks")
    opened.get_by_label("Preset").select_option("ci")
    opened.get_by_role("button", name="Run in the background").click()
    item = run_item(home)
    expect(item).to_have_attribute("aria-label", "Saliency sanity checks, running", timeout=20_000)
    expect(item.get_by_role("progressbar")).to_have_attribute(
        "aria-label", re.compile(r"^[1-9]\d? of \d\d?: "), timeout=120_000
    )
    item.get_by_role("button", name="Log").click()
    expect(item.get_by_label("Log")).to_contain_text("[1/", timeout=30_000)
    home.screenshot(path=screenshots / "extension_running.png")
    done = "Saliency sanity checks, completed"
    expect(item).to_have_attribute("aria-label", done, timeout=300_000)
    expect(home.locator(".Toastify")).to_contain_text("Saliency sanity checks completed.")
    home.screenshot(path=screenshots / "extension_completed.png")

    item.get_by_role("button", name="Result").click()
    result = home.locator(".kl-result")
    expect(result).to_contain_text("What it does not mean.", timeout=20_000)
    picture = result.locator("figure img").first
    expect(picture).to_be_visible()
    assert picture.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }")
    expect(result.get_by_role("heading", name="Where this comes from")).to_be_visible()
    home.screenshot(path=screenshots / "extension_result.png")

    shutil.copytree(lab.folder / "saliency_cascade", lab.folder / "other")
    content = json.loads((lab.folder / "other" / "result.json").read_text())
    name = next(name for name, value in content["scores"].items() if value is not None)
    content["scores"][name] += 0.25
    (lab.folder / "other" / "result.json").write_text(json.dumps(content))
    result.get_by_role("button", name="Compare with").click()
    result.get_by_label("Compare with").select_option("other")
    expect(result.get_by_role("region", name="Verdict of other")).to_be_visible()
    row = result.get_by_role("row", name=re.compile(f"^{name.replace('_', ' ')}"))
    expect(row.first).to_contain_text("+0.25")
    home.screenshot(path=screenshots / "extension_comparison.png")

    item.get_by_role("button", name="Notebook").click()
    widget = home.locator(".kernel-cascade")
    widget.wait_for(timeout=60_000)  # signed: widgets show without running anything


def test_result_json_opens_as_its_page(home: Page, lab: Lab) -> None:
    if not (lab.folder / "saliency_cascade" / "result.json").exists():
        pytest.skip("needs the result of the run before")
    home.evaluate(
        """async () => {
            await jupyterapp.commands.execute("docmanager:open",
                { path: "saliency_cascade/result.json" });
        }"""
    )
    expect(home.locator(".kl-result")).to_contain_text("What to do next.")


@pytest.mark.timeout(300)
def test_a_failing_cell_is_shown_and_a_run_is_cancelled(home: Page, screenshots: Path) -> None:
    form(home, "Failing").get_by_role("button", name="Run in the background").click()
    item = run_item(home)
    expect(item).to_have_attribute("aria-label", "Failing, failed", timeout=90_000)
    expect(item).to_contain_text("In the step “Divide”")
    expect(item).to_contain_text("> 1 / n")
    expect(item).to_contain_text("ZeroDivisionError: division by zero")
    home.screenshot(path=screenshots / "extension_failed.png")

    home.get_by_role("button", name="All check-ups").click()
    home.get_by_role("listitem", name="Slow", exact=True).get_by_role(
        "button", name="Set up"
    ).click()
    start = home.get_by_role("form", name="Slow").get_by_role(
        "button", name="Run in the background"
    )
    start.click()
    expect(item).to_have_attribute("aria-label", "Slow, running", timeout=30_000)
    start.click()
    expect(item).to_have_attribute("aria-label", "Slow, queued")
    item.get_by_role("button", name="Cancel").click()
    expect(item).to_have_attribute("aria-label", "Slow, cancelled")
    first = home.get_by_role("list", name="Runs").get_by_role("listitem").nth(1)
    first.get_by_role("button", name="Log").click()
    expect(first.get_by_label("Log")).to_contain_text("tick", timeout=60_000)
    first.get_by_role("button", name="Cancel").click()
    expect(first).to_have_attribute("aria-label", "Slow, cancelled", timeout=30_000)


def test_the_page_comes_back_when_it_is_loaded_again(home: Page, lab: Lab) -> None:
    form(home, "Quick question")
    home.wait_for_timeout(2500)  # the layout is kept a moment later
    home.goto(f"{lab.url}/lab?token={TOKEN}")
    expect(home.get_by_role("form", name="Quick question")).to_be_visible(timeout=60_000)


def contrast(element: Locator) -> float:
    """The contrast of a text with the nearest ground that is painted, after WCAG."""
    return element.evaluate(
        """(element) => {
            const parts = (color) => color.match(/[\\d.]+/g).map(Number);
            const light = (color) => {
                const [red, green, blue] = parts(color).map((part) => {
                    const share = part / 255;
                    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
            };
            let ground = element;
            const painted = () => parts(getComputedStyle(ground).backgroundColor)[3] !== 0;
            while (!painted()) ground = ground.parentElement;
            const both = [light(getComputedStyle(element).color),
                          light(getComputedStyle(ground).backgroundColor)].sort((a, b) => b - a);
            return (both[0] + 0.05) / (both[1] + 0.05);
        }"""
    )


def test_the_dark_theme(home: Page, screenshots: Path) -> None:
    opened = form(home, "Saliency sanity checks")
    opened.get_by_label("Seed", exact=True).fill("-1")
    change_theme(home, "JupyterLab Dark")
    expect(home.locator("body")).to_have_attribute("data-jp-theme-light", "false")
    home.wait_for_timeout(800)
    home.screenshot(path=screenshots / "extension_dark.png")
    label = opened.get_by_text("Model", exact=True)
    for each in (opened.locator("h1"), opened.get_by_role("alert"), label):
        assert contrast(each) >= 4.5, each
    assert contrast(opened.locator(".kl-help").nth(1)) >= 4.5
    home.evaluate("async () => { await jupyterapp.commands.execute('kernel-lib:gallery'); }")
    expect(home.get_by_role("listitem", name="Slow", exact=True)).to_be_visible()
    home.evaluate("async () => { await jupyterapp.commands.execute('kernel-lib:show-runs'); }")
    home.wait_for_timeout(500)
    home.screenshot(path=screenshots / "extension_dark_gallery.png")
    change_theme(home, "JupyterLab Light")
    expect(home.locator("body")).to_have_attribute("data-jp-theme-light", "true")


def change_theme(page: Page, name: str) -> None:
    page.evaluate(
        """async (theme) => {
            await jupyterapp.commands.execute("apputils:change-theme", { theme });
        }""",
        name,
    )


def tab_to(page: Page, selector: str, most: int = 80) -> None:
    """Press Tab until the focus is on `selector`."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the keyboard does not reach {selector}")


def test_by_keyboard_alone(home: Page, lab: Lab, screenshots: Path) -> None:
    home.locator(".jp-Launcher").focus()
    tab_to(home, ".jp-LauncherCard[data-category='Model check-ups'][title='Does it work?']")
    home.keyboard.press("Enter")
    opened = home.get_by_role("form")
    opened.wait_for()
    title = opened.get_attribute("aria-label")
    tab_to(home, "input[type='number']")
    home.screenshot(path=screenshots / "extension_keyboard.png")
    home.keyboard.press("Control+A")
    home.keyboard.type("5")
    tab_to(home, ".kl-footer button")
    expect(opened.get_by_role("button", name="Open notebook")).to_be_focused()
    before = set(lab.folder.glob("*.ipynb"))
    home.keyboard.press("Enter")
    home.locator(".jp-Notebook").wait_for(timeout=60_000)
    (made,) = set(lab.folder.glob("*.ipynb")) - before
    assert "int = 5" in nbformat.read(made, as_version=4).cells[1].source, title


@pytest.mark.timeout(300)
def test_a_run_outlives_the_server_and_one_that_is_killed_has_died(
    home: Page, lab: Lab, screenshots: Path
) -> None:
    form(home, "Slow").get_by_role("button", name="Run in the background").click()
    item = run_item(home)
    expect(item).to_have_attribute("aria-label", "Slow, running", timeout=30_000)
    expect(item.get_by_role("progressbar")).to_have_attribute(
        "aria-label", "2 of 2: Wait", timeout=60_000
    )
    home.goto("about:blank")
    lab.stop()
    lab.start()
    lab.open(home)
    home.evaluate("async () => { await jupyterapp.commands.execute('kernel-lib:show-runs'); }")
    expect(item).to_have_attribute("aria-label", "Slow, running")
    os.kill(json.loads(lab.processes()[-1].read_text())["pid"], signal.SIGKILL)
    expect(item).to_have_attribute("aria-label", "Slow, died", timeout=20_000)
    expect(item).to_contain_text("in the step Wait")
    home.screenshot(path=screenshots / "extension_died.png")


def test_notebook_7_shows_them_in_a_box(browser: Browser, lab: Lab, screenshots: Path) -> None:
    pytest.importorskip("notebook")
    (lab.folder / "seven" / "photos").mkdir(parents=True)
    arguments = [
        "notebook",
        f"--ServerApp.root_dir={lab.folder}",
        f"--IdentityProvider.token={TOKEN}",
        "--JupyterNotebookApp.expose_app_in_browser=True",
        "--allow-root",
    ]
    log = lab.home / "notebook.txt"
    with serving(arguments, lab.environment, log, f"api?token={TOKEN}") as url:
        # Notebook complains of settings of its own, so the page that listens is not taken.
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(f"{url}/tree/seven?token={TOKEN}")
        page.locator(".jp-DirListing").wait_for(timeout=60_000)
        page.evaluate("async () => { await jupyterapp.commands.execute('kernel-lib:gallery'); }")
        box = page.get_by_role("dialog")
        chosen = box.get_by_role("listitem", name="Saliency sanity checks", exact=True)
        chosen.get_by_role("button", name="Set up").click()
        opened = page.get_by_role("form", name="Saliency sanity checks")
        expect(opened.get_by_label("Seed", exact=True)).to_have_value("0")
        expect(box).to_have_count(1)
        page.screenshot(path=screenshots / "extension_notebook.png")
        opened.get_by_role("button", name="Choose a folder for Data").click()
        files = page.locator(".jp-Dialog", has_text="Choose a folder")
        files.get_by_text("photos", exact=True).click()
        page.screenshot(path=screenshots / "extension_notebook_files.png")
        files.get_by_role("button", name="Select").click()
        expect(opened.get_by_label("Data", exact=True)).to_have_value("folder:photos")
        page.keyboard.press("Escape")
        expect(box).to_have_count(0)
        run_in_notebook_7(page, lab, screenshots)
        page.context.close()


def run_in_notebook_7(page: Page, lab: Lab, screenshots: Path) -> None:
    """Open a filled notebook, which comes in a page of its own, and run it."""
    page.evaluate("async () => { await jupyterapp.commands.execute('kernel-lib:gallery'); }")
    chosen = page.get_by_role("listitem", name="Quick question", exact=True)
    chosen.get_by_role("button", name="Set up").click()
    opened = page.get_by_role("form", name="Quick question")
    opened.get_by_label("Seed").fill("21")
    with page.expect_popup() as made:
        opened.get_by_role("button", name="Open notebook").click()
    notebook_page = made.value
    notebook_page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
    source = nbformat.read(lab.folder / "seven" / "quick.ipynb", as_version=4).cells[1].source
    assert "seed: int = 21  # seed" in source
    assert "layers: list[str] | None = None  # all" in source
    # The page says idle before there is a kernel, and then drops what is to be run.
    notebook_page.wait_for_function(
        "window.jupyterapp && [...jupyterapp.serviceManager.sessions.running()].some("
        "(session) => session.kernel)",
        timeout=60_000,
    )
    status = notebook_page.locator(".jp-Notebook-ExecutionIndicator").first
    expect(status).to_have_attribute("data-status", "idle", timeout=60_000)
    notebook_page.locator(".jp-Notebook .jp-Cell").first.click()
    for _ in range(3):  # title, parameters, the question
        notebook_page.keyboard.press("Shift+Enter")
    expect(notebook_page.locator(".jp-CodeCell").nth(1)).to_contain_text("42", timeout=60_000)
    notebook_page.screenshot(path=screenshots / "extension_notebook_run.png")
