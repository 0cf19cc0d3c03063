"""The public host key of a machine, read by a grammar: one ed25519 key, or nothing."""

from __future__ import annotations

import base64
import binascii
import re

from ack_preload.domain.errors import InvalidInputError

KIND = "ssh-ed25519"
LINE = re.compile(rf"{KIND} ([A-Za-z0-9+/]{{68}})(?: [\x20-\x7e]{{0,200}})?")
SHOWN = 100


def _word(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


HEAD = _word(KIND.encode()) + (32).to_bytes(4, "big")
"""What every ed25519 public key begins with (RFC 8709); 32 bytes follow, and nothing else."""


def host_key(text: str) -> str:
    """Return the key as ``known_hosts`` has it, ``ssh-ed25519 AAAA...``, without its comment.

    :raises InvalidInputError: for anything but exactly one line with exactly one such key.
    """
    found = LINE.fullmatch(text.removesuffix("\n"))
    try:
        body = base64.b64decode(found[1], validate=True) if found else b""
    except binascii.Error:
        body = b""
    if found is None or not body.startswith(HEAD) or len(body) != len(HEAD) + 32:
        raise InvalidInputError(
            f"host key is {text[:SHOWN]!r}; it must be one line, {KIND} and the key, as in "
            "/etc/ssh/ssh_host_ed25519_key.pub"
        )
    return f"{KIND} {found[1]}"
