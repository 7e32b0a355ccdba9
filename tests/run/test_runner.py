"""Real runs of small notebooks: values in, notebooks out, and every way to stop early."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.sign import NotebookNotary

import kernel_lib as kl
from kernel_lib.run.kernel import stoppable
from small_notebooks import cell, notebook

PARAMETERS = """
output_dir: str = "somewhere"
model: str = "cnn"
text: str = ""
rate: float = 0.5
fast: bool = False
layers: list[str] | None = None
seed: int = 0
"""
SAY = "import json, os, sys\nprint(json.dumps([os.getcwd(), sys.executable, output_dir, model]))"


def write(name: str, *cells, parameters: str = PARAMETERS) -> str:
    Path(f"{name}.ipynb").write_text(json.dumps(notebook(parameters, *cells)))
    return f"{name}.ipynb"


def printed(path: Path) -> list:
    """Return the JSON values that the cells of an executed notebook printed."""
    cells = nbformat.read(path, as_version=4).cells
    outputs = [output for each in cells for output in each.get("outputs", [])]
    lines = [line for output in outputs for line in output.get("text", "").splitlines()]
    return [json.loads(line) for line in lines]


def record(path: Path) -> dict:
    return nbformat.read(path, as_version=4).metadata["kernel_lib"]["run"]


def test_a_run_writes_a_signed_notebook_and_runs_in_its_folder(folder, capsys):
    heading = cell("## Look around", "markdown", name="heading")
    name = write("curly {seed}", heading, SAY)
    result = kl.run.run(name, parameters={"seed": 3})

    assert (result.status, result.error, result.template) == ("completed", None, "curly {seed}")
    assert result.notebook == Path("outputs/curly {seed}/curly {seed}.ipynb")
    assert result.output_dir == Path("outputs/curly {seed}")
    here = os.path.realpath(result.output_dir)
    assert printed(result.notebook) == [[here, sys.executable, ".", "cnn"]]
    assert NotebookNotary().check_signature(nbformat.read(result.notebook, as_version=4))

    kept = record(result.notebook)
    assert (kept["template"], kept["status"], kept["preset"]) == (
        "curly {seed}",
        "completed",
        None,
    )
    assert kept["parameters"] == {
        "output_dir": ".",
        "model": "cnn",
        "text": "",
        "rate": 0.5,
        "fast": False,
        "layers": None,
        "seed": 3,
    }
    assert str(folder) not in json.dumps(kept)
    shown = capsys.readouterr().err.splitlines()
    assert shown == ["curly {seed}  1/3  A small question", "curly {seed}  3/3  Look around"]


def test_values_arrive_as_values_and_paths_stay_valid(folder):
    Path("model.keras").touch()
    values = {
        "model": "model.keras",
        "text": '"; import os  # \\" {0} \n end ✓',
        "rate": 1e-7,
        "fast": True,
        "layers": ["a'b", '"c"'],
        "output_dir": "results",
    }
    name = write("echo", "import json\nprint(json.dumps([model, text, rate, fast, layers]))")
    result = kl.run.run(name, "deep/down/run.ipynb", values, progress=False)
    assert result.status == "completed"
    model, *others = printed(result.notebook)[0]
    assert others == [values["text"], 1e-7, True, values["layers"]]
    assert model == "../../model.keras"
    assert record(result.notebook)["parameters"]["output_dir"] == "../../results"
    assert result.output_dir == Path("results")


def test_parameters_count_before_the_preset(add_template):
    content = notebook(PARAMETERS, "import json\nprint(json.dumps([seed, rate]))")
    add_template("quick", content, demo="seed: 5\nrate: 0.25\n")
    result = kl.run.run("quick", "out", {"seed": 6}, "demo", progress=False)
    assert printed(result.notebook) == [[6, 0.25]]
    assert record(result.notebook)["preset"] == "demo"


def test_a_failing_cell_is_told_in_one_screen_and_the_notebook_kept(folder):
    lines = [f"line{at} = {at}" for at in range(30)]
    lines[20] = "raise KeyError('no \\x1b[31msuch\\x1b[0m thing')"
    name = write("failing", cell("## Load", "markdown", name="h"), "\n".join(lines), "print(1)")
    steps = []
    result = kl.run.run(name, progress=steps.append)

    assert result.status == "failed"
    assert (result.error.step, result.error.name) == ("Load", "KeyError")
    assert "\x1b" not in str(result)
    assert "    > raise KeyError(" in str(result)
    assert "line16" in str(result)
    assert "line24" in str(result)
    assert "line15" not in str(result)
    assert str(result.notebook) in str(result)
    assert len(str(result).splitlines()) < 24
    assert [step.cell for step in steps] == [1, 2, 3]
    assert printed(result.notebook) == []
    assert record(result.notebook)["error"]["name"] == "KeyError"


def test_a_timeout_stops_the_run(folder):
    name = write("slow", "import time\ntime.sleep(60)", "print(1)")
    for timeout in (3, 15, 45):  # a busy machine may need long to start the kernel
        started = time.monotonic()
        result = kl.run.run(name, timeout=timeout, progress=False)
        assert time.monotonic() - started < timeout + 27
        assert (result.status, result.error.name) == ("failed", "Timeout")
        if "time.sleep(60)" in result.error.source:
            break
    assert "time.sleep(60)" in result.error.source
    cells = nbformat.read(result.notebook, as_version=4).cells
    assert [each.metadata.papermill.status for each in cells[-2:]] == ["failed", "pending"]


def test_a_dead_kernel_is_told(folder):
    last = "import os, signal, sys\nsys.__stderr__.write('out of luck\\n')\nsys.__stderr__.flush()"
    name = write("dying", f"{last}\nos.kill(os.getpid(), signal.SIGKILL)")
    result = kl.run.run(name, progress=False)
    assert (result.status, result.error.name) == ("failed", "KernelDied")
    assert result.error.message.endswith("Its last words:\nout of luck")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_run_and_its_kernel(folder, number):
    cells = (
        "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))",
        "try:\n    time.sleep(60)\nfinally:\n    pathlib.Path('closed').touch()",
        "print(1)",
    )
    command = [sys.executable, "-m", "kernel_lib", "run", write("stopped", *cells)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    pid, path = Path("outputs/stopped/pid"), Path("outputs/stopped/stopped.ipynb")
    wait_for(lambda: pid.exists() and pid.read_text())
    assert record(path)["status"] == "running"
    time.sleep(0.5)
    running.send_signal(number)
    _, errors = running.communicate(timeout=30)

    assert running.returncode == 130
    assert "stopped cancelled after" in errors
    assert "Traceback" not in errors
    assert record(path)["status"] == "cancelled"
    statuses = [each.metadata.papermill.status for each in nbformat.read(path, 4).cells]
    assert statuses[-3:] == ["completed", "failed", "pending"]
    assert Path("outputs/stopped/closed").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_nohup_lets_a_run_go_on():
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(5)
    finally:
        signal.signal(signal.SIGHUP, previous)


def limited(kilobytes: int, name: str) -> subprocess.CompletedProcess:
    """Run a template in a process whose larger files fail to be written, as on a full disk."""
    code = (
        "import resource, sys; from kernel_lib.cli import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({kilobytes * 1024},) * 2); "
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "run", name, "--quiet"]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (("print('x' * 500_000)", "print(1)"), "stopped.ipynb cannot be written"),
        (("print('x' * 500_000)\n1 / 0",), "ZeroDivisionError"),  # the first failure is told
    ],
)
def test_a_full_disk_ends_the_run_and_the_notebook_says_failed(folder, cells, told):
    literal = 'text = \'"status": "running"\''
    # The notebook itself is smaller than the limit until the large output comes.
    ended = limited(100, write("stopped", literal, *cells))
    assert ended.returncode == 1, ended.stderr
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
    path = Path("outputs/stopped/stopped.ipynb")
    assert str(path) in ended.stderr
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    kept = nbformat.read(path, as_version=4)
    nbformat.validate(kept)
    assert record(path)["status"] == "failed"
    assert kept.cells[-len(cells) - 1].source == literal  # text in cells is left alone


def test_a_disk_that_is_full_from_the_start_is_told(folder):
    ended = limited(1, write("stopped", "print(1)"))
    assert ended.returncode == 1, ended.stderr
    assert "outputs/stopped/stopped.ipynb cannot be written" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not Path("outputs/stopped").exists()


def test_only_an_earlier_run_of_the_same_template_is_replaced(folder):
    name = write("first", "1")
    other = Path("mine.ipynb")
    other.write_text(json.dumps(notebook("x = 1")))
    before = other.read_text()
    with pytest.raises(ValueError, match="mine.ipynb exists and is not an earlier run of first"):
        kl.run.run(name, other)
    with pytest.raises(ValueError, match="first.ipynb is the template itself"):
        kl.run.run(name, name, overwrite=True)
    assert other.read_text() == before
    assert kl.run.run(name, other, overwrite=True, progress=False).status == "completed"
    assert kl.run.run(name, other, progress=False).status == "completed"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"parameters": {"sed": 1}}, ValueError, "no parameter 'sed'. Did you mean 'seed'"),
        ({"parameters": {"seed": "1"}}, TypeError, "`seed` must be a whole number"),
        ({"preset": "demo"}, ValueError, "has no preset 'demo'"),
        ({"timeout": 0}, ValueError, "`timeout` must lie in"),
    ],
)
def test_wrong_use_is_refused_before_anything_starts(folder, options, error, message):
    with pytest.raises(error, match=message):
        kl.run.run(write("quick", "1"), **options)
    assert not Path("outputs").exists()


WAIT = """
import pathlib, time
pathlib.Path("started").touch()
while not pathlib.Path("go").exists():
    time.sleep(0.02)
"""


def test_two_runs_do_not_write_into_one_folder(folder):
    """The second is told who holds it, before anything starts; afterwards it may."""
    from concurrent.futures import ThreadPoolExecutor

    first, second = write("first", WAIT), write("second", "1")
    out = Path("outputs/shared")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(kl.run.run, first, out, progress=False)
        while not (out / "started").exists():
            time.sleep(0.02)
        try:
            held = r"this process since \S+ \(a run of first\)"
            with pytest.raises(ValueError, match=held):
                kl.run.run(second, out, progress=False)
            with pytest.raises(ValueError, match=held):  # from another notebook into its folder
                kl.run.run(
                    second, "elsewhere", {"output_dir": str(out)}, progress=False, overwrite=True
                )
            with pytest.raises(ValueError, match=held):
                kl.run.run(first, out, progress=False)
            assert not Path("elsewhere").exists()
            assert sorted(each.name for each in out.glob("*.ipynb")) == ["first.ipynb"]
        finally:
            (out / "go").touch()
        assert running.result().status == "completed"
    assert kl.run.run(second, out, progress=False).status == "completed"
    assert not list(out.glob(".*"))


def test_a_run_works_in_another_thread(folder):
    from concurrent.futures import ThreadPoolExecutor

    name = write("threaded", "1")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(kl.run.run, name, progress=False).result().status == "completed"


def test_plain_papermill_runs_a_template_with_a_preset_file(add_template):
    content = notebook(PARAMETERS, "import json\nprint(json.dumps([seed, rate, layers]))")
    path = add_template("quick", content, demo="seed: 5\nlayers: [a, b]\n")
    preset = path.parent / "presets" / "quick" / "demo.yaml"
    command = [sys.executable, "-m", "papermill", str(path), "out.ipynb", "-f", str(preset)]
    subprocess.run([*command, "-p", "rate", "0.125"], check=True, capture_output=True)
    assert printed(Path("out.ipynb")) == [[5, 0.125, ["a", "b"]]]


def wait_for(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
