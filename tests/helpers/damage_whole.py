"""Damaged copies that keep the form of a file: values of JSON, arrays of .npz, parts of archives.

Their checksums fit again, so that readers get to see what is wrong inside.
"""

from __future__ import annotations

import ast
import copy
import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

Damage = Callable[[bytes, random.Random], bytes]

VALUES: list[Any] = [
    *(None, True, -1, 0, 10**7, 2**40, 2**63, 10**400, 1e308, -0.5, float("nan"), float("inf")),
    *("", "x" * 5000, "\0", "../../etc/passwd", "\ud800", "1", "nan"),
    *([], {}, [[]], [None], {"": None}, [[1, 2], [3]], ["a"] * 1000),
]
TYPES = ["<f8", "<i8", "|u1", "|b1", "<f2", ">f4", "<U3", "|S4", "|O", "<c16", "<M8[s]", "|V8"]


def damaged_bytes(content: bytes, draw: random.Random) -> bytes:
    """Bits turned, a piece lost, cut off, overwritten, doubled or moved."""
    made = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 8])):
        start = draw.randrange(len(made) + 1)
        end = min(len(made), start + draw.choice([1, 4, 16, 300]))
        kind = draw.randrange(7)
        if kind <= 1 and made:
            made[min(start, len(made) - 1)] ^= 1 << draw.randrange(8)
        elif kind == 2:
            del made[start:end]
        elif kind == 3:
            del made[start:]
        elif kind == 4:
            made[start:end] = draw.randbytes(end - start)
        elif kind == 5:
            made[start:start] = made[start:end] * draw.choice([1, 3])
        else:
            other = draw.randrange(len(made) + 1)
            made[start:end] = content[other : other + end - start]
    return bytes(made)


def damaged_value(value: Any, draw: random.Random) -> Any:
    """The same JSON value, with one or two of its parts taken out, moved or put in place."""
    made = {"": copy.deepcopy(value)}
    for _ in range(draw.choice([1, 1, 2])):
        places = list(_places(made))
        holder, key = draw.choice(places)
        kind = draw.randrange(6)
        if kind == 0 and holder is not made:
            del holder[key]
        elif kind == 1:
            other, name = draw.choice(places)
            holder[key] = copy.deepcopy(other[name])
        elif kind == 2:
            for _ in range(draw.choice([3, 99, 900])):
                holder[key] = [holder[key]] if draw.random() < 0.5 else {"a": holder[key]}
        elif kind == 3 and isinstance(holder[key], int | float) and abs(holder[key]) < 1e9:
            holder[key] *= draw.choice([-1, 2, 0.5, 1000])
        else:
            holder[key] = copy.deepcopy(draw.choice(VALUES))
    return made[""]


def _places(value: Any) -> Any:
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def damaged_json(content: bytes, draw: random.Random) -> bytes:
    """A JSON text whose values are others."""
    try:
        made = json.dumps(damaged_value(json.loads(content), draw))
    except RecursionError:
        made = "[" * 900 + "]" * 900
    return made.encode()


def damaged_array(content: bytes, draw: random.Random) -> bytes:
    """An .npy file whose description says something else, or whose numbers are odd."""
    start = 10
    length = int.from_bytes(content[8:10], "little")
    header, body = content[start : start + length], content[start + length :]
    told = ast.literal_eval(header.decode())
    kind = draw.randrange(6)
    if kind == 0:
        told["descr"] = draw.choice(TYPES)
    elif kind == 1:
        told["shape"] = draw.choice([(), (0,), (2**40,), (10**6, 10**6), (-1,), (0, 2**60), (1,)])
    elif kind == 2:
        told["shape"] = told["shape"][::-1] if draw.random() < 0.5 else (*told["shape"], 1)
    elif kind == 3:
        told["fortran_order"] = draw.choice([True, 1, None])
    elif kind == 4:
        told[draw.choice(["descr", "shape", "more"])] = draw.choice([None, "x", ((1,),), 5, {}])
    else:
        at = draw.randrange(len(body) + 1)
        odd = draw.choice([b"\xff" * 8, b"\0" * 8, draw.randbytes(64)])
        body = body[:at] + odd + body[at + 8 :]
    text = repr(told).encode() if draw.random() < 0.97 else b"(" * 3000
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return content[:8] + len(text).to_bytes(2, "little") + text + body


def damaged_archive(content: bytes, draw: random.Random, inside: dict[str, Damage]) -> bytes:
    """A zip archive with a part gone, twice, renamed, or damaged as its ending says.

    Args:
        content: the whole archive.
        draw: draws what is done.
        inside: ending of a name -> how such a part is damaged.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    at = draw.randrange(len(parts))
    name, part = parts[at]
    kind = draw.randrange(8)
    if kind == 0:
        del parts[at]
    elif kind == 1:
        parts.append((name, draw.choice(parts)[1]))
    elif kind == 2:
        parts[at] = draw.choice(["../x.npy", "x", f"/{name}", name.upper()]), part
    elif kind == 3:
        parts[at] = name, draw.choice(parts)[1]
    else:
        damage = next((inside[end] for end in inside if name.endswith(end)), damaged_bytes)
        parts[at] = name, damage(part, draw)
    made = io.BytesIO()
    method = draw.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, part in parts:
            archive.writestr(name, part)
    return made.getvalue()
