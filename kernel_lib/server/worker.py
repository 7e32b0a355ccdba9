"""One run in a process of its own: `python -m kernel_lib.server.worker FOLDER_OF_THE_RUN`.

It goes on when the server stops. What happens is told in `events.jsonl`, what is printed goes to
`log.txt`; SIGTERM and SIGHUP stop the run as Ctrl-C does.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kernel_lib.server.store import append, read


def main(folder: Path) -> int:
    """Run what `run.json` in `folder` asks for; return the exit code."""
    # See kernel_lib.cli: seconds of parsers that nobody needs.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    asked = read(folder / "run.json")
    events = folder / "events.jsonl"
    try:
        os.chdir(asked["folder"])
        end = _run(asked, events, folder / "log.txt")
    except KeyboardInterrupt:
        end = {"status": "cancelled", "seconds": None, "failure": None}
    except Exception as error:
        traceback.print_exc()
        failure = {"step": "", "source": "", "name": type(error).__name__, "message": str(error)}
        end = {"status": "failed", "seconds": None, "failure": failure}
    append(events, {"event": "ended", **end})
    return 0 if end["status"] == "completed" else 1


def _run(asked: dict[str, Any], events: Path, log_path: Path) -> dict[str, Any]:
    from kernel_lib.run import run
    from kernel_lib.run.steps import Step

    started = time.monotonic()

    def tell(step: Step) -> None:
        seconds = round(time.monotonic() - started, 1)
        with contextlib.suppress(OSError):  # on a full disk the run itself tells of it
            append(events, {"event": "step", "seconds": seconds, **asdict(step)})
            print(f"[{step.cell}/{step.cells}] {step.name}", file=log, flush=True)

    with open(log_path, "a", encoding="utf-8", buffering=1) as log:
        result = run(
            asked["template_path"],
            asked["notebook"],
            asked["values"],
            asked["preset"],
            progress=tell,
            log=log,
        )
    return {
        "status": result.status,
        "seconds": result.seconds,
        "failure": asdict(result.error) if result.error else None,
        "output_dir": str(result.output_dir),
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
