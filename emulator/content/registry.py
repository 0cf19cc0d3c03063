"""Debian's docker-registry over a generated storage folder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from emulator.content.errors import ContentError
from emulator.content.login import REALM, Login
from emulator.content.served import ServedProcess
from emulator.content.storage import digests

__all__ = ["RegistryProcess", "digests"]

_ENVIRONMENT = ("PATH", "HOME", "TMPDIR")


class RegistryProcess(ServedProcess):
    """Serve a registry's storage without TLS, read-only.

    Read-only, so that several local clouds can share one cached storage, and no node can change
    what the next one pulls. Calls are counted from the registry's own access log.

    :param login: what it wants to see of everyone who asks; nothing when there is none.
    """

    what = "docker-registry"

    def __init__(
        self,
        storage: Path,
        address: str,
        port: int,
        netns: str | None,
        log: Path,
        *,
        login: Login | None = None,
    ) -> None:
        super().__init__(address, port, netns, log)
        self.storage = storage
        self.login = login

    def _command(self) -> list[str]:
        program = shutil.which("docker-registry")
        if program is None:
            raise ContentError(
                "docker-registry is not installed; install it: apt-get install docker-registry"
            )
        config = self.log.with_suffix(".yml")
        config.write_text(json.dumps(self._config() | self._auth()))  # JSON is YAML
        return [program, "serve", str(config)]

    def _config(self) -> dict[str, object]:
        return {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": False}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.storage)},
                "cache": {"blobdescriptor": "inmemory"},
                "maintenance": {
                    "readonly": {"enabled": True},
                    "uploadpurging": {"enabled": False},
                },
            },
            "http": {
                "addr": f"{self.address}:{self.port}",
                # Signs upload states, and a read-only registry has none.
                "secret": "unused",
            },
        }

    def _auth(self) -> dict[str, object]:
        if self.login is None:
            return {}
        path = self.log.with_suffix(".htpasswd")
        self.login.write_htpasswd(path)
        return {"auth": {"htpasswd": {"realm": REALM, "path": str(path)}}}

    def _environment(self) -> dict[str, str]:
        # REGISTRY_* variables would override the file.
        return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
