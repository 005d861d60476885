# SPDX-License-Identifier: GPL-3.0-or-later
"""sasldb2 as a file: real databases, damaged ones, others at work at the same time, and secrets."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import secrets
import stat
import subprocess
import threading

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _sasldb2
from ansible_collections.simple_m365.relay.tests.unit.plugins.module_utils.sasldb_tools import (
    REALM,
    account,
    key,
    let_in,
    listed,
    make_database,
    saslpasswd2,
    state,
)


@pytest.fixture
def database(tmp_path):
    return make_database(tmp_path)


# --- Real databases ---


def test_debians_own_empty_database_takes_accounts(tmp_path):
    path = tmp_path / "sasldb2"
    saslpasswd2(path, "no", "!")
    subprocess.run(["saslpasswd2", "-d", "-f", str(path), "-u", REALM, "no"], check=True)
    assert _sasldb2.read(str(path))[0] == {}
    assert _sasldb2.update(str(path), {account("bob"): b"1"}, True).added == ["bob@corp.test"]
    assert listed(path) == ["bob@corp.test"]


def test_a_missing_database_is_made_as_debian_makes_it(tmp_path):
    path = tmp_path / "sasldb2"
    _sasldb2.update(str(path), {account("bob"): b"1"}, False)
    assert listed(path) == ["bob@corp.test"]
    assert (path.owner(), path.group(), stat.S_IMODE(path.stat().st_mode)) == ("root", "sasl", 0o660)


def test_a_missing_database_and_nothing_wanted_makes_no_file(tmp_path):
    assert not _sasldb2.update(str(tmp_path / "sasldb2"), {account("bob"): None}, True).changed
    assert state(tmp_path) == {}


def test_owner_and_mode_of_the_database_are_kept(database):
    os.chown(database, 1234, 4321)
    database.chmod(0o604)
    inode = database.stat().st_ino
    _sasldb2.update(str(database), {account("bob"): b"new"}, False)
    about = database.stat()
    assert (about.st_uid, about.st_gid, stat.S_IMODE(about.st_mode)) == (1234, 4321, 0o604)
    assert about.st_ino != inode


def test_sasl_itself_lets_in_who_is_wanted_and_nobody_else(database):
    binary = bytes(range(1, 256)).decode("utf-8", "surrogateescape")
    wanted = {account("bob"): b"new", account("al"): None, account("scan", "plant.test"): "pä ß\n".encode(), account("every"): bytes(range(1, 256)),
              account("long"): b"x" * 1024}
    assert let_in(database, ["al", "al-old"], ["bob", "bob-old"], ["bob", "new"]) == [True, True, False]
    _sasldb2.update(str(database), wanted, True)
    right = [["bob", "new"], [f"bob@{REALM}", "new"], ["scan@plant.test", "pä ß\n"], ["every", binary], ["long", "x" * 1024]]
    wrong = [["al", "al-old"], ["bob", "bob-old"], ["bob", ""], ["bob@plant.test", "new"], ["scan", "pä ß\n"], ["every", binary[:-1]], ["long", "x" * 1023]]
    assert let_in(database, *right, *wrong) == [True] * len(right) + [False] * len(wrong)
    assert listed(database) == ["bob@corp.test", "every@corp.test", "long@corp.test", "scan@plant.test"]


def test_an_old_secret_of_another_kind_does_not_let_a_wanted_or_removed_account_in(database):
    salt = b"S" * 16
    secret = salt + b"\0" + hashlib.md5(salt + b"sasldb" + b"hidden", usedforsecurity=False).digest()
    entries, seen = _sasldb2.read(str(database))
    _sasldb2.write(str(database), {**entries, key("bob", "cmusaslsecretPLAIN"): secret, key("al", "cmusaslsecretPLAIN"): secret}, seen)
    assert let_in(database, ["bob", "hidden"], ["al", "hidden"]) == [True, True]
    _sasldb2.update(str(database), {account("bob"): b"bob-old", account("al"): None}, False)
    assert let_in(database, ["bob", "hidden"], ["al", "hidden"], ["bob", "bob-old"]) == [False, False, True]


def test_a_second_run_writes_nothing(database):
    wanted = {account("bob"): b"new", account("al"): None}
    assert _sasldb2.update(str(database), wanted, True).changed
    before = state(database.parent)
    assert not _sasldb2.update(str(database), wanted, True).changed
    assert state(database.parent) == before


def test_a_check_writes_nothing(database):
    before = state(database.parent)
    assert _sasldb2.update(str(database), {account("bob"): b"new"}, True, check=True).altered == ["bob@corp.test"]
    assert state(database.parent) == before


def test_ten_thousand_accounts_are_all_there(database):
    wanted = {account(f"user{number}"): b"secret %d" % number for number in range(10_000)}
    assert _sasldb2.update(str(database), wanted, True).count == 10_000
    assert listed(database) == sorted(f"user{number}@corp.test" for number in range(10_000))
    assert let_in(database, ["user0", "secret 0"], ["user9999", "secret 9999"], ["user9999", "secret 0"]) == [True, True, False]


def test_a_database_from_a_machine_with_the_other_byte_order_is_read(tmp_path):
    entries = {key(f"user{number}"): b"secret %d" % number for number in range(300)}
    path = tmp_path / "sasldb2"
    dump = _sasldb2.make_dump(entries).replace(b"type=hash\n", b"type=hash\ndb_lorder=4321\n")
    subprocess.run(["db_load", str(path)], input=dump, check=True)
    assert path.read_bytes()[12:16] == b"\x00\x06\x15\x61"
    assert _sasldb2.read(str(path))[0] == entries


# --- Damaged and foreign files ---


def overwrite(path, start, content):
    with open(path, "r+b") as stream:
        stream.seek(start)
        stream.write(content)


def make_tree(path):
    path.unlink()
    subprocess.run(["db_load", str(path)], input=_sasldb2.make_dump({key("bob"): b"x"}).replace(b"type=hash", b"type=btree"), check=True)


def make_link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def make_dangling_link(path):
    path.unlink()
    path.symlink_to("nowhere")


def make_directory(path):
    path.unlink()
    path.mkdir()


def make_pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = {
    "an empty file": lambda path: os.truncate(path, 0),
    "text": lambda path: path.write_text("bob:PLANTED\n"),
    "zeros": lambda path: path.write_bytes(bytes(12288)),
    "cut in the middle of a page": lambda path: os.truncate(path, 6000),
    "cut after a page": lambda path: os.truncate(path, 8192),
    "one byte too many": lambda path: overwrite(path, 12288, b"x"),
    "rubbish in the first page": lambda path: overwrite(path, 0, b"\x5a" * 600),
    "rubbish in the accounts": lambda path: overwrite(path, 8192, b"\x5a" * 4096),
    "a page of zeros": lambda path: overwrite(path, 8192, bytes(4096)),
    "a page that lost an account": lambda path: overwrite(path, 8192 + 20, b"\x01\x00"),
    "fewer accounts than it says": lambda path: overwrite(path, 88, b"\x03"),
    "more accounts than it says": lambda path: overwrite(path, 88, b"\x01"),
    "an account where nobody finds it": lambda path: path.write_bytes(path.read_bytes().replace(b"bob\0", b"eve\0")),
    "gdbm": lambda path: path.write_bytes(b"\xce\x9a\x57\x13" + bytes(12284)),
    "lmdb": lambda path: path.write_bytes(bytes(16) + b"\xde\xc0\xef\xbe\x01" + bytes(12267)),
    "a Berkeley DB tree": make_tree,
    "a symbolic link": make_link,
    "a symbolic link to nothing": make_dangling_link,
    "a directory": make_directory,
    "a pipe": make_pipe,
}


@pytest.mark.parametrize("exclusive", [False, True], ids=["with others", "exclusive"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_database_is_left_untouched_when_it_is(damage, exclusive, database):
    damage(database)
    before = state(database.parent)
    with pytest.raises(_sasldb2.SasldbError) as caught:
        _sasldb2.update(str(database), {account("bob"): b"PLANTED"}, exclusive)
    message = str(caught.value)
    assert message.startswith(f"{database} is ")
    assert "It was left as it is. " in message
    assert "move it away (mv " in message.lower() or "Put the file itself there" in message
    assert ("symbolic link" in message) == database.is_symlink()
    assert "PLANTED" not in message
    assert "\n" not in message
    assert state(database.parent) == before


def test_after_the_damaged_file_was_moved_away_as_told_the_next_run_works(database):
    os.truncate(database, 6000)
    database.rename(f"{database}.bad")
    _sasldb2.update(str(database), {account("bob"): b"1"}, False)
    assert let_in(database, ["bob", "1"]) == [True]


# --- Others at work at the same time ---


def test_what_saslpasswd2_writes_meanwhile_is_kept(database, monkeypatch):
    run, late = _sasldb2.run, []

    def interrupted(argv, **options):
        done = run(argv, **options)
        if argv[0] == "db_load" and not late:
            late.append(True)
            saslpasswd2(database, "late", "late-password")
        return done

    monkeypatch.setattr(_sasldb2, "run", interrupted)
    decision = _sasldb2.update(str(database), {account("bob"): b"new"}, False)
    assert decision.count == 3
    assert let_in(database, ["late", "late-password"], ["bob", "new"]) == [True, True]


def test_a_program_that_never_stops_writing_is_an_error(database, monkeypatch):
    run = _sasldb2.run

    def interrupted(argv, **options):
        done = run(argv, **options)
        if argv[0] == "db_load":
            os.utime(database)
        return done

    monkeypatch.setattr(_sasldb2, "run", interrupted)
    with pytest.raises(_sasldb2.SasldbError, match="another program keeps changing it"):
        _sasldb2.update(str(database), {account("bob"): b"new"}, False)
    assert listed(database) == ["al@corp.test", "bob@corp.test"]
    assert sorted(os.listdir(database.parent)) == [".sasldb2.lock", "sasldb2"]


def test_a_second_run_waits_for_the_first_and_says_so_when_it_takes_too_long(database, monkeypatch):
    monkeypatch.setattr(_sasldb2, "LOCK_SECONDS", 0.2)
    before = database.read_bytes()
    with _sasldb2._locked(str(database)), pytest.raises(_sasldb2.SasldbError, match=r"another run has held .*\.sasldb2\.lock for 0\.2 seconds"):
        _sasldb2.update(str(database), {account("bob"): b"new"}, False)
    assert database.read_bytes() == before
    assert _sasldb2.update(str(database), {account("bob"): b"new"}, False).changed


def test_no_change_of_two_runs_at_a_time_is_lost(database):
    children = []
    for process in range(2):
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                for number in range(5):
                    _sasldb2.update(str(database), {account(f"user-{process}-{number}"): b"x"}, False)
                os._exit(0)
            os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert len(listed(database)) == 12


# --- Secrets ---


def test_no_process_shows_a_password_and_no_file_on_the_way_is_open_to_others(database, monkeypatch):
    planted = secrets.token_hex(12)
    seen, modes, stop = set(), set(), threading.Event()

    def watch():
        while not stop.is_set():
            for process in pathlib.Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    seen.add((process / "cmdline").read_bytes())
                    seen.add((process / "environ").read_bytes())

    run = _sasldb2.run

    def looked_at(argv, **options):
        modes.add(stat.S_IMODE(os.stat(argv[-1]).st_mode) if argv[0] == "db_load" else 0o600)
        done = run(argv, **options)
        modes.update(stat.S_IMODE(path.stat().st_mode) for path in database.parent.iterdir() if path != database)
        return done

    monkeypatch.setattr(_sasldb2, "run", looked_at)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _round in range(2):
            _sasldb2.update(str(database), {account(f"user{number}-{_round}"): f"{planted}{number}".encode() for number in range(20_000)}, False)
    finally:
        stop.set()
        watcher.join()
    assert any(text.startswith(b"db_load\0") for text in seen), "nobody looked while db_load ran"
    assert not any(planted.encode() in text or planted.encode().hex().encode() in text for text in seen)
    assert modes == {0o600}
