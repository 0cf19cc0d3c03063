"""The login of the private registry: made anew for each local cloud, known from its ready line."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path

REALM = "local cloud"
USERNAME = "robot"
_ROUNDS = 4  # bcrypt's least: the registry computes it for each of a pull's requests
_DOCKER_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}


@dataclass(frozen=True, slots=True)
class Login:
    username: str = USERNAME
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)

    @property
    def basic(self) -> str:
        """The ``Authorization`` that opens the registry."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def opens(self, authorization: str) -> bool:
        return secrets.compare_digest(authorization.encode(), self.basic.encode())

    def write_htpasswd(self, path: Path) -> None:
        """Write the file that docker-registry reads; it holds a hash."""
        import bcrypt  # noqa: PLC0415  # compiled, and for real machines only

        hashed = bcrypt.hashpw(self.password.encode(), bcrypt.gensalt(_ROUNDS)).decode()
        path.touch(0o600)
        path.write_text(f"{self.username}:{hashed}\n")


def unauthorized(path: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body of docker-registry's 401 for a path."""
    parts = path.removeprefix("/v2/").rpartition("/")[0].rpartition("/")
    detail = None
    if parts[0]:
        detail = [{"Type": "repository", "Class": "", "Name": parts[0], "Action": "pull"}]
    problem = {"code": "UNAUTHORIZED", "message": "authentication required", "detail": detail}
    body = json.dumps({"errors": [problem]}, separators=(",", ":")) + "\n"
    headers = {
        **_DOCKER_VERSION,
        "Content-Type": "application/json; charset=utf-8",
        "WWW-Authenticate": f'Basic realm="{REALM}"',
    }
    return headers, body.encode()
