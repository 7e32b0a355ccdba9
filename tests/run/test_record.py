"""What a run leaves in a notebook, on notebooks made by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from kernel_lib.run import record


def stderr(text: str):
    return new_output("stream", name="stderr", text=text)


def tidied(*outputs):
    notebook = new_notebook(cells=[new_code_cell("1", outputs=list(outputs))])
    record.tidy(notebook)
    return [(each.name, each.text) for each in notebook.cells[0].outputs]


def test_bars_that_were_taken_away_and_the_native_log_go():
    native = (
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
        "I0000 00:00:1795314680.554577   25246 port.cc:153] oneDNN custom operations are on.\n"
        "E0000 00:00:1795314685.733356   25274 cuda_platform.cc:52] failed call to cuInit: no\n"
    )
    assert tidied(stderr(native)) == []
    assert tidied(stderr("\rsteps: 50%"), stderr("\r          "), stderr("\r")) == []
    assert tidied(stderr("\rsteps: 50%"), stderr("\rsteps: 100%\n")) == [("stderr", "steps: 100%")]


def test_what_people_should_read_stays():
    warning = "W0000 00:00:1795314685.7 1 allocator.cc:1] Allocation exceeds 10% of memory.\n"
    text = f"a UserWarning\n\n  on two lines\r\n{warning}"
    assert tidied(stderr(text)) == [
        ("stderr", f"a UserWarning\n  on two lines\n{warning.rstrip()}")
    ]
    printed = new_output("stream", name="stdout", text="I0000 00:00:1 is printed\r")
    assert tidied(printed) == [("stdout", "I0000 00:00:1 is printed\r")]


def test_an_excerpt_is_centred_and_marked():
    source = "\n".join(f"line {at}" for at in range(1, 21))
    lines = record.excerpt(source, 10).splitlines()
    assert lines[0] == lines[-1] == "..."
    assert lines[1:-1] == [("> " if at == 10 else "  ") + f"line {at}" for at in range(6, 15)]
    assert record.excerpt("a\nb", 2) == "  a\n> b"
    assert record.excerpt(source).splitlines() == [*source.splitlines()[:9], "..."]
    assert record.excerpt(source, 20).splitlines()[-1] == "> line 20"
    assert record.excerpt("") == ""


def test_a_long_message_is_cut():
    error = SimpleNamespace(
        source="x", ename="E", evalue="\n".join(map(str, range(40))), traceback=[]
    )
    failure = record.cell_failure("Step", error)
    assert failure.message.splitlines() == [*map(str, range(12)), "..."]
    assert str(failure).startswith('In step "Step":\n\n    x\n\nE: 0\n1\n')


def test_a_place_that_cannot_be_signed_is_a_warning(tmp_path, monkeypatch):
    from nbformat.sign import NotebookNotary

    def refuse(self, notebook):
        raise PermissionError("not here")

    monkeypatch.setattr(NotebookNotary, "sign", refuse)
    nbformat.write(new_notebook(), tmp_path / "a.ipynb")
    with pytest.warns(UserWarning, match="a.ipynb is not signed: not here"):
        record.sign(tmp_path / "a.ipynb")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"metadata": {"kernel_lib": {"run": 3}}}'])
def test_other_files_are_no_earlier_run(tmp_path, text):
    path: Path = tmp_path / "a.ipynb"
    assert record.earlier_run_of(path) is None
    path.write_text(text)
    assert record.earlier_run_of(path) is None
