"""The exported page, taken apart: nothing comes from outside, and data cannot break out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from kernel_lib.run import export
from small_notebooks import cell, notebook

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
PNG = base64.b64encode(b"not really a picture").decode()


def shows(**data) -> dict:
    """Return a code cell with one output that holds `data`."""
    output = {"output_type": "display_data", "metadata": {}, "data": data}
    name = hashlib.sha256(json.dumps(data).encode()).hexdigest()[:8]
    return {**cell("display(...)", name=name), "outputs": [output]}


def view(model: str, **others) -> dict:
    name = {"model_id": model, "version_major": 2, "version_minor": 0}
    return shows(**{VIEW: name, "text/plain": f"<repr {model}>", **others})


def page(*cells, still: bool = False, run: dict | None = None, title: str | None = None):
    state = {
        "live": {
            "model_name": "AnyModel",
            "model_module": "anywidget",
            "state": {
                "_esm": "export default { render() { '</script>' } }",
                "_css": "b { color: red }",
                "text": "</script><img src=x>",
                "atlas": None,
            },
            "buffers": [{"path": ["atlas"], "data": "AQc=", "encoding": "base64"}],
        },
        "plain": {"model_name": "VBoxModel", "model_module": "controls", "state": {}},
    }
    ours = {"title": title} if title else {}
    ours |= {"run": run} if run else {}
    metadata = {"widgets": {STATE: {"state": state}}, "kernel_lib": ours}
    path = Path("made.ipynb")
    path.write_text(json.dumps(notebook("x = 1", *cells, metadata=metadata)))
    written = export(path, still=still)
    assert written == Path("made.html")
    text = written.read_text()
    return BeautifulSoup(text, "html.parser"), text


def test_nothing_is_loaded_from_anywhere(folder):
    soup, text = page(view("live"), shows(**{"image/png": PNG}), "1")
    assert not re.search(r"https?://|//cdn|require\.js|mathjax", text, re.IGNORECASE)
    for element in soup.select("[src], link[href]"):
        assert (element.get("src") or element["href"]).startswith("data:")


def test_a_widget_keeps_its_state_and_its_still_picture(folder):
    soup, text = page(view("live", **{"text/html": "<p id='still'>still</p>"}))
    place = soup.select_one("[data-model=live]")
    assert place.select_one("#still").text == "still"
    data = {each["id"]: json.loads(each.text) for each in soup.select("[type*=json]")}
    assert data["model-live"]["state"] == {"text": "</script><img src=x>", "atlas": None}
    assert data["model-live"]["buffers"][0]["data"] == "AQc="
    assert data[place["data-module"]]["css"] == "b { color: red }"
    assert "</script>" in data[place["data-module"]]["esm"]
    # The only ends of scripts are those of the page itself.
    assert text.count("</script>") == len(data) + 1


def test_a_widget_without_a_still_picture_holds_its_text(folder):
    soup, _ = page(view("live"))
    assert soup.select_one("[data-model=live]").text == "<repr live>"


def test_still_and_other_widgets_show_what_was_saved_beside_them(folder):
    soup, _ = page(view("live", **{"image/png": PNG}), still=True)
    assert not soup.select("script, [data-model]")
    assert soup.img["src"] == f"data:image/png;base64,{PNG}"
    soup, _ = page(view("plain"), view("missing"))
    assert not soup.select("script, [data-model]")
    assert "<repr plain>" in soup.text
    assert "<repr missing>" in soup.text


def test_pictures_are_described_by_their_step(folder):
    soup, _ = page(cell("## Look", "markdown", name="look"), shows(**{"image/png": PNG}))
    assert soup.img["alt"] == "Figure of the step Look"


def test_code_is_folded_and_outputs_are_not(folder):
    soup, _ = page(cell("y = 2 < 3", tags=("injected-parameters",), name="y"), "y")
    folded = [each.summary.text.strip() for each in soup.select("details")]
    assert folded == ["Parameters and their defaults", "Parameters of this run", "Code"]
    assert "y = 2 < 3" in soup.text


def test_the_run_and_its_failure_stand_on_top(folder):
    error = {"step": "Load", "source": "> 1/0", "name": "Zero", "message": "<b>"}
    run = {
        "template": "quick",
        "status": "failed",
        "seconds": 61.2,
        "preset": "demo",
        "started": "2030-01-02T03:04:05+00:00",
        "error": error,
    }
    soup, _ = page("1", run=run, title="Told & true")
    items = [each.text for each in soup.select(".run li")]
    assert items == ["quick", "failed after 1:01", "preset demo", "2030-01-02"]
    assert soup.select_one(".failure").text == 'In step "Load":\n\n    > 1/0\n\nZero: <b>'
    assert soup.title.text == "Told & true"


def test_unreadable_notebooks_are_named(folder):
    with pytest.raises(ValueError, match="none.ipynb cannot be read: No such file"):
        export("none.ipynb")
    Path("broken.ipynb").write_text("{")
    with pytest.raises(ValueError, match="broken.ipynb is not a notebook"):
        export("broken.ipynb")
