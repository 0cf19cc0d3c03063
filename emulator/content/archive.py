"""A tar.gz that is hashed and compressed while it is written and never held in memory."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

# Level 1: generation time matters more than the ratio, which the filling fixes anyway.
_LEVEL = 1
_GZIP_WINDOW = 31  # zlib's code for a gzip header; its time stamp stays 0
_MOMENT = 1_740_000_000  # one mtime for all files, so that digests repeat


@dataclass(frozen=True, slots=True)
class Archive:
    """What was written."""

    digest: str  # of the compressed bytes, sha256:…
    diff_id: str  # of the tar itself, sha256:…
    size: int  # compressed
    files: int


class ArchiveWriter:
    """Write members in order; ``finish`` ends the archive and says what it holds.

    All members belong to root and carry one time stamp.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
        self._plain = hashlib.sha256()
        self._packed = hashlib.sha256()
        self._plain_size = 0
        self._size = 0
        self._files = 0
        self._folders: set[str] = set()

    def __enter__(self) -> Self:
        self._out: BinaryIO = self._path.open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._out.close()

    def folder(self, name: str, mode: int = 0o755) -> None:
        """Add a folder and those above it, each once."""
        if not name or name in self._folders:
            return
        parent, _, _ = name.rpartition("/")
        self.folder(parent)
        self._folders.add(name)
        self._header(name, tarfile.DIRTYPE, mode=mode)

    def link(self, name: str, target: str) -> None:
        self.folder(name.rpartition("/")[0])
        self._header(name, tarfile.SYMTYPE, mode=0o777, target=target)
        self._files += 1

    def file(self, name: str, size: int, pieces: Iterable[bytes], *, mode: int = 0o644) -> None:
        """Add a file of ``size`` bytes.

        :raises ValueError: when the pieces are not ``size`` bytes together.
        """
        self.folder(name.rpartition("/")[0])
        self._header(name, tarfile.REGTYPE, mode=mode, size=size)
        written = 0
        for piece in pieces:
            self._write(piece)
            written += len(piece)
        if written != size:
            raise ValueError(f"{name} was announced with {size} bytes and got {written}")
        self._write(bytes(-size % tarfile.BLOCKSIZE))
        self._files += 1

    def text(self, name: str, text: str, *, mode: int = 0o644) -> None:
        data = text.encode()
        self.file(name, len(data), [data], mode=mode)

    def finish(self) -> Archive:
        end = 2 * tarfile.BLOCKSIZE
        self._write(bytes(end + -(self._plain_size + end) % tarfile.RECORDSIZE))
        self._emit(self._compressor.flush())
        return Archive(
            digest=f"sha256:{self._packed.hexdigest()}",
            diff_id=f"sha256:{self._plain.hexdigest()}",
            size=self._size,
            files=self._files,
        )

    def _header(
        self, name: str, kind: bytes, *, mode: int, size: int = 0, target: str = ""
    ) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.size, info.linkname = kind, mode, size, target
        info.mtime = _MOMENT
        info.uname = info.gname = "root"
        self._write(info.tobuf(tarfile.GNU_FORMAT))

    def _write(self, data: bytes) -> None:
        self._plain.update(data)
        self._plain_size += len(data)
        self._emit(self._compressor.compress(data))

    def _emit(self, packed: bytes) -> None:
        self._packed.update(packed)
        self._size += len(packed)
        self._out.write(packed)
