# SPDX-License-Identifier: GPL-3.0-or-later
"""Postfix lookup tables: the text and what postmap makes of it (private to the collection)."""

from __future__ import annotations

import os
import shutil
import tempfile

from ._commands import CommandError, run
from ._files import read_if_there, sync_directory

SUFFIXES = {"btree": ".db", "cdb": ".cdb", "hash": ".db", "lmdb": ".lmdb"}


def check_entries(entries):
    """Raise ValueError for keys and values that a line of a table cannot hold."""
    seen = {}
    for key, value in entries.items():
        if not key or key.startswith("#") or any(character.isspace() or not character.isprintable() for character in key):
            raise ValueError(f"entries: the key {key!r} must be one word that does not begin with #")
        if not value or value != value.strip() or not value.isprintable():
            raise ValueError(f"entries: the value of {key!r} must be one line of text, without blanks around it")
        if key.lower() in seen:
            raise ValueError(f"entries: {key!r} and {seen[key.lower()]!r} are the same key, Postfix ignores upper and lower case")
        seen[key.lower()] = key


def source_text(entries):
    """Return the table's text for a dict of entries."""
    check_entries(entries)
    return "".join(f"{key} {value}\n" for key, value in sorted(entries.items()))


def database_type():
    """Return the type in which this host keeps tables, or None when Postfix is not installed."""
    try:
        kind = run(["postconf", "-h", "default_database_type"]).stdout.decode().strip()
    except CommandError:
        if shutil.which("postconf", path="/usr/sbin:/usr/bin"):
            raise
        return None
    if kind not in SUFFIXES:
        raise ValueError(f"default_database_type = {kind} is not supported here, use one of {', '.join(sorted(SUFFIXES))}")
    return kind


def compiled_path(path, kind):
    """Return the file that `postmap KIND:PATH` makes."""
    return path + SUFFIXES[kind]


def compiled_entries(path, kind):
    """Return what the compiled table says as a dict, or None when there is none or Postfix cannot read it."""
    done = run(["postmap", "-s", f"{kind}:{path}"], check=False)
    if done.returncode != 0:
        return None
    return dict(line.split("\t", 1) for line in done.stdout.decode("utf-8", "replace").splitlines())


def is_current(path, kind, entries):
    """Tell whether the text and the compiled table hold just these entries, and Postfix sees the table as not older than the text."""
    source = read_if_there(path)
    if source is None or source.decode("utf-8", "replace") != source_text(entries):
        return False
    if kind is None:
        return True
    if compiled_entries(path, kind) != {key.lower(): value for key, value in entries.items()}:
        return False
    return os.stat(compiled_path(path, kind)).st_mtime >= os.stat(path).st_mtime


def build(path, kind, entries, set_attributes):
    """Replace the text and the compiled table, each in one step.

    set_attributes: called with each new file before it takes its place; sets owner, group and mode.
    Both are built in a folder of their own that only root can enter. The compiled table, the one that Postfix reads, goes first.
    """
    folder = tempfile.mkdtemp(prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(path))
    try:
        aside = f"{folder}/{os.path.basename(path)}"
        with open(aside, "w", encoding="utf-8") as stream:
            stream.write(source_text(entries))
        run(["postmap", f"{kind}:{aside}"])
        for new, target in ((compiled_path(aside, kind), compiled_path(path, kind)), (aside, path)):
            set_attributes(new)
            with open(new, "rb") as stream:
                os.fsync(stream.fileno())
            os.rename(new, target)
    finally:
        shutil.rmtree(folder)
    sync_directory(os.path.dirname(path))
