"""Deterministic bytes that compress as source code, machine code and model weights do."""

from __future__ import annotations

import random
from collections.abc import Iterator
from enum import StrEnum
from functools import cache

MIB = 1 << 20
_CHUNK = 256 << 10  # far above deflate's 32 KiB window, so repeats of the pools are not found
_POOL_BYTES = 8 * MIB


class Kind(StrEnum):
    SOURCE = "source"
    LIBRARY = "library"
    WEIGHTS = "weights"


def file_sizes(kind: Kind, total: int, rng: random.Random) -> Iterator[int]:
    """Cut ``total`` bytes into files as large as files of this kind are."""
    smallest, largest = {
        Kind.SOURCE: (512, 40 << 10),
        Kind.LIBRARY: (128 << 10, 6 * MIB),
        Kind.WEIGHTS: (16 * MIB, 48 * MIB),
    }[kind]
    while total > 0:
        size = min(total, rng.randint(smallest, largest))
        yield size
        total -= size


def filling(kind: Kind, size: int, rng: random.Random) -> Iterator[bytes]:
    """Yield ``size`` bytes in pieces."""
    while size > 0:
        length = min(size, _CHUNK)
        if kind is Kind.WEIGHTS:
            yield rng.randbytes(length)
        else:
            pool = _text_pool() if kind is Kind.SOURCE else _code_pool()
            start = rng.randrange(len(pool) - length)
            yield pool[start : start + length]
        size -= length


def prepare() -> None:
    """Make what all filling is cut from, so that threads do not each make it."""
    _text_pool()
    _code_pool()


@cache
def _text_pool() -> bytes:
    rng = random.Random("text")  # noqa: S311  # repeatable, not secret
    letters = b"etaoinshrdlcumwfgypbvk_."
    words = [bytes(rng.choices(letters, k=rng.randint(2, 11))) for _ in range(3000)]
    words += [b"\n    "] * 300
    weights = [1 / (rank + 3) for rank in range(len(words))]  # Zipf, as names in code are
    return b" ".join(rng.choices(words, weights, k=_POOL_BYTES // 6))


@cache
def _code_pool() -> bytes:
    """Return a mix of skewed bytes (opcodes), repeated records (tables) and zeros (padding)."""
    rng = random.Random("code")  # noqa: S311  # repeatable, not secret
    skewed = bytes(min(value, rng.randrange(256), rng.randrange(256)) for value in range(256))
    parts: list[bytes] = []
    length = 0
    while length < _POOL_BYTES:
        opcodes = rng.randbytes(rng.randint(1 << 10, 8 << 10)).translate(skewed)
        record = rng.randbytes(rng.choice((8, 16, 24)))
        table = b"".join(record + rng.randbytes(4) for _ in range(rng.randint(100, 520)))
        parts += [opcodes, table, bytes(rng.randint(64, 2 << 10))]
        length += sum(map(len, parts[-3:]))
    return b"".join(parts)
