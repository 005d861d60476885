# SPDX-License-Identifier: GPL-3.0-or-later
"""sasldb2 is the old file or the new one, whatever happens while it is written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import signal
import stat
import subprocess

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _sasldb2
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError
from ansible_collections.simple_m365.relay.tests.unit.plugins.module_utils.sasldb_tools import account, key, let_in, listed, make_database


@pytest.fixture
def database(tmp_path):
    return make_database(tmp_path)


# --- A kill at any step ---

STEPS = (
    (os, "open"), (os, "close"), (os, "lstat"), (os, "listdir"), (os, "fchown"), (os, "fchmod"), (os, "fsync"), (os, "rename"), (os, "unlink"),
    (fcntl, "flock"), (_sasldb2, "run"),
)


def kill_before_step(number, database, wanted):
    """Update the database in a child process that kills itself before its step `number`; return whether it came to an end before that."""
    child = os.fork()
    if child == 0:
        left = [number]

        def counted(function):
            def step(*arguments, **options):
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                return function(*arguments, **options)
            return step

        for holder, name in STEPS:
            setattr(holder, name, counted(getattr(holder, name)))
        with contextlib.suppress(BaseException):
            _sasldb2.update(str(database), wanted, True)
            os._exit(0)
        os._exit(1)
    _pid, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


@pytest.fixture
def no_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_a_kill_at_any_step_leaves_the_old_or_the_new_database(database):
    wanted = {account("bob"): b"PLANTED", account("carol"): b"PLANTED"}
    original, seen_states, number, done = database.read_bytes(), [], 0, False
    while not done:
        shutil.rmtree(database.parent)
        database.parent.mkdir()
        database.write_bytes(original)
        database.chmod(0o640)
        done = kill_before_step(number, database, wanted)
        names = listed(database)
        assert names in (["al@corp.test", "bob@corp.test"], ["bob@corp.test", "carol@corp.test"])
        if "carol@corp.test" in names:
            assert let_in(database, ["bob", "PLANTED"], ["carol", "PLANTED"], ["al", "al-old"]) == [True, True, False]
        else:
            assert database.read_bytes() == original
        assert {stat.S_IMODE(path.stat().st_mode) for path in database.parent.iterdir()} <= {0o600, 0o640}
        seen_states.append((names, len(list(database.parent.iterdir()))))
        _sasldb2.update(str(database), wanted, True)
        assert sorted(os.listdir(database.parent)) == [".sasldb2.lock", "sasldb2"]
        assert listed(database) == ["bob@corp.test", "carol@corp.test"]
        number += 1
    assert number > 20
    assert any("al@corp.test" in names for names, _files in seen_states)
    assert [names for names, _files in seen_states[:-1]].count(["bob@corp.test", "carol@corp.test"]) >= 2, "no kill came after the rename"
    assert any(files == 3 for _names, files in seen_states), "no kill left a temporary file"


HALF_WRITES = {
    "db_load is killed": lambda argv, stdin: os.kill(os.getpid(), signal.SIGKILL),
    "db_load wrote half and the run is killed": lambda argv, stdin: (pathlib.Path(argv[-1]).write_bytes(stdin[:20]), os.kill(os.getpid(), signal.SIGKILL)),
    "the power goes": lambda argv, stdin: os._exit(9),
}


@pytest.mark.parametrize("accident", HALF_WRITES.values(), ids=HALF_WRITES)
def test_the_database_is_the_old_one_when(accident, database):
    original, run = database.read_bytes(), _sasldb2.run
    child = os.fork()
    if child == 0:
        _sasldb2.run = lambda argv, stdin=None, **options: accident(argv, stdin) if argv[0] == "db_load" else run(argv, stdin=stdin, **options)
        with contextlib.suppress(BaseException):
            _sasldb2.update(str(database), {account("bob"): b"new"}, True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] != 0
    assert database.read_bytes() == original
    _sasldb2.update(str(database), {account("bob"): b"new"}, True)
    assert sorted(os.listdir(database.parent)) == [".sasldb2.lock", "sasldb2"]


LYING_TOOLS = {
    "db_load fails": (CommandError("db_load ended with exit code 1: no luck"), "no luck"),
    "db_load says nothing and writes too little": (None, "db_load wrote something else than it was given"),
}


@pytest.mark.parametrize(("answer", "words"), LYING_TOOLS.values(), ids=LYING_TOOLS)
def test_the_database_stays_and_nothing_is_left_beside_it_when(answer, words, database, monkeypatch):
    original, run = database.read_bytes(), _sasldb2.run

    def lying(argv, stdin=None, **options):
        if argv[0] != "db_load":
            return run(argv, stdin=stdin, **options)
        if answer:
            raise answer
        return run(argv, stdin=_sasldb2.make_dump({key("bob"): b"PLANTED"}), **options)

    monkeypatch.setattr(_sasldb2, "run", lying)
    with pytest.raises(_sasldb2.SasldbError) as caught:
        _sasldb2.update(str(database), {account("bob"): b"PLANTED", account("carol"): b"PLANTED"}, False)
    assert words in str(caught.value)
    assert "PLANTED" not in str(caught.value)
    assert database.read_bytes() == original
    assert sorted(os.listdir(database.parent)) == [".sasldb2.lock", "sasldb2"]


def test_the_new_database_is_on_the_disk_before_it_takes_the_old_ones_place_and_so_is_the_change_of_place(database, monkeypatch):
    steps, fsync, rename = [], os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append(("on the disk", os.fstat(handle).st_ino)), fsync(handle)))
    monkeypatch.setattr(os, "rename", lambda old, new: (steps.append(("takes the place", os.stat(old).st_ino)), rename(old, new)))
    _sasldb2.update(str(database), {account("bob"): b"new"}, False)
    new, directory = database.stat().st_ino, database.parent.stat().st_ino
    assert steps == [("on the disk", new), ("takes the place", new), ("on the disk", directory)]


# --- A full disk ---


@pytest.fixture(params=["16k", "20k", "24k", "64k"])
def small_disk(tmp_path, request):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={request.param},mode=0700", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_leaves_the_old_database(small_disk, database):
    path = small_disk / "sasldb2"
    shutil.copy(database, path)
    original = path.read_bytes()
    with pytest.raises(_sasldb2.SasldbError) as caught:
        _sasldb2.update(str(path), {account(f"user{number}"): b"PLANTED" for number in range(2000)}, False)
    assert str(caught.value).startswith(f"{path} was left as it is: ")
    assert "PLANTED" not in str(caught.value)
    assert path.read_bytes() == original
    assert {found for found in os.listdir(small_disk) if found != ".sasldb2.lock"} == {"sasldb2"}
