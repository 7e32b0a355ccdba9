"""The rules of the house: who may import whom, what loads when, what no file may hold."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
AUDITS = {"saliency", "trust", "errors", "doctor", "invariance"}
FOUNDATION = {"audit", "data", "models", "network", "report", "tasks"}
SOURCES = sorted((ROOT / "kernel_lib").rglob("*.py"))
TEMPLATES = sorted((ROOT / "templates").glob("*.ipynb"))


def imported_modules(path: Path) -> set[str]:
    """Every module a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def part_of(path: Path) -> str:
    return path.relative_to(ROOT / "kernel_lib").parts[0].removesuffix(".py")


def uses(path: Path, parts: set[str]) -> list[str]:
    return sorted(
        module
        for module in imported_modules(path)
        if module.split(".")[0] == "kernel_lib"
        and module.split(".")[1:2]
        and module.split(".")[1] in parts
    )


def test_the_rules_see_imports():
    audit = ROOT / "kernel_lib" / "saliency" / "audit.py"
    assert "kernel_lib.saliency.measure" in imported_modules(audit)
    assert uses(audit, {"saliency"})


@pytest.mark.parametrize("audit", sorted(AUDITS))
def test_audits_do_not_know_each_other(audit):
    others = AUDITS - {audit}
    for path in (ROOT / "kernel_lib" / audit).rglob("*.py"):
        assert uses(path, others) == [], path


def test_the_foundation_knows_no_audit():
    for path in SOURCES:
        if part_of(path) in FOUNDATION:
            assert uses(path, AUDITS) == [], path


def test_only_templates_know_the_widgets():
    for path in SOURCES:
        modules = imported_modules(path)
        assert not any(module.split(".")[0] == "kernel_widgets" for module in modules), path


def test_run_and_server_know_templates_only_by_their_files():
    for path in SOURCES:
        if part_of(path) in {"run", "server", "cli"}:
            assert uses(path, AUDITS) == [], path


@pytest.mark.parametrize(
    "statement",
    [
        "import kernel_lib",
        "import kernel_lib.data",
        "import kernel_lib.tasks",
        "import kernel_lib.report",
        "import kernel_lib.run",
        "import kernel_lib.cli",
        "import kernel_lib.server.extension",
    ],
)
def test_what_must_stay_light_does_not_load_tensorflow(statement):
    check = "import sys; assert not {'tensorflow', 'keras', 'matplotlib.pyplot'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"{statement}\n{check}"], check=True, cwd=ROOT)


def test_unknown_names_are_refused():
    import kernel_lib

    with pytest.raises(AttributeError, match="no_such_part"):
        _ = kernel_lib.no_such_part


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_templates_are_clean(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    tagged = [c for c in code if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1
    assert notebook["cells"][0]["source"][0].startswith("# ")
    assert notebook["metadata"]["kernel_lib"]["title"]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_templates_define_no_long_functions(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            for node in ast.walk(ast.parse("".join(cell["source"]))):
                if isinstance(node, ast.FunctionDef):
                    assert node.end_lineno - node.lineno < 5, node.name
