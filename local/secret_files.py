"""Passwords and keys of the local Airflow: generated on first use, kept in files of mode 0600."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from local.layout import Layout, write_private

USER = "admin"


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    password: str
    passwords_file: Path  # as SimpleAuthManager reads it
    jwt_secret: str
    api_secret_key: str
    fernet_key: str


def load_secrets(layout: Layout) -> Secrets:
    """Return the secrets of this folder, making those that are not there yet."""
    passwords_file = layout.secrets / "airflow_passwords.json"
    if not passwords_file.exists():
        write_private(passwords_file, json.dumps({USER: secrets.token_urlsafe(18)}) + "\n")
    return Secrets(
        password=json.loads(passwords_file.read_text())[USER],
        passwords_file=passwords_file,
        jwt_secret=_kept(layout.secrets / "jwt_secret"),
        api_secret_key=_kept(layout.secrets / "api_secret_key"),
        fernet_key=_kept(layout.secrets / "fernet_key"),
    )


def _kept(path: Path) -> str:
    if not path.exists():
        # 32 bytes in URL-safe base64 is what Fernet asks for, and enough for the two others.
        write_private(path, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode() + "\n")
    return path.read_text().strip()
