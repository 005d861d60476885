# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are either old or new, never half written (private to the collection)."""

from __future__ import annotations

import contextlib
import os
import secrets


def read_if_there(path):
    """Return the content of a regular file as bytes, or None if there is none. Does not follow a symlink."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as stream:
        return stream.read()


def temporary_name(path):
    """Return a name beside `path` that nobody can guess, for a file that will take its place."""
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{secrets.token_hex(8)}.new")


def write_atomically(path, content, mode=0o600, uid=None, gid=None):
    """Replace the file `path` by `content` (bytes), in one step.

    The new file has mode 0600 from its first byte and gets its owner before any content, so nobody who may not read the
    result can read it on the way. It is on the disk before it takes the old one's place: a kill, a full disk or a power
    cut leaves the old file or the new one. Raises OSError.
    """
    temporary = temporary_name(path)
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as stream:
            if uid is not None or gid is not None:
                os.fchown(handle, -1 if uid is None else uid, -1 if gid is None else gid)
            stream.write(content)
            stream.flush()
            os.fchmod(handle, mode)
            os.fsync(handle)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_directory(os.path.dirname(path))


def sync_directory(path):
    """Make a rename or removal in directory `path` durable."""
    handle = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
