"""A script call as commands of Cloud Assistant: what is sent, and what their outputs say. No I/O.

A command has at most 24 KB, and its output is cut at 24 KB. So script, arguments and input go
compressed, and in several commands when one does not hold them; the answer comes back the same
way. Both are checked by length and hash: half of anything is an error, never a result.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import re
import shlex
import zlib
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cache
from secrets import token_hex

from ack_preload.domain.errors import InvalidInputError, NodeUnreachableError
from ack_preload.hooks.ssh_calls import ScriptCall, ScriptResult, script_text

CONTENT_BYTES = 24 * 1024 // 4 * 3
"""The limit of 24 KB is on base64: of three bytes it makes four."""
PIECE_BYTES = 12_000  # as assistant.sh has it
MAX_PIECES = 100
LAST_LINE = b'main "$@"\n'
HEAD = re.compile(rb"ack-preload ([0-9]{1,9}) ([0-9a-f]{64})\n")
RESULT = re.compile(rb"([0-9]{1,3}) ([0-9]{1,12})\n")
SECONDS_OF_A_STEP = 60.0


@dataclass(frozen=True, slots=True)
class Command:
    """One command: a shell script, how long it may take, and its own idempotency token."""

    content: bytes
    within_s: float
    token: str = field(default_factory=lambda: token_hex(32))

    @property
    def encoded(self) -> str:
        return base64.b64encode(self.content).decode()


Conversation = Generator[Command, bytes, ScriptResult]


def conversation(call: ScriptCall, within_s: float) -> Conversation:
    """Yield the commands of a call one by one, take their outputs, and return the result.

    :raises InvalidInputError: when it has a secret, or more than commands can carry.
    :raises NodeUnreachableError: when an answer is not whole.
    """
    if call.secret:
        raise InvalidInputError(
            f"{call.name} needs a secret, and the connection's transport is assistant, whose "
            "commands the account can read afterwards; use transport ssh for this target"
        )
    run = token_hex(16)
    packed = gzip.compress(call.sent, mtime=0)
    final = ("run", run, "999", hashlib.sha256(packed).hexdigest(), call.name, *call.arguments)
    *before, last = _pieces(packed, _room(final), call.name)
    for number, piece in enumerate(before):
        yield _command(("put", run, str(number)), piece, SECONDS_OF_A_STEP)
    said = yield _command((*final[:2], str(len(before)), *final[3:]), last, within_s)
    head = HEAD.match(said)
    if head is None:
        raise NodeUnreachableError(f"{call.name} gave no answer, but {said[:200]!r}; try again")
    size, wanted = int(head[1]), head[2].decode()
    answer = _decoded(said[head.end() :])
    for number in range(1, -(-size // PIECE_BYTES)):
        answer += _decoded((yield _command(("get", run, str(number)), b"", SECONDS_OF_A_STEP)))
    if len(answer) != size or hashlib.sha256(answer).hexdigest() != wanted:
        raise NodeUnreachableError(
            f"the answer of {call.name} is not whole: {len(answer)} of {size} bytes; try again"
        )
    return _result(call.name, answer)


def _command(arguments: tuple[str, ...], data: bytes, within_s: float) -> Command:
    fed = b"main %s <<'END'\n%s\nEND\n" % (shlex.join(arguments).encode(), base64.b64encode(data))
    return Command(_courier() + fed, within_s)


@cache
def _courier() -> bytes:
    """Return ``assistant.sh`` without its call and its comments: a command has little room."""
    first, *rest = script_text("assistant.sh").removesuffix(LAST_LINE).splitlines(keepends=True)
    return b"".join([first, *(line for line in rest if not line.lstrip().startswith(b"#"))])


def _room(arguments: tuple[str, ...]) -> int:
    """Return how many bytes of data fit into a command with these arguments."""
    return (CONTENT_BYTES - len(_command(arguments, b"", 0).content)) // 4 * 3


def _pieces(data: bytes, room: int, name: str) -> list[bytes]:
    if room <= 0 or len(data) > room * MAX_PIECES:
        raise InvalidInputError(
            f"{name} with arguments and input of {len(data)} bytes, packed, is more than Cloud "
            "Assistant takes; use the transport ssh"
        )
    return [data[at : at + room] for at in range(0, len(data), room)]


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        return b""  # then the length is wrong, and that is said


def _result(name: str, answer: bytes) -> ScriptResult:
    try:
        text = gzip.decompress(answer)
    except (OSError, EOFError, zlib.error):
        text = b""
    found = RESULT.match(text)
    if found is None:
        raise NodeUnreachableError(f"the answer of {name} cannot be read; try again")
    middle = found.end() + int(found[2])
    return ScriptResult(
        name,
        int(found[1]),
        text[found.end() : middle].decode(errors="replace"),
        text[middle:].decode(errors="replace"),
    )
