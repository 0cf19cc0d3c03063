"""Find the static busybox that makes the generated images run."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

from emulator.content.errors import ContentError

_CANDIDATES = ("/bin/busybox", "/usr/bin/busybox", "/usr/lib/initramfs-tools/bin/busybox")
_PT_INTERP = 3  # the ELF program header of a dynamically linked program


def static_busybox() -> Path:
    """Return the path of a statically linked busybox.

    :raises ContentError: naming the package to install.
    """
    found = [Path(path) for path in (*_CANDIDATES, shutil.which("busybox")) if path]
    present = [path for path in found if path.is_file()]
    for path in present:
        if _is_static(path):
            return path
    state = f"{present[0]} is not statically linked" if present else "there is no busybox"
    raise ContentError(
        f"images cannot be generated: {state}; install it: apt-get install busybox-static"
    )


def _is_static(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:5] != b"\x7fELF\x02":  # noqa: PLR2004  # 64-bit ELF header
            return False
        (table,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        file.seek(table)
        headers = file.read(size * count)
    kinds = (struct.unpack_from("<I", headers, at)[0] for at in range(0, len(headers), size))
    return _PT_INTERP not in kinds
