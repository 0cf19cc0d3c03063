"""The forced command of sshd while an SSH fault is armed: it may cut its connection half-way.

usage: drop.py PORT; the command is in SSH_ORIGINAL_COMMAND
Asks 127.0.0.1:PORT: ``-`` is no cut, a number is a cut after so many bytes of output.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import socket
import stat
import struct
import subprocess
import sys
import termios
import time

SFTP_SERVER = "/usr/lib/openssh/sftp-server"
SENT_S = 0.05  # for sshd to encrypt and send what it has read


def main(port: int) -> None:
    command = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    shell = ["/bin/bash", "-c", command] if command else ["/bin/bash", "-l"]
    if command == "internal-sftp":
        shell = [SFTP_SERVER]
    with socket.create_connection(("127.0.0.1", port)) as question:
        answer = question.recv(64)
    if answer == b"-":
        os.execv(shell[0], shell)  # noqa: S606  # it is the shell
    left = int(answer)
    child = subprocess.Popen(shell, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with selectors.DefaultSelector() as ready:
        for source, target in ((child.stdout, 1), (child.stderr, 2)):
            if source is not None:
                ready.register(source, selectors.EVENT_READ, target)
        while left and ready.get_map():
            for key, _ in ready.select():
                data = os.read(key.fd, min(left, 64 * 1024) or 1)
                if not data:
                    ready.unregister(key.fileobj)
                    continue
                write(key.data, data[:left])
                left -= min(left, len(data))
    for target in (1, 2):
        wait_until_read(target)
    time.sleep(SENT_S)
    os.kill(os.getppid(), signal.SIGKILL)


def write(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]


def wait_until_read(target: int) -> None:
    """Wait until sshd has taken all of it, from a pipe or a socket."""
    request = termios.TIOCOUTQ if is_socket(target) else termios.FIONREAD
    while struct.unpack("i", fcntl.ioctl(target, request, b"\0" * 4))[0]:
        time.sleep(0.005)


def is_socket(target: int) -> bool:
    return stat.S_ISSOCK(os.fstat(target).st_mode)


if __name__ == "__main__":
    main(int(sys.argv[1]))
