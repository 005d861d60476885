# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole directories that are either old or new (private to the collection)."""

from __future__ import annotations

import ctypes
import errno
import os

from ._commands import run
from ._files import sync_directory

AT_FDCWD = -100
RENAME_EXCHANGE = 2


class ExchangeNotSupported(OSError):
    """The file system cannot let two directories change places."""


def copy_tree(source, target):
    """Copy a directory with owners, modes and times to `target`, which does not exist yet. Raises CommandError."""
    run(["cp", "-a", "--", source, target])


def sync_tree(path):
    """Bring everything below `path` to the disk."""
    for folder, _folders, files in os.walk(path):
        for name in files:
            file = f"{folder}/{name}"
            if os.path.isfile(file) and not os.path.islink(file):
                sync_file(file)
        sync_directory(folder)


def sync_file(path):
    """Bring one file to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def exchange(one, other):
    """Let two directories of one file system change places in one step. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        if number in (errno.EINVAL, errno.ENOSYS, errno.EXDEV):
            raise ExchangeNotSupported(number, f"the file system cannot let {one} and {other} change places in one step (renameat2: {os.strerror(number)})")
        raise OSError(number, f"{one} and {other} could not change places: {os.strerror(number)}")
    sync_directory(os.path.dirname(one))
