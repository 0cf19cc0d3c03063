"""Run a program that can write nothing outside the given folders: ``sandbox.py DIR... -- COMMAND``.

A paper machine has no root directory of its own, so a script with an unprefixed absolute path
would meet the host's files. Landlock takes that away without root, for the program and all that
it starts. It needs Linux 5.13; elsewhere only the wrappers of the paper tools stand in the way
(``wrap.sh``), and ``is_available`` lets the emulator say so.
https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

# The same on every architecture that has Landlock but Alpha.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH = 1
PR_SET_NO_NEW_PRIVS = 38

WRITE_FILE, TRUNCATE = 1 << 1, 1 << 14
# REMOVE_DIR, REMOVE_FILE and MAKE_{CHAR,DIR,REG,SOCK,FIFO,BLOCK,SYM} are bits 4 to 12.
CHANGE_FOLDER = sum(1 << bit for bit in range(4, 13))
REFER = 1 << 13  # link or rename into another folder; since version 2
REFER_SINCE, TRUNCATE_SINCE = 2, 3

DEVICES = ("/dev/null", "/dev/zero", "/dev/full")
MISSING_TOOL = 127


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64),)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def version() -> int:
    """Return the version of Landlock in this kernel; 0 or less when there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return int(_syscall(CREATE_RULESET, None, 0, CREATE_RULESET_VERSION))


def is_available() -> bool:
    return version() > 0


def restrict(folders: list[str]) -> None:
    """Forbid this process every change of files outside ``folders``, for good.

    :raises OSError: when the kernel has Landlock and refuses the rules.
    """
    found = version()
    if found <= 0:
        return
    of_file = WRITE_FILE | (TRUNCATE if found >= TRUNCATE_SINCE else 0)
    everything = of_file | CHANGE_FOLDER | (REFER if found >= REFER_SINCE else 0)
    attributes = _Ruleset(everything)
    ruleset = _checked(CREATE_RULESET, ctypes.byref(attributes), ctypes.sizeof(attributes), 0)
    for folder in folders:
        _allow(ruleset, folder, everything)
    for device in filter(os.path.exists, DEVICES):
        _allow(ruleset, device, of_file)
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    _checked(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    parent = os.open(path, getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC)
    try:
        rule = _PathBeneath(access, parent)
        _checked(ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(parent)


def _syscall(*arguments: object) -> int:
    return int(ctypes.CDLL(None, use_errno=True).syscall(*arguments))


def _checked(*arguments: object) -> int:
    result = _syscall(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"Landlock call {arguments[0]} failed")
    return result


def main(arguments: list[str]) -> int:
    split = arguments.index("--")
    folders, command = arguments[:split], arguments[split + 1 :]
    restrict(folders)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what it runs would too
    try:
        os.execv(command[0], command)  # noqa: S606  # no shell on purpose
    except OSError as exc:
        sys.stderr.write(f"{command[0]}: {exc.strerror}\n")
        return MISSING_TOOL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
