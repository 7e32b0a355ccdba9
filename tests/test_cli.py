"""The `kernel-lib` command: what it prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import kernel_lib
from kernel_lib.cli import main
from small_notebooks import notebook

PARAMETERS = """
from typing import Literal
steps: int = 3  # how many steps are made
metric: Literal["ssim", "hog"] = "ssim"
layers: list[str] = []
name: str
"""


@pytest.fixture
def quick(tmp_path, monkeypatch) -> Path:
    """A notebook `quick.ipynb`, and nothing else, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "none"))
    ours = {"kernel_lib": {"parameters": {"steps": {"minimum": 1, "maximum": 9}}}}
    made = notebook(PARAMETERS, "print(steps, metric, layers, name)", metadata=ours)
    Path("quick.ipynb").write_text(json.dumps(made))
    presets = tmp_path / "presets" / "quick"
    presets.mkdir(parents=True)
    (presets / "demo.yaml").write_text("steps: 4\nname: preset\n")
    return tmp_path


def printed() -> list[str]:
    cells = json.loads(Path("outputs/quick/quick.ipynb").read_text())["cells"]
    return [line for cell in cells for out in cell.get("outputs", []) for line in out["text"]]


def test_show_prints_words_presets_and_parameters(quick, capsys):
    assert main(["show", "quick.ipynb"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "A small question",
        "",
        "Does it work?",
        "",
        "Presets: demo",
        "",
        "Parameters:",
        "  steps: int = 3",
        "      how many steps are made",
        "      at least 1, at most 9",
        '  metric: str = "ssim"',
        "      one of ssim, hog",
        "  layers: list[str] = []",
        "  name: str, needed",
    ]


def test_run_takes_preset_file_and_parameters_in_this_order(quick, capsys):
    Path("more.yaml").write_text("metric: hog\nname: file\n")
    words = ["run", "quick.ipynb", "--preset", "demo", "-f", "more.yaml", "--quiet"]
    assert main([*words, "-p", "name", "5", "-p", "layers", "a,b"]) == 0
    assert printed() == ["4 hog ['a', 'b'] 5\n"]
    out, err = capsys.readouterr()
    assert out.startswith("quick completed after 0:")
    assert out.strip().endswith("outputs/quick/quick.ipynb")
    assert err == ""


def test_a_failing_run_ends_with_1(quick, capsys):
    Path("quick.ipynb").write_text(json.dumps(notebook("x = 1", "1/0")))
    assert main(["run", "quick.ipynb", "there"]) == 1
    assert "ZeroDivisionError: division by zero" in capsys.readouterr().err
    assert Path("there/quick.ipynb").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("show none.ipynb", "none.ipynb cannot be read: No such file or directory."),
        ("run qick", "There is no template 'qick'."),
        ("run quick.ipynb", "`name` has no default: give it a value."),
        ("run quick.ipynb -p nam x", "no parameter 'nam'. Did you mean 'name'?"),
        ("run quick.ipynb -p name x -p steps many", "`steps` must be a whole number (int)."),
        ("run quick.ipynb -p name x -p steps 10", "`steps` must be at most 9."),
        ("run quick.ipynb -p name x -p metric hug", "Did you mean 'hog'?"),
        ("run quick.ipynb -f none.yaml", "none.yaml cannot be read"),
        ("run quick.ipynb --preset dem", "no preset 'dem'. Did you mean 'demo'?"),
        ("run quick.ipynb quick.ipynb -p name x", "quick.ipynb is the template itself."),
        ("export none.ipynb", "none.ipynb cannot be read"),
        ("report none", "none is not a folder."),
    ],
)
def test_wrong_use_is_one_line_and_ends_with_2(quick, capsys, words, message):
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("kernel-lib: ")
    assert message in err
    assert err.count("\n") == 1
    assert not Path("outputs").exists()


@pytest.mark.parametrize("words", ["", "fly", "run", "run x --timeout soon", "run x -p name"])
def test_unknown_words_end_with_2(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words.split())
    assert stopped.value.code == 2
    assert "usage: kernel-lib" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"kernel-lib {kernel_lib.__version__}\n"


def test_export_and_report_print_what_they_wrote(quick, capsys):
    assert main(["export", "quick.ipynb", "page.html", "--still"]) == 0
    assert main(["report", "."]) == 0
    assert capsys.readouterr().out == "page.html\nindex.html\n"
    assert Path("page.html").exists()
    assert Path("index.html").exists()


def test_templates_is_quick_and_loads_nothing_heavy(tmp_path):
    code = (
        "import sys; from kernel_lib.cli import main; main(['templates']);"
        "heavy = {'tensorflow', 'keras', 'papermill', 'nbformat', 'pandas', 'numpy'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    started = time.monotonic()
    command = [sys.executable, "-c", code]
    made = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert time.monotonic() - started < 2
    assert made.stderr == "[]\n"


def test_intake_says_how_a_network_stands_and_stops_with_one(tmp_path, capsys):
    import numpy as np

    from brightness import NAMES, brightness_images, brightness_network

    images = brightness_images(400)
    np.savez(tmp_path / "data.npz", x=images.images, y=images.labels, class_names=np.array(NAMES))
    model = tmp_path / "model.keras"
    brightness_network(255.0).save(model)
    data = f"npz:{tmp_path / 'data.npz'}"
    assert main(["intake", str(model), data, "--preprocessing", "bytes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["standing"]["accuracy"] == 1
    assert main(["intake", str(model), data, "--preprocessing", "unit"]) == 1
    assert "preprocessing='bytes'" in capsys.readouterr().out


def test_intake_of_a_name_that_is_yet_to_be_trained_is_refused(capsys):
    assert main(["intake", "small_cnn", "digits"]) == 2
    assert "yet to be trained" in capsys.readouterr().err


def test_names_of_classes_may_hold_commas():
    from kernel_lib.cli import _parser

    read = _parser().parse_args(["intake", "--class-names", '["a, b", "c"]', "m.keras", "digits"])
    assert read.class_names == ["a, b", "c"]
    read = _parser().parse_args(["intake", "--class-names", "a, b", "m.keras", "digits"])
    assert read.class_names == ["a", "b"]
