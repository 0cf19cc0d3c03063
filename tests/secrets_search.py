"""Search for secrets where none may be: as they are, and as encodings would have written them.

A :class:`Marker` is a secret that is known to the test; a :class:`Place` is bytes with a name, read
when it is searched. ``search`` returns each place that holds a marker in any of its forms. What is
compressed or encrypted is not seen through, so tests look at what is not.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

SHORTEST = 8
"""Bytes of a form: a shorter one would be found by chance."""


@dataclass(frozen=True, slots=True)
class Marker:
    """A secret, and how it may have been written."""

    name: str
    forms: tuple[tuple[str, bytes], ...]

    @classmethod
    def of(cls, name: str, secret: str | bytes) -> Marker:
        """Return a marker for a password or the like."""
        return cls(name, tuple(forms(secret.encode() if isinstance(secret, str) else secret)))

    @classmethod
    def of_key(cls, name: str, pem: str | bytes) -> Marker:
        """Return a marker for a private key: its secret numbers, and what of them is in the PEM."""
        text = pem.encode() if isinstance(pem, str) else pem
        found = [form for number in _secret_numbers(text) for form in forms(number)]
        for line in _secret_lines(text):
            found += [(f"PEM line, {form}", value) for form, value in forms(line)]
        return cls(name, tuple(found))


@dataclass(frozen=True, slots=True)
class Place:
    """Bytes that somebody may read.

    :ivar kind: such as ``log``; by it a test says where a marker may be on purpose.
    """

    kind: str
    name: str
    read: Callable[[], Iterable[bytes]]

    @classmethod
    def of_text(cls, kind: str, name: str, text: str) -> Place:
        return cls(kind, name, lambda: (text.encode(),))


@dataclass(frozen=True, slots=True)
class Finding:
    kind: str
    place: str
    marker: str
    form: str

    def __str__(self) -> str:
        return f"{self.kind} {self.place}: {self.marker}, {self.form}"


def search(markers: Iterable[Marker], places: Iterable[Place]) -> list[Finding]:
    """Return what was found, one entry a place and marker."""
    known = list(markers)
    found: dict[tuple[str, str, str], Finding] = {}
    for place in places:
        for data in place.read():
            for marker in known:
                for form, value in marker.forms:
                    if value in data:
                        key = (place.kind, place.name, marker.name)
                        found.setdefault(key, Finding(place.kind, place.name, marker.name, form))
    return list(found.values())


# -- how a secret may be written


def forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the ways in which a secret is written, each once."""
    seen: set[bytes] = set()
    for name, value in _all_forms(secret):
        if len(value) >= SHORTEST and value not in seen:
            seen.add(value)
            yield name, value


def _all_forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    yield "as it is", secret
    for shift in range(3):
        yield f"base64 after {shift}", _base64_inside(secret, shift)
        inside = _base64_inside(secret, shift)
        yield f"URL-safe base64 after {shift}", inside.translate(bytes.maketrans(b"+/", b"-_"))
    yield "hexadecimal", binascii.hexlify(secret)
    yield "hexadecimal, upper case", binascii.hexlify(secret).upper()
    yield "URL", quote(secret, safe="").encode()
    yield "URL form", quote_plus(secret).encode()
    yield "Python's bytes", repr(secret)[2:-1].encode()
    with contextlib.suppress(UnicodeDecodeError):
        text = secret.decode()
        once = json.dumps(text)[1:-1]
        yield "JSON", once.encode()
        yield "JSON with letters", json.dumps(text, ensure_ascii=False)[1:-1].encode()
        yield "JSON in JSON", json.dumps(once)[1:-1].encode()
        yield "UTF-16", text.encode("utf-16-le")


def _base64_inside(secret: bytes, shift: int) -> bytes:
    """Return those characters of base64 that depend on the secret alone, after ``shift`` bytes."""
    encoded = base64.b64encode(bytes(shift) + secret)
    first = (shift * 8 + 5) // 6  # characters that the bytes before have a part in
    last = (shift + len(secret)) * 8 // 6
    return encoded[first:last]


def _secret_numbers(pem: bytes) -> list[bytes]:
    """Return what is secret of a private key, as bytes."""
    key = _key(pem)
    if isinstance(key, Ed25519PrivateKey):
        return [key.private_bytes_raw()]
    if isinstance(key, EllipticCurvePrivateKey):
        return [_bytes(key.private_numbers().private_value)]
    if isinstance(key, RSAPrivateKey):
        numbers = key.private_numbers()
        return [_bytes(number) for number in (numbers.d, numbers.p, numbers.q)]
    raise TypeError(f"a key of {type(key).__name__} is not known here")


def _key(pem: bytes) -> object:
    if b"OPENSSH" in pem:
        return serialization.load_ssh_private_key(pem, None)
    return serialization.load_pem_private_key(pem, None)


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _secret_lines(pem: bytes) -> Iterator[bytes]:
    """Yield, of each line of a PEM, the characters that the secret alone decides."""
    lines = [line for line in pem.splitlines() if line and not line.startswith(b"-")]
    whole, start = base64.b64decode(b"".join(lines)), 0
    for number in _secret_numbers(pem):
        at = whole.find(number)
        if at < 0:
            continue
        first, last = -(-at * 8 // 6), (at + len(number)) * 8 // 6
        for line in lines:
            begin, end = max(first - start, 0), min(last - start, len(line))
            if end - begin >= SHORTEST:
                yield line[begin:end]
            start += len(line)
        start = 0


# -- where to look


def files(kind: str, folder: Path) -> Iterator[Place]:
    """Yield every file below a folder, holes left out; links are not followed."""
    if folder.is_file():
        yield Place(kind, str(folder), lambda: _data(folder))
        return
    for where, _, names in os.walk(folder):
        for name in names:
            path = Path(where, name)
            if path.is_file() and not path.is_symlink():
                yield Place(kind, str(path), lambda path=path: _data(path))  # type: ignore[misc]


def _data(path: Path) -> Iterator[bytes]:
    """Yield what a file holds; of a sparse one each part that is there."""
    with path.open("rb") as file:
        size, start = file.seek(0, os.SEEK_END), 0
        while start < size:
            try:
                start = os.lseek(file.fileno(), start, os.SEEK_DATA)
            except OSError:  # nothing but a hole from here on
                return
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            file.seek(start)
            yield file.read(end - start)
            start = end


def columns(kind: str, database: Path) -> Iterator[Place]:
    """Yield every column of every table of an SQLite database."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
        for (table,) in connection.execute(tables).fetchall():
            cursor = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # of its own list
            rows = cursor.fetchall()
            for number, (name, *_) in enumerate(cursor.description):
                values = [_as_bytes(row[number]) for row in rows if row[number] is not None]
                yield Place(kind, f"{table}.{name}", lambda values=values: values)  # type: ignore[misc]


def _as_bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
