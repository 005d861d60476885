# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup tables: what is written, and what is compared."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _postfix_map
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError

ENTRIES = {"[smtp.office365.com]:587": "scans@corp.test:/var/lib/m365-relay/tokens/scans@corp.test", "B": "two words"}


@pytest.fixture
def postmap(monkeypatch):
    """A postmap whose compiled table is the entries as JSON, keys folded as Postfix folds them."""
    def run(argv, check=True):
        assert argv[0] == "postmap"
        kind, path = argv[-1].split(":", 1)
        compiled = _postfix_map.compiled_path(path, kind)
        if argv[1] == "-s":
            try:
                with open(compiled, encoding="utf-8") as stream:
                    table = json.load(stream)
            except (OSError, ValueError):
                return subprocess.CompletedProcess(argv, 1, b"", b"postmap: fatal: open database")
            return subprocess.CompletedProcess(argv, 0, "".join(f"{key}\t{value}\n" for key, value in table.items()).encode(), b"")
        with open(path, encoding="utf-8") as stream:
            lines = stream.read().splitlines()
        if "fails" in lines[0]:
            raise CommandError("postmap ended with exit code 1")
        with open(compiled, "w", encoding="utf-8") as stream:
            json.dump({key.lower(): value for key, value in (line.split(" ", 1) for line in lines)}, stream)
        return subprocess.CompletedProcess(argv, 0, b"", b"")

    monkeypatch.setattr(_postfix_map, "run", run)


@pytest.mark.parametrize("entries, says", [
    ({"": "x"}, "one word"), ({"two words": "x"}, "one word"), ({"#a": "x"}, "one word"), ({"a\nb": "x"}, "one word"), ({"a\x00": "x"}, "one word"),
    ({"a": ""}, "one line"), ({"a": " x"}, "one line"), ({"a": "x\n"}, "one line"), ({"a": "x\ny z"}, "one line"), ({"a": "x\x07"}, "one line"),
    ({"a": "x", "A": "y"}, "same key"),
])
def test_entries_that_a_table_cannot_hold_are_refused(entries, says):
    with pytest.raises(ValueError, match=says):
        _postfix_map.source_text(entries)


def test_the_text_is_sorted():
    assert _postfix_map.source_text({"b": "2", "a": "1"}) == "a 1\nb 2\n"


@pytest.mark.parametrize("kind, suffix", {"hash": ".db", "cdb": ".cdb", "lmdb": ".lmdb"}.items())
def test_a_table_is_built_and_then_current(postmap, tmp_path, kind, suffix):
    path = str(tmp_path / "sasl_passwd")
    assert not _postfix_map.is_current(path, kind, ENTRIES)
    set_on = []
    _postfix_map.build(path, kind, ENTRIES, lambda new: (set_on.append(os.path.basename(new)), os.chmod(new, 0o640)))
    assert _postfix_map.is_current(path, kind, ENTRIES)
    assert sorted(os.listdir(tmp_path)) == ["sasl_passwd", f"sasl_passwd{suffix}"]
    assert set_on == [f"sasl_passwd{suffix}", "sasl_passwd"]
    assert {os.stat(tmp_path / name).st_mode & 0o777 for name in os.listdir(tmp_path)} == {0o640}


DAMAGES = {
    "another text": lambda path: path.write_text("a b\n"),
    "no text": lambda path: path.unlink(),
    "no compiled table": lambda path: path.with_suffix(".db").unlink(),
    "a damaged compiled table": lambda path: path.with_suffix(".db").write_text("junk"),
    "an entry too many in the compiled table": lambda path: path.with_suffix(".db").write_text(json.dumps({"a": "1", "b": "2"})),
    "another value in the compiled table": lambda path: path.with_suffix(".db").write_text(json.dumps({"a": "2"})),
    "a compiled table that is older than the text": lambda path: os.utime(path.with_suffix(".db"), (1, 1)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_not_as_wanted_is_seen(postmap, tmp_path, damage):
    path = tmp_path / "map"
    _postfix_map.build(str(path), "hash", {"a": "1"}, lambda _new: None)
    damage(path)
    assert not _postfix_map.is_current(str(path), "hash", {"a": "1"})


def test_without_postfix_only_the_text_is_compared(postmap, tmp_path):
    (tmp_path / "map").write_text("a 1\n")
    assert _postfix_map.is_current(str(tmp_path / "map"), None, {"a": "1"})
    assert not _postfix_map.is_current(str(tmp_path / "map"), None, {"a": "2"})


def test_a_failing_postmap_leaves_the_old_table(postmap, tmp_path):
    path = str(tmp_path / "map")
    _postfix_map.build(path, "hash", {"a": "1"}, lambda _new: None)
    with pytest.raises(CommandError):
        _postfix_map.build(path, "hash", {"a": "fails"}, lambda _new: None)
    assert _postfix_map.is_current(path, "hash", {"a": "1"})
    assert sorted(os.listdir(tmp_path)) == ["map", "map.db"]


def answer(monkeypatch, output):
    def run(argv):
        assert argv == ["postconf", "-h", "default_database_type"]
        if output is None:
            raise CommandError("postconf is not installed")
        return subprocess.CompletedProcess(argv, 0, output, b"")

    monkeypatch.setattr(_postfix_map, "run", run)


def test_the_host_is_asked_for_the_type(monkeypatch):
    answer(monkeypatch, b"cdb\n")
    assert _postfix_map.database_type() == "cdb"


def test_a_type_that_is_no_file_is_refused(monkeypatch):
    answer(monkeypatch, b"static\n")
    with pytest.raises(ValueError, match="default_database_type = static"):
        _postfix_map.database_type()


@pytest.mark.parametrize("program", [None, "/usr/sbin/postconf"])
def test_only_a_missing_postfix_has_no_type(monkeypatch, program):
    answer(monkeypatch, None)
    monkeypatch.setattr(_postfix_map.shutil, "which", lambda _name, path: program)
    if program is None:
        assert _postfix_map.database_type() is None
    else:
        with pytest.raises(CommandError):
            _postfix_map.database_type()
