"""The `kernel-lib` command: a thin wrapper of `kernel_lib.run` and `kernel_lib.report`.

Exit codes: 0 when it worked, 1 when a run failed, 2 for wrong use, 130 when a run was stopped.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kernel_lib import __version__

EXIT_CODES = {"completed": 0, "failed": 1, "cancelled": 130}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` and return the exit code.

    Args:
        arguments: Words of the command line; those of this process by default.
    """
    # A dependency of the notebook format builds dozens of parsers at import, up to seconds; they
    # check internationalised addresses, which notebooks do not hold.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    warnings.showwarning = _show_warning
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except (OSError, TypeError, ValueError) as error:
        print(f"kernel-lib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def list_templates(options: argparse.Namespace) -> None:
    """Print name and title of every template."""
    from kernel_lib.run.catalogue import templates

    found = templates()
    width = max((len(template.name) for template in found), default=0)
    for template in found:
        print(f"{template.name:{width}}  {template.title}")


def show(options: argparse.Namespace) -> None:
    """Print what a template does, its presets and its parameters."""
    from kernel_lib.run.catalogue import template

    shown = template(options.template)
    print(f"{shown.title}\n")
    if shown.description:
        print(f"{_wrapped(shown.description)}\n")
    print(f"Presets: {', '.join(shown.presets) or 'none'}\n\nParameters:")
    for parameter in shown.parameters:
        default = f" = {parameter.source}" if parameter.source else ", needed"
        print(f"  {parameter.name}: {parameter.type}{default}")
        for line in (parameter.help, _limits(parameter)):
            if line:
                print(_wrapped(line, indent="      "))


def run(options: argparse.Namespace) -> int:
    """Run a template and print what became of it."""
    from kernel_lib.run.catalogue import read_values, template
    from kernel_lib.run.runner import run as run_template
    from kernel_lib.run.schema import find

    declared = template(options.template).parameters
    values: dict[str, Any] = {}
    for file in options.file:
        values |= read_values(Path(file), declared)
    for name, text in options.parameter:
        values[name] = find(declared, name).parse(text)
    result = run_template(
        options.template,
        options.output,
        values,
        options.preset,
        progress=not options.quiet,
        timeout=options.timeout,
        overwrite=options.overwrite,
    )
    print(result, file=sys.stdout if result.status == "completed" else sys.stderr)
    return EXIT_CODES[result.status]


def export(options: argparse.Namespace) -> None:
    """Write an executed notebook as one HTML page."""
    from kernel_lib.run.export import export as export_notebook

    print(export_notebook(options.notebook, options.output, still=options.still))


def report(options: argparse.Namespace) -> None:
    """Write the gallery page of a folder of results."""
    from kernel_lib.report.gallery import gallery

    print(gallery(options.folder, options.output))


def intake(options: argparse.Namespace) -> int:
    """Say how a network is fed and judged, and what so many images can tell; 1 if it must stop."""
    import json

    from kernel_lib.data import load as load_images
    from kernel_lib.models import names

    is_named = options.model.lower() in {name.lower() for name in names()}
    if is_named and options.weights is None:
        raise ValueError(
            f"{options.model!r} is the name of a network that is yet to be trained. "
            "Give a model file, or the weights: --weights imagenet."
        )
    reading = {"size": options.size, "primary": options.task}
    feeding = {
        name: getattr(options, name)
        for name in (
            *("weights", "num_classes", "preprocessing", "class_names", "input_size", "output"),
            "seed",
        )
    }
    images = load_images(options.data, seed=options.seed, **_given(reading))
    from kernel_lib.audit.examine import intake as take_in  # TensorFlow, when images are there
    from kernel_lib.models import load_or_train

    model = load_or_train(options.model, images, **_given(feeding))
    found = take_in(model, images, audit=options.audit, seed=options.seed)
    print(json.dumps(found.describe(), indent=1) if options.json else found)
    return 1 if found.stops else 0


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kernel-lib", description="Check-ups for trained image classifiers, as notebooks."
    )
    parser.add_argument("--version", action="version", version=f"kernel-lib {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: Any) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=command.__doc__, description=command.__doc__)
        made.set_defaults(command=command)
        return made

    add("templates", list_templates)
    add("show", show).add_argument("template", metavar="TEMPLATE")
    _add_run_arguments(add("run", run))
    exporter = add("export", export)
    exporter.add_argument("notebook", metavar="NOTEBOOK")
    exporter.add_argument("output", metavar="OUTPUT", nargs="?")
    exporter.add_argument("--still", action="store_true", help="pictures in place of widgets")
    _add_intake_arguments(add("intake", intake))
    reporter = add("report", report)
    reporter.add_argument("folder", metavar="FOLDER")
    reporter.add_argument("output", metavar="OUTPUT", nargs="?")
    return parser


def _add_intake_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="a .keras or .h5 file, or a network whose weights are given")
    add(
        "data",
        metavar="DATA",
        help="images: a name, npz:PATH, folder:PATH, photos:PATH, table:PATH",
    )
    add(
        "--preprocessing",
        help="how the network wants its input: bytes, symmetric, 2,-1, a file, ...",
    )
    add(
        "--class-names",
        type=_names,
        metavar="A,B,C",
        help="classes in the network's order; or a JSON list",
    )
    add(
        "--input-size", type=int, metavar="SIDE", help="side in pixels, where the network leaves it"
    )
    add("--output", help="which output holds the class scores, where there are several")
    add("--weights", metavar="W", help="of a named network: imagenet, or a weights file")
    add("--num-classes", type=int, metavar="N", help="classes of these weights")
    add("--size", type=int, metavar="SIDE", help="side in pixels to which images are scaled")
    add("--task", metavar="NAME", help="the label column to judge by, where there are several")
    add("--seed", type=int, default=0, metavar="N", help="of splits and of the choice of images")
    add("--audit", metavar="NAME", help="forecast time and memory of this audit")
    add("--json", action="store_true", help="print the intake as JSON")


def _names(text: str) -> list[str]:
    """Names with commas between them, or as a JSON list, where a name holds a comma."""
    import json

    if text.startswith("["):
        return [str(name) for name in json.loads(text)]
    return [name.strip() for name in text.split(",")]


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("template", metavar="TEMPLATE", help="a name, or the path of a notebook")
    add("output", metavar="OUTPUT", nargs="?", help="notebook (.ipynb) or folder to write")
    add(
        "-p",
        "--parameter",
        nargs=2,
        metavar=("NAME", "VALUE"),
        action="append",
        default=[],
        help="one parameter; lists as a,b,c",
    )
    add("-f", "--file", metavar="FILE", action="append", default=[], help="parameters in YAML")
    add("--preset", metavar="NAME", help="a preset of the template")
    add("--timeout", metavar="SECONDS", type=float, help="stop the run after this time")
    add("--overwrite", action="store_true", help="replace OUTPUT whatever it is")
    add("--quiet", action="store_true", help="show no progress")


def _limits(parameter: Any) -> str:
    limits = []
    if parameter.choices:
        limits.append(f"one of {', '.join(map(str, parameter.choices))}")
    if parameter.minimum is not None:
        limits.append(f"at least {parameter.minimum:g}")
    if parameter.maximum is not None:
        limits.append(f"at most {parameter.maximum:g}")
    return ", ".join(limits)


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, 88, initial_indent=indent, subsequent_indent=indent)


def _show_warning(message: Any, *place: Any, **more: Any) -> None:
    print(f"kernel-lib: {message}", file=sys.stderr)
