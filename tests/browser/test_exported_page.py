"""A notebook is run and exported, and its page opened from disk: the widget lives."""

from __future__ import annotations

from pathlib import Path

import nbformat
from playwright.sync_api import Browser

import kernel_lib as kl

WIDGET = '''
import anywidget, traitlets

class Counter(anywidget.AnyWidget):
    _esm = """
    export default {
      initialize({ model }) { model.set("count", model.get("count") + 1); },
      render({ model, el }) {
        const show = () => {
          el.textContent = `${model.get("count")} ${model.get("data").getUint8(1)}`;
        };
        model.on("change:count", show);
        el.onclick = () => model.set("count", model.get("count") + 1);
        el.className = "counter";
        model.set("count", model.get("count") + 1);
        model.save_changes();
      },
    };
    """
    _css = ".counter { color: rgb(1, 2, 3) }"
    count = traitlets.Int(3).tag(sync=True)
    data = traitlets.Bytes(bytes([1, 7])).tag(sync=True)

class Broken(anywidget.AnyWidget):
    _esm = "export default { render() { throw new Error('no') } }"

counter = Counter()
display(counter)
display(Broken())
display(counter)
'''


def test_widgets_live_on_a_page_from_disk(tmp_path: Path, browser: Browser):
    parameters = nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[parameters, nbformat.v4.new_code_cell(WIDGET)])
    nbformat.write(notebook, tmp_path / "counting.ipynb")
    result = kl.run.run(tmp_path / "counting.ipynb", tmp_path / "out", progress=False)
    exported = kl.run.export(result.notebook)

    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(exported.as_uri())
    page.wait_for_selector("html[data-widgets=ready]")
    counters = page.locator(".counter")
    # Two views of one model: both follow it, and it was initialised once.
    assert counters.all_inner_texts() == ["6 7", "6 7"]
    counters.first.click()
    assert counters.all_inner_texts() == ["7 7", "7 7"]
    assert counters.first.evaluate("each => getComputedStyle(each).color") == "rgb(1, 2, 3)"
    # A widget that throws leaves what stood there before.
    assert "Broken" in page.locator("[data-model]").inner_text()
    context.close()
