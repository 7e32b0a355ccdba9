"""Find the modules beside these tests and the widgets of this checkout."""

from __future__ import annotations

import sys
from pathlib import Path

_HERE = Path(__file__).parent
for folder in (_HERE, _HERE.parents[1] / "widgets"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
