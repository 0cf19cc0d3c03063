"""The search for secrets finds what is there: in every form, kind of place and line of a key."""

from __future__ import annotations

import base64
import json
import sqlite3
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.secrets_search import Marker, Place, columns, files, search

SECRET = 'mårker "s3cret"/%+'
MARKER = Marker.of("marker", SECRET)
RAW = SECRET.encode()


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(RAW, id="as it is"),
        *(
            pytest.param(base64.b64encode(b"x" * n + RAW + b"yy"), id=f"base64 {n}")
            for n in range(4)
        ),
        *(
            pytest.param(base64.urlsafe_b64encode(b"x" * n + RAW + b"y"), id=f"URL base64 {n}")
            for n in range(3)
        ),
        pytest.param(RAW.hex().encode(), id="hex"),
        pytest.param(RAW.hex().upper().encode(), id="upper hex"),
        pytest.param(quote(SECRET, safe="").encode(), id="URL"),
        pytest.param(json.dumps({"extra": SECRET}).encode(), id="JSON"),
        pytest.param(json.dumps(json.dumps({"a": SECRET})).encode(), id="JSON in JSON"),
        pytest.param(json.dumps(SECRET, ensure_ascii=False).encode(), id="JSON with letters"),
        pytest.param(repr(RAW).encode(), id="repr of bytes"),
        pytest.param(f"tag={SECRET}".encode("utf-16-le"), id="UTF-16"),
    ],
)
def test_a_secret_is_found_in_every_form(written: bytes) -> None:
    (found,) = search(
        [MARKER], [Place("log", "here", lambda: [b"before ", b"in " + written + b" x"])]
    )
    assert (found.kind, found.place, found.marker) == ("log", "here", "marker")


def test_what_is_no_secret_is_not_found() -> None:
    assert search([MARKER], [Place.of_text("log", "here", "marker s3cret")]) == []


@pytest.mark.parametrize("kind", ["ed25519", "ec", "rsa"])
def test_each_line_of_a_private_key_is_found_and_its_public_key_is_not(kind: str) -> None:
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    key = ed25519.Ed25519PrivateKey.generate()
    if kind == "ec":
        key = ec.generate_private_key(ec.SECP256R1())
    elif kind == "rsa":
        key = rsa.generate_private_key(65537, 2048)
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    pem = key.private_bytes(encoding, serialization.PrivateFormat.OpenSSH, plain)
    marker = Marker.of_key("key", pem)
    assert [line for line in pem.splitlines() if search([marker], [_place(line)])]
    for written in (json.dumps(pem.decode()).encode(), base64.b64encode(pem), pem.hex().encode()):
        assert search([marker], [_place(written)])
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    assert search([marker], [_place(public)]) == []


def _place(data: bytes) -> Place:
    return Place("log", "here", lambda: [data])


def test_files_are_searched_with_the_parts_of_sparse_ones(tmp_path: Path) -> None:
    sparse = tmp_path / "folder" / "disk.img"
    sparse.parent.mkdir()
    with sparse.open("wb") as file:
        file.seek(1 << 30)
        file.write(RAW)
        file.truncate(1 << 40)
    (tmp_path / "folder" / "link").symlink_to("/etc/passwd")
    places = list(files("disk", tmp_path))
    assert [place.name for place in places] == [str(sparse)]
    assert [found.place for found in search([MARKER], places)] == [str(sparse)]


def test_columns_of_a_database_are_named(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE xcom (key TEXT, value BLOB, size INTEGER)")
        connection.execute("INSERT INTO xcom VALUES (?, ?, NULL)", ("a", json.dumps(SECRET)))
    assert [str(found) for found in search([MARKER], columns("database", path))] == [
        "database xcom.value: marker, JSON"
    ]
