"""Serve one disk as a file whose blocks are slow the first time that they are read.

usage: lazy_server.py DISK MAP POINT BYTES_PER_S

Runs as a program of its own, with the standard library alone: a process that served itself would
hang when it is killed. Mounts the file at POINT, prints ``ready``, and ends when it is unmounted.

MAP has a byte for each block of DISK; see :data:`COLD`. It is written through, so that what was
read stays fast after the machine was stopped and started, or this program killed.

It speaks the kernel's FUSE protocol itself (linux/fuse.h; a stable interface): one file and ten
requests. libfuse with a binding would be a Debian package and a Python package more.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import queue
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

BLOCK = 4096  # what ext4 and XFS read at least; a cloud loads larger pieces, which are not known
LOADED, COLD, PENDING = 0, 1, 2  # pending: a read that was charged for it waits its time

WORKERS = 4  # one may be in an fsync
MAX_IO = 1 << 20
CREDIT_S = 0.01  # a thread wakes up late; the next read gets that time back

_IN = struct.Struct("<IIQQIIIHH")  # length, opcode, unique, node, uid, gid, pid, ...
_OUT = struct.Struct("<IiQ")  # length, -errno, unique
_READ_WRITE = struct.Struct("<QQIIQII")  # handle, offset, size, ...
_INIT, _INIT_REPLY = struct.Struct("<IIII"), struct.Struct("<IIIIHHIIHHII24x")
_OPEN_REPLY, _WRITE_REPLY = struct.Struct("<QIi"), struct.Struct("<II")
_ATTR_REPLY, _STATFS_REPLY = struct.Struct("<QII6Q10I"), struct.Struct("<5Q10I")
_FALLOCATE = struct.Struct("<QQQII")  # handle, offset, length, mode, padding

GETATTR, OPEN, READ, WRITE, STATFS = 3, 14, 15, 16, 17
RELEASE, FSYNC, INIT, DESTROY, FALLOCATE = 18, 20, 26, 38, 43
UNANSWERED = {2, 36, 42}  # FORGET, INTERRUPT, BATCH_FORGET
PROTOCOL = (7, 31)
# ASYNC_READ, BIG_WRITES, ASYNC_DIO, MAX_PAGES: many large requests at once, as a disk takes them.
INIT_FLAGS = 1 << 0 | 1 << 5 | 1 << 15 | 1 << 22
# DIRECT_IO, PARALLEL_DIRECT_WRITES: the machine's own page cache is the only one on top.
OPEN_FLAGS = 1 << 0 | 1 << 6

_PR_SET_IO_FLUSHER = 57  # prctl(2): memory that this program needs is never got by writing to it
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Wait:
    """A read that is not answered before its time."""

    until: float
    unique: int
    offset: int
    size: int


class Blocks:
    """Which blocks are still to be read for the first time, and when the next one may be."""

    def __init__(self, file: str, bytes_per_s: float) -> None:
        with open(file, "r+b") as opened:  # noqa: PTH123  # a program without pathlib starts faster
            self._map = mmap.mmap(opened.fileno(), 0)
        self._bytes_per_s = bytes_per_s
        self._free_at = 0.0
        self._lock = threading.Lock()
        if self._map.find(bytes([PENDING])) >= 0:  # of a server that was killed
            self._map[:] = self._map[:].replace(bytes([PENDING]), bytes([COLD]))

    def charge(self, offset: int, size: int) -> float | None:
        """Return when a read may be answered; nothing for one that is fast."""
        part = _blocks(offset, size)
        with self._lock:
            states = self._map[part]
            if not any(states):
                return None
            cost = states.count(COLD) * BLOCK / self._bytes_per_s
            self._free_at = max(self._free_at, time.monotonic() - CREDIT_S) + cost
            self._map[part] = states.replace(bytes([COLD]), bytes([PENDING]))
            return self._free_at

    def loaded(self, offset: int, size: int) -> None:
        """Note what was read or written; a block that was written in part counts too."""
        part = _blocks(offset, size)
        with self._lock:
            if any(states := self._map[part]):
                self._map[part] = bytes(len(states))


def _blocks(offset: int, size: int) -> slice:
    return slice(offset // BLOCK, -(-(offset + size) // BLOCK))


class Server:
    """Answers the kernel."""

    def __init__(self, device: int, disk: int, blocks: Blocks) -> None:
        self._device = device
        self._disk = disk
        self._blocks = blocks
        # First come, first served, so one thread and one queue keep all times.
        self._waiting: queue.SimpleQueue[Wait] = queue.SimpleQueue()
        self._answers: dict[int, Callable[[int, memoryview], Sequence[bytes] | None]] = {
            INIT: self._init,
            GETATTR: self._getattr,
            OPEN: lambda _unique, _body: [_OPEN_REPLY.pack(0, OPEN_FLAGS, 0)],
            READ: self._read,
            WRITE: self._write,
            STATFS: self._statfs,
            FSYNC: self._fsync,
            FALLOCATE: self._fallocate,
            RELEASE: lambda _unique, _body: [],
            DESTROY: lambda _unique, _body: [],
        }

    def run(self) -> None:
        """Serve until the file is unmounted."""
        threading.Thread(target=self._serve_slow_reads, daemon=True).start()
        workers = [threading.Thread(target=self._work) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _work(self) -> None:
        buffer = memoryview(bytearray(MAX_IO + 4096))
        while True:
            try:
                size = os.readv(self._device, [buffer])
            except OSError as error:
                if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue
                if error.errno == errno.ENODEV:
                    return
                raise
            _, opcode, unique, *_ = _IN.unpack_from(buffer)
            if opcode not in UNANSWERED:
                self._answer(opcode, unique, buffer[_IN.size : size])

    def _answer(self, opcode: int, unique: int, body: memoryview) -> None:
        answer = self._answers.get(opcode)
        try:
            reply = answer(unique, body) if answer else _refuse()
        except OSError as error:
            self._send(unique, [], error.errno or errno.EIO)
            return
        if reply is not None:
            self._send(unique, reply)

    def _send(self, unique: int, parts: Sequence[bytes], code: int = 0) -> None:
        size = _OUT.size + sum(map(len, parts))
        try:
            os.writev(self._device, [_OUT.pack(size, -code, unique), *parts])
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):  # nobody waits for it any more
                raise

    def _serve_slow_reads(self) -> None:
        while True:
            wait = self._waiting.get()
            time.sleep(max(0.0, wait.until - time.monotonic()))
            try:
                data = os.pread(self._disk, wait.size, wait.offset)
            except OSError as error:
                self._send(wait.unique, [], error.errno or errno.EIO)
                continue
            self._blocks.loaded(wait.offset, wait.size)
            self._send(wait.unique, [data])

    def _init(self, _unique: int, body: memoryview) -> Sequence[bytes]:
        _, _, readahead, offered = _INIT.unpack_from(body)
        flags, many, pages = offered & INIT_FLAGS, 0xFFFF, MAX_IO // mmap.PAGESIZE
        return [
            _INIT_REPLY.pack(*PROTOCOL, readahead, flags, many, many, MAX_IO, 1, pages, 0, 0, 0)
        ]

    def _getattr(self, _unique: int, _body: memoryview) -> Sequence[bytes]:
        found = os.fstat(self._disk)
        times = (int(found.st_atime), int(found.st_mtime), int(found.st_ctime), 0, 0, 0)
        kind = stat.S_IFREG | 0o600
        sizes = (1, found.st_size, found.st_blocks)
        return [_ATTR_REPLY.pack(1, 0, 0, *sizes, *times, kind, 1, 0, 0, 0, BLOCK, 0)]

    def _statfs(self, _unique: int, _body: memoryview) -> Sequence[bytes]:
        """Tell the block size, without which a loop device takes no discards."""
        return [_STATFS_REPLY.pack(0, 0, 0, 0, 0, BLOCK, 255, BLOCK, *[0] * 7)]

    def _read(self, unique: int, body: memoryview) -> Sequence[bytes] | None:
        _, offset, size, *_ = _READ_WRITE.unpack_from(body)
        if (until := self._blocks.charge(offset, size)) is not None:
            self._waiting.put(Wait(until, unique, offset, size))
            return None
        return [os.pread(self._disk, size, offset)]

    def _write(self, _unique: int, body: memoryview) -> Sequence[bytes]:
        _, offset, size, *_ = _READ_WRITE.unpack_from(body)
        written = os.pwrite(self._disk, body[_READ_WRITE.size :][:size], offset)
        self._blocks.loaded(offset, written)
        return [_WRITE_REPLY.pack(written, 0)]

    def _fsync(self, _unique: int, _body: memoryview) -> Sequence[bytes]:
        os.fdatasync(self._disk)
        return []

    def _fallocate(self, _unique: int, body: memoryview) -> Sequence[bytes]:
        _, offset, size, mode, _ = _FALLOCATE.unpack_from(body)
        number = ctypes.c_longlong
        _checked(_libc.fallocate(self._disk, mode, number(offset), number(size)))
        self._blocks.loaded(offset, size)
        return []


def _refuse() -> Sequence[bytes]:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main(disk: str, blocks: str, point: str, bytes_per_s: str) -> None:
    opened = os.open(disk, os.O_RDWR)
    device = os.open("/dev/fuse", os.O_RDWR)
    _libc.prctl(_PR_SET_IO_FLUSHER, 1, 0, 0, 0)  # refused by an old kernel, which has to do without
    options = f"fd={device},rootmode=100000,user_id=0,group_id=0,allow_other"
    _checked(_libc.mount(b"ack-lazy-disk", os.fsencode(point), b"fuse", 0, options.encode()))
    server = Server(device, opened, Blocks(blocks, float(bytes_per_s)))
    sys.stdout.write("ready\n")
    sys.stdout.close()
    server.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
