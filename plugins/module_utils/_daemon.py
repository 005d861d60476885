# SPDX-License-Identifier: GPL-3.0-or-later
"""What the relay's services have in common: a line for the journal, a word to systemd, a file that may change (private to the collection)."""

from __future__ import annotations

import os
import socket
import sys


def tell(text):
    """Write one line to the journal."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def ready():
    """Tell systemd that the socket is open."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(b"READY=1", address.replace("@", "\0", 1) if address.startswith("@") else address)


def file_state(path):
    """Return what differs when a file is another one, or None when there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
