"""containerd's own socket, as far as ``curl`` asks it to pull an image with a login.

One call of CRI over gRPC: ``PullImage``. Its request is taken apart by the rules of protobuf's wire
format; what containerd does with the server's address of a login is done here too: a login whose
address is not the registry's is not used.
"""

from __future__ import annotations

import base64
import sys
from urllib.parse import quote, urlsplit

from emulator.machines.paper_tools.crictl import SOCKET, PullRefusedError, pull
from emulator.machines.paper_tools.machine import PaperRoot, ToolError

PULL_IMAGE = "/runtime.v1.ImageService/PullImage"
PREFIX = 5  # of a gRPC message: whether it is compressed, and its length
CODES = {"Unknown": 2, "NotFound": 5, "Unimplemented": 12}
NO_SERVER = 7  # curl's exit code
PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")  # gRPC writes the rest as %XX
LENGTH_DELIMITED = 2


def call(root: PaperRoot, socket: str, url: str) -> int:
    """Answer the gRPC call whose message is on stdin; print its headers and trailers."""
    if socket != str(root.inside(SOCKET)) or not root.is_active("containerd"):
        raise ToolError(f"curl: ({NO_SERVER}) Couldn't connect to server", NO_SERVER)
    code, message = 0, ""
    if urlsplit(url).path != PULL_IMAGE:
        code, message = CODES["Unimplemented"], f"unknown method {url}"
    else:
        try:
            pull(root, *asked(sys.stdin.buffer.read()))
        except PullRefusedError as refused:
            code, message = CODES[refused.code], refused.text
    said = f"HTTP/2 200 \r\ncontent-type: application/grpc\r\ngrpc-status: {code}\r\n"
    if message:
        said += f"grpc-message: {quote(message, safe=PRINTABLE)}\r\n"
    sys.stdout.write(f"{said}\r\n")
    return 0


def asked(framed: bytes) -> tuple[str, str]:
    """Return image and ``Authorization`` of a framed ``PullImageRequest``."""
    if int.from_bytes(framed[1:PREFIX], "big") != len(framed) - PREFIX or framed[0]:
        raise ToolError("curl: (56) grpc: the message is not as long as it says", 56)
    request = fields(framed[PREFIX:])
    image = fields(request[1])[1].decode()
    auth = {number: value.decode() for number, value in fields(request.get(2, b"")).items()}
    server = urlsplit(auth.get(4, "")).netloc
    if 1 not in auth or server not in ("", image.partition("/")[0]):
        return image, ""
    pair = f"{auth[1]}:{auth.get(2, '')}".encode()
    return image, f"Basic {base64.b64encode(pair).decode()}"


def fields(message: bytes) -> dict[int, bytes]:
    """Return the fields of a message, all of which are text or messages."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 != LENGTH_DELIMITED:
            raise ToolError(f"curl: (56) grpc: field {key >> 3} is neither text nor message", 56)
        length, at = _varint(message, at)
        found[key >> 3] = message[at : at + length]
        at += length
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  # the bit that says that there is more
            return value, at
        shift += 7
