"""Damaged copies of a file's content, the same ones each time."""

from __future__ import annotations

import random
from collections.abc import Iterator

# What readers trip over: limits of numbers, nesting, quoting, other types, other encodings.
TOKENS = [
    *(b"null", b"true", b"-1", b"1e999", b"NaN", b"9" * 5000, b"0x" + b"f" * 5000),
    *(b'""', b"[]", b"{}", b"[" * 3000, b"{" * 3000, b"(" * 300, b"&a [*a]", b"*a", b"<<: "),
    *(b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\u0000", b"\\ud800"),
    *(b"!!binary x", b"\n", b"\t", b"'", b'"', b"#"),
]


def mutants(content: bytes, num: int, seed: int = 0) -> Iterator[bytes]:
    """Yield `num` damaged copies of `content`: cut, changed, doubled, with tokens put in."""
    draw = random.Random(seed)
    for _ in range(num):
        made = bytearray(content)
        for _ in range(draw.choice([1, 1, 1, 2, 5])):
            _damage(made, draw)
        yield bytes(made)


def _damage(made: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(made) + 1)
    end = min(len(made), start + draw.choice([0, 1, 4, 40, 400]))
    kind = draw.randrange(5)
    if kind == 0:
        del made[start:end]
    elif kind == 1:
        made[start:end] = bytes(draw.randrange(256) for _ in range(end - start))
    elif kind == 2:
        made[start:start] = made[start:end] * draw.choice([1, 2, 50])
    elif kind == 3:
        made[start:start] = draw.choice(TOKENS)
    else:  # in place of a whole value
        stop = next((at for at in range(start, len(made)) if made[at] in b",:]}\n"), len(made))
        made[start:stop] = draw.choice(TOKENS)
