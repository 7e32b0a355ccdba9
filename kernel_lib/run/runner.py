"""Run a template with papermill: checked values in, an executed and signed notebook out."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from kernel_lib._checks import check_number
from kernel_lib.run import catalogue, record, schema
from kernel_lib.run.catalogue import Template
from kernel_lib.run.paths import output_folder, relocate
from kernel_lib.run.record import Failure
from kernel_lib.run.steps import Step, clock, reporter, step


@dataclass(frozen=True)
class RunResult:
    """What became of a run.

    Attributes:
        template: Name of the template.
        notebook: The executed notebook; as far as it came, if the run did not end.
        output_dir: Where the template wrote its results.
        status: `"completed"`, `"failed"` or `"cancelled"`.
        seconds: How long it took.
        error: Why it failed; None otherwise.
    """

    template: str
    notebook: Path
    output_dir: Path
    status: str
    seconds: float
    error: Failure | None = None

    def __str__(self) -> str:
        headline = f"{self.template} {self.status} after {clock(self.seconds)}"
        if self.error is None:
            return f"{headline}: {self.notebook}"
        return f"{headline}.\n\n{self.error}\n\nThe notebook so far: {self.notebook}"


def run(
    name: str | Path,
    output: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    preset: str | None = None,
    *,
    progress: bool | Callable[[Step], None] = True,
    timeout: float | None = None,
    overwrite: bool = False,
    log: TextIO | None = None,
) -> RunResult:
    """Execute a template and keep the executed notebook.

    The notebook runs in the folder of `output`, and writes its results there. Paths among the
    parameters are those of the caller's folder. A cell that fails, a timeout, a disk that is full,
    Ctrl-C, SIGTERM and SIGHUP end the run, not the caller: the result tells, and the notebook is
    kept as far as it came.

    Args:
        name: A template's name, or the path of a notebook with a `parameters` cell.
        output: The notebook to write, ending in `.ipynb`, or a folder for it; `outputs/NAME` by
            default.
        parameters: Values by name; they count before those of the preset.
        preset: Name of one of the template's presets.
        progress: Whether to show the step the run has reached; or a function that is told.
        timeout: Seconds after which the run is stopped.
        overwrite: Whether to replace a file at `output` that is not an earlier run of the same
            template.
        log: Where to write what the cells print, as it comes; the notebook holds it too.

    Returns:
        What became of the run.

    Raises:
        TypeError, ValueError: Before anything starts, if the template or preset is not known, a
            value is wrong, `output` must not be replaced, or another run is writing there; the
            message says which process it is.
    """
    template = catalogue.template(name)
    path = _output_path(template, output)
    _refuse_to_replace(path, template, overwrite)
    if timeout is not None:
        check_number("timeout", timeout, low=0.001)
    values = catalogue.preset(template, preset) if preset else {}
    values |= schema.validate(template.parameters, {**values, **(parameters or {})})
    values = {key: relocate(key, value, path.parent) for key, value in values.items()}
    if any(parameter.name == "output_dir" for parameter in template.parameters):
        values.setdefault("output_dir", ".")
    with _alone(template, path, values), reporter(template.name, progress) as report:
        return _Run(template, path, values, preset, report, log).execute(timeout)


@contextlib.contextmanager
def _alone(template: Template, path: Path, values: Mapping[str, Any]) -> Iterator[None]:
    """Let no second run write the same notebook, or into the same folder, meanwhile.

    Otherwise both would end as completed, and one of them would have lost its result.
    """
    from kernel_lib.tasks.holding import FolderInUseError, hold

    doing = f"a run of {template.name}"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold(path.parent, f".{path.stem}.lock", doing))
            if "output_dir" in values:
                stack.enter_context(hold(_result_folder(path, values), ".run.lock", doing))
        except FolderInUseError as error:
            raise ValueError(str(error)) from None
        yield


def _result_folder(path: Path, values: Mapping[str, Any]) -> Path:
    return Path(os.path.normpath(path.parent / values.get("output_dir", ".")))


class _NotSaved(Exception):
    """The notebook cannot be written, as when the disk is full."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _Run:
    """One run: what papermill tells of it, and what it leaves."""

    def __init__(
        self,
        template: Template,
        path: Path,
        values: dict[str, Any],
        preset: str | None,
        report: Callable[[Step], None],
        log: TextIO | None,
    ) -> None:
        import nbformat

        self.template = template
        self.path = path
        self.values = values
        self.preset = preset
        self.report = report
        self.log = log
        self.cell: int | None = None  # index of the cell that runs
        self.step: Step | None = None
        self.started = time.monotonic()
        self.notebook: Any = None
        self._take(nbformat.read(template.path, as_version=4))

    def execute(self, timeout: float | None) -> RunResult:
        """Run the notebook to its end, or as far as it goes."""
        from kernel_lib.run.kernel import kernel_manager, stoppable

        self.path.parent.mkdir(parents=True, exist_ok=True)
        failure = None
        try:
            with stoppable(), kernel_manager() as manager:
                failure = self._papermill(manager, timeout)
            status = "failed" if failure else "completed"
        except KeyboardInterrupt:
            status = "cancelled"
        except _NotSaved as error:
            status, failure = "failed", error.failure
        except BaseException:
            with contextlib.suppress(_NotSaved):
                self._save("failed")
            raise
        try:
            record.tidy(self.notebook)
            self._save(status, failure)
            record.sign(self.path)
        except _NotSaved as error:
            record.mark_failed_in_place(self.path)
            status, failure = "failed", failure or error.failure
        output_dir = _result_folder(self.path, self.values)
        return RunResult(self.template.name, self.path, output_dir, status, self._seconds, failure)

    def _papermill(self, manager: Any, timeout: float | None) -> Failure | None:
        import papermill
        from nbclient.exceptions import CellTimeoutError, DeadKernelError
        from papermill.exceptions import PapermillExecutionError

        from kernel_lib.run.kernel import START_SECONDS

        # Papermill and nbclient report trouble on a log as well; here the result tells it.
        logging.getLogger("papermill").addHandler(logging.NullHandler())
        try:
            papermill.execute_notebook(
                str(self.template.path).replace("{", "{{").replace("}", "}}"),
                None,
                self.values,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                start_timeout=START_SECONDS,
                km=manager,
                stdout_file=self.log,
                stderr_file=self.log,
                resources={"metadata": {"path": str(self.path.parent)}},
                timeout_func=self._time_left(timeout),
                on_notebook_start=self._on_notebook_start,
                on_cell_start=self._on_cell_start,
                on_cell_executed=self._on_cell_executed,
            )
        except PapermillExecutionError as error:
            return record.cell_failure(self._step_name, error)
        except CellTimeoutError:
            return self._failure("Timeout", f"the run took longer than {timeout:g} seconds.")
        except DeadKernelError:
            return self._failure("KernelDied", _death(manager.last_words()))
        except RuntimeError as error:
            if self.step is None:
                return self._failure("KernelDidNotStart", str(error))
            raise
        return None

    def _time_left(self, timeout: float | None) -> Callable[[Any], float] | None:
        """Return what gives each cell the rest of the time; nbclient knows only cells."""
        if timeout is None:
            return None
        end = self.started + timeout
        return lambda cell: max(0.01, end - time.monotonic())

    def _take(self, notebook: Any) -> None:
        """Make `notebook` the one that is kept, with the record of this run in it."""
        self.notebook = notebook
        defaults = {each.name: each.default for each in self.template.parameters}
        record.mark(
            notebook,
            template=self.template.name,
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            preset=self.preset,
            parameters={**defaults, **self.values},
        )

    def _on_notebook_start(self, notebook: Any) -> None:
        # Papermill's record should not name folders of this machine.
        notebook.metadata.papermill.input_path = self.template.path.name
        notebook.metadata.papermill.output_path = self.path.name
        self._take(notebook)
        self._save("running")

    def _on_cell_start(self, cell: Any, cell_index: int) -> None:
        if cell.cell_type == "code":
            self.cell = cell_index
            self.step = step(self.notebook.cells, cell_index, self.template.title)
            self.report(self.step)

    def _on_cell_executed(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        failed = execute_reply["content"].get("status") == "error"
        with contextlib.suppress(
            *([_NotSaved] if failed else [])
        ):  # the cell's failure comes first
            self._save("running")

    def _save(self, status: str, failure: Failure | None = None) -> None:
        record.mark(self.notebook, status=status, seconds=self._seconds, error=failure)
        if status == "cancelled" or (failure and failure.name == "Timeout"):
            record.mark_unfinished(self.notebook, self.cell or 0)
        try:
            record.write(self.notebook, self.path)
        except OSError as error:
            reason = error.strerror or str(error)
            message = f"the notebook {self.path} cannot be written: {reason}."
            raise _NotSaved(Failure(self._step_name, "", type(error).__name__, message)) from error

    def _failure(self, name: str, message: str) -> Failure:
        source = "" if self.cell is None else self.notebook.cells[self.cell].source
        return Failure(self._step_name, record.excerpt(source), name, message)

    @property
    def _step_name(self) -> str:
        return self.step.name if self.step else ""

    @property
    def _seconds(self) -> float:
        return round(time.monotonic() - self.started, 3)


def _output_path(template: Template, output: str | Path | None) -> Path:
    folder = Path("outputs") / template.name
    path = folder if output is None else output_folder(str(output), "output")
    return path if path.suffix == ".ipynb" else path / f"{template.name}.ipynb"


def _refuse_to_replace(path: Path, template: Template, overwrite: bool) -> None:
    if not path.exists():
        return
    if path.samefile(template.path):
        raise ValueError(f"{path} is the template itself. Choose another output.")
    if not overwrite and record.earlier_run_of(path) != template.name:
        raise ValueError(
            f"{path} exists and is not an earlier run of {template.name}. "
            "Choose another output, or allow it to be overwritten."
        )


def _death(last_words: str) -> str:
    message = "The kernel died; most often memory ran out."
    return f"{message} Its last words:\n{last_words}" if last_words else message
