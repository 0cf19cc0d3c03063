"""Where everything of the local run lives: one folder, ``.local`` unless told otherwise."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME_VARIABLE = "ACK_PRELOAD_LOCAL"  # another folder than .local, for tests


@dataclass(frozen=True, slots=True)
class Layout:
    home: Path

    @classmethod
    def default(cls) -> Layout:
        return cls(Path(os.environ.get(HOME_VARIABLE) or ROOT / ".local").resolve())

    @property
    def secrets(self) -> Path:
        """Passwords and keys that were generated on first use; 0600."""
        return self.home / "secrets"

    @property
    def run(self) -> Path:
        """What is running now: ``state.json``, ``cloud.json``."""
        return self.home / "run"

    @property
    def state(self) -> Path:
        return self.run / "state.json"

    @property
    def cloud(self) -> Path:
        """The ready line of the local cloud, with its access key: 0600."""
        return self.run / "cloud.json"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def airflow(self) -> Path:
        return self.home / "airflow"

    def emulator(self, machines: str) -> Path:
        """State of the local cloud; that of real machines may belong to root, by way of sudo."""
        return self.home / "emulator" / machines

    @property
    def demo(self) -> Path:
        return self.home / "demo"

    @property
    def targets(self) -> Path:
        return self.demo / "targets.yaml"

    @property
    def report(self) -> Path:
        return self.demo / "report.json"

    def make(self) -> None:
        """Create the folders, readable by their owner alone."""
        names = ("secrets", "run", "logs", "airflow", "demo", "emulator")
        for folder in (self.home, *(self.home / name for name in names)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` in one step; nobody but its owner can ever read it."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    scratch.replace(path)
