# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts in sasldb2: what is decided, and that the file is always the old one or the new one."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import threading

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _sasldb2
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError

SASL_LOGIN = pathlib.Path(__file__).parents[2] / "sasl_login.py"
REALM = "corp.test"


def key(name, what="userPassword", realm=REALM):
    return f"{name}\0{realm}\0{what}".encode()


def account(name, realm=REALM):
    return name.encode(), realm.encode()


def listed(path):
    """Ask Debian's own tool for the accounts."""
    done = subprocess.run(["sasldblistusers2", "-f", str(path)], capture_output=True, text=True, check=True)
    return sorted(line.removesuffix(": userPassword") for line in done.stdout.splitlines())


def let_in(path, *logins):
    """Ask SASL's own library whether it lets (name, password) pairs in."""
    done = subprocess.run([sys.executable, str(SASL_LOGIN), str(path), REALM], input=json.dumps(logins), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def saslpasswd2(path, name, password):
    subprocess.run(["saslpasswd2", "-p", "-c", "-f", str(path), "-u", REALM, name], input=password.encode(), check=True)


def state(directory):
    """Return everything about the files of a directory that a run could have changed."""
    found = {}
    for path in sorted(pathlib.Path(directory).iterdir()):
        about = path.lstat()
        regular = stat.S_ISREG(about.st_mode)
        found[path.name] = (about.st_ino, about.st_mode, about.st_uid, about.st_gid, about.st_mtime_ns, path.read_bytes() if regular else None)
    return found


@pytest.fixture
def database(tmp_path):
    """A database that Debian's own tools made, with the accounts al and bob."""
    path = tmp_path / "sasldb2"
    saslpasswd2(path, "al", "al-old")
    saslpasswd2(path, "bob", "bob-old")
    return path


# --- The text form ---


def test_a_dump_comes_back_as_it_was_with_every_byte_in_it():
    entries = {key("bob"): bytes(range(256)), b"": b"", b"\n =\0": b"\r\n", key("müller"): "pä ß".encode()}
    assert _sasldb2.parse_dump(_sasldb2.make_dump(entries)) == entries


GOOD = "VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\nHEADER=END\n 61\n 62\nDATA=END\n"
BAD_DUMPS = {
    "nothing at all": "",
    "only a header": GOOD.partition(" 61")[0],
    "no end": GOOD.replace("DATA=END\n", ""),
    "a key without a value": GOOD.replace(" 62\n", ""),
    "a key that stands there twice": GOOD.replace(" 62\n", " 62\n 61\n 63\n"),
    "no hex": GOOD.replace(" 62", " zz"),
    "half a byte": GOOD.replace(" 62", " 6"),
    "a tree": GOOD.replace("type=hash", "type=btree"),
    "another version": GOOD.replace("VERSION=3", "VERSION=2"),
    "readable text": GOOD.replace("bytevalue", "print"),
    "two databases": GOOD + GOOD,
    "no ASCII": GOOD.replace("62", "ä"),
}


@pytest.mark.parametrize("text", BAD_DUMPS.values(), ids=BAD_DUMPS)
def test_a_dump_is_refused_with(text):
    assert _sasldb2.parse_dump(GOOD.encode()) == {b"a": b"b"}
    with pytest.raises(ValueError):
        _sasldb2.parse_dump(text.encode())


# --- What is wanted ---


GOOD_USERS = {
    "a name gets the default realm": ({"name": "bob", "password": "x"}, ("bob", REALM, b"x")),
    "a realm of its own": ({"name": "bob", "realm": "plant.test", "password": "x"}, ("bob", "plant.test", b"x")),
    "an empty realm is none": ({"name": "bob", "realm": "", "password": "x"}, ("bob", REALM, b"x")),
    "a realm in the name": ({"name": "bob@plant.test", "password": "x"}, ("bob", "plant.test", b"x")),
    "the same realm twice": ({"name": "bob@plant.test", "realm": "plant.test", "password": "x"}, ("bob", "plant.test", b"x")),
    "present is said": ({"name": "bob", "password": "x", "state": "present"}, ("bob", REALM, b"x")),
    "absent needs no password": ({"name": "bob", "state": "absent"}, ("bob", REALM, None)),
    "absent ignores a password": ({"name": "bob", "password": "x", "state": "absent"}, ("bob", REALM, None)),
    "letters of the world": ({"name": "müller", "password": "pä ß"}, ("müller", REALM, "pä ß".encode())),
    "a password with blanks and line breaks": ({"name": "bob", "password": " a\r\nb "}, ("bob", REALM, b" a\r\nb ")),
    "a password that is no UTF-8": ({"name": "bob", "password": "\udcff\udc80"}, ("bob", REALM, b"\xff\x80")),
    "a password of 1024 bytes": ({"name": "bob", "password": "x" * 1024}, ("bob", REALM, b"x" * 1024)),
    "a name of 255 bytes": ({"name": "b" * 255, "password": "x"}, ("b" * 255, REALM, b"x")),
}


@pytest.mark.parametrize(("user", "expected"), GOOD_USERS.values(), ids=GOOD_USERS)
def test_an_account_is_understood(user, expected):
    name, realm, password = expected
    assert _sasldb2.wanted_accounts([user], REALM) == ({(name.encode(), realm.encode()): password}, [])


SIGNS = "must not have spaces, control characters, commas, colons or a further @"
BAD_USERS = {
    "no mapping": ("PLANTED", "an account must be a mapping with name and password"),
    "no name": ({"password": "PLANTED"}, "name is missing"),
    "an empty name": ({"name": "", "password": "PLANTED"}, "name is missing"),
    "a name that is a number": ({"name": 12, "password": "PLANTED"}, "name must be text: put it in quotes"),
    "a name with a space": ({"name": "b b", "password": "PLANTED"}, f"name {SIGNS}"),
    "a name with a colon": ({"name": "b:b", "password": "PLANTED"}, f"name {SIGNS}"),
    "a name with a comma": ({"name": "b,b", "password": "PLANTED"}, f"name {SIGNS}"),
    "a name with a line break": ({"name": "b\n", "password": "PLANTED"}, f"name {SIGNS}"),
    "a name with a NUL": ({"name": "b\0", "password": "PLANTED"}, f"name {SIGNS}"),
    "a name with two realms": ({"name": "b@c@d", "password": "PLANTED"}, f"name {SIGNS}"),
    "a name with an invisible sign": ({"name": "b\u200b", "password": "PLANTED"}, f"name {SIGNS}"),
    "a name that is too long": ({"name": "ä" * 128, "password": "PLANTED"}, "name must not be longer than 255 bytes"),
    "a name with an empty realm": ({"name": "b@", "password": "PLANTED"}, "realm is missing"),
    "a realm without a name": ({"name": "@c", "password": "PLANTED"}, "name is missing"),
    "a realm with a space": ({"name": "b", "realm": "c d", "password": "PLANTED"}, f"realm {SIGNS}"),
    "a realm that is a number": ({"name": "b", "realm": 12, "password": "PLANTED"}, "realm must be text: put it in quotes"),
    "a realm that is too long": ({"name": "b", "realm": "c" * 256, "password": "PLANTED"}, "realm must not be longer than 255 bytes"),
    "two different realms": ({"name": "b@c", "realm": "d", "password": "PLANTED"}, "the name has a realm of its own after its @: leave one of the two out"),
    "no password": ({"name": "b"}, "password is missing or empty"),
    "an empty password": ({"name": "b", "password": ""}, "password is missing or empty"),
    "a password that is a number": ({"name": "b", "password": 12}, "password must be text: put it in quotes"),
    "a password with a NUL": ({"name": "b", "password": "PLANTED\0"}, "password must not have a NUL character"),
    "a password that is too long": ({"name": "b", "password": "PLANTED" * 147}, "password must not be longer than 1024 bytes"),
    "a password with half a sign": ({"name": "b", "password": "PLANTED\ud800"}, "password has a character that is no Unicode text (half of a surrogate pair)"),
    "another state": ({"name": "b", "password": "PLANTED", "state": "gone"}, "state must be present or absent"),
    "a key that is not known": ({"name": "b", "password": "PLANTED", "passwd": "PLANTED"}, "'passwd' is not known: use name, realm, password, state"),
}


@pytest.mark.parametrize(("user", "sentence"), BAD_USERS.values(), ids=BAD_USERS)
def test_an_account_is_refused_with(user, sentence):
    _wanted, problems = _sasldb2.wanted_accounts([{"name": "first", "password": "x"}, user], REALM)
    assert [problem.split(": ", 1)[1] for problem in problems] == [sentence]
    assert problems[0].startswith("users, entry 2")
    assert "PLANTED" not in problems[0]


def test_the_same_account_twice_is_refused_also_when_it_is_written_in_two_ways():
    users = [{"name": "bob", "password": "PLANTED"}, {"name": "bob@plant.test", "password": "PLANTED"}, {"name": f"bob@{REALM}", "state": "absent"}]
    assert _sasldb2.wanted_accounts(users, REALM)[1] == ["users, entry 3 ('bob@corp.test'): this account stands in the list already: keep one of the two"]


def test_a_name_without_realm_needs_a_default_realm():
    assert _sasldb2.wanted_accounts([{"name": "bob", "password": "x"}], None)[1] == ["users, entry 1 ('bob'): realm is missing"]


def test_accounts_that_are_no_list_are_refused():
    assert _sasldb2.wanted_accounts({"name": "bob"}, REALM) == ({}, ["users must be a list of accounts"])


# What is there, what is wanted, whether exclusively -> what is there then, added, altered, removed. "name" stands for its password, "name+" for another property.
OTHER = b"\0whatever"
DECISIONS = {
    "nothing wanted changes nothing": ({"bob": "1"}, {}, False, {"bob": "1"}, "", "", ""),
    "an account is added": ({"bob": "1"}, {"al": "2"}, False, {"bob": "1", "al": "2"}, "al", "", ""),
    "the same password changes nothing": ({"bob": "1"}, {"bob": "1"}, False, {"bob": "1"}, "", "", ""),
    "another password is set": ({"bob": "1", "al": "2"}, {"bob": "3"}, False, {"bob": "3", "al": "2"}, "", "bob", ""),
    "an account is removed": ({"bob": "1", "al": "2"}, {"bob": None}, False, {"al": "2"}, "", "", "bob"),
    "an absent account stays absent": ({"al": "2"}, {"bob": None}, False, {"al": "2"}, "", "", ""),
    "exclusive removes the others": ({"bob": "1", "al": "2"}, {"bob": "1"}, True, {"bob": "1"}, "", "", "al"),
    "exclusive and nothing wanted removes all": ({"bob": "1", "al": "2"}, {}, True, {}, "", "", "al bob"),
    "exclusive with the same accounts changes nothing": ({"bob": "1"}, {"bob": "1", "al": None}, True, {"bob": "1"}, "", "", ""),
    "an empty database takes accounts": ({}, {"bob": "1"}, True, {"bob": "1"}, "bob", "", ""),
    "another property stays": ({"bob": "1", "bob mail": "m", "al mail": "m"}, {"bob": None}, True, {"bob mail": "m", "al mail": "m"}, "", "", "bob"),
    "another secret of a wanted account goes": ({"bob": "1", "bob cmusaslsecretPLAIN": "s"}, {"bob": "1"}, False, {"bob": "1"}, "", "bob", ""),
    "another secret of a removed account goes": ({"bob": "1", "bob cmusaslsecretOTP": "s"}, {"bob": None}, False, {}, "", "", "bob"),
    "an account with another secret only is altered": ({"bob cmusaslsecretOTP": "s"}, {"bob": "1"}, False, {"bob": "1"}, "", "bob", ""),
    "exclusive removes accounts with another secret only": ({"al cmusaslsecretOTP": "s"}, {"bob": "1"}, True, {"bob": "1"}, "bob", "", "al"),
    "secrets of other accounts stay": ({"al cmusaslsecretOTP": "s"}, {"bob": "1"}, False, {"bob": "1", "al cmusaslsecretOTP": "s"}, "bob", "", ""),
}


def database_of(short):
    entries = {key(*name.split(" ")): value.encode() for name, value in short.items()}
    return {**entries, OTHER: b"x", b"a\0b\0c\0userPassword": b"y"}


@pytest.mark.parametrize(("there", "wanted", "exclusive", "then", "added", "altered", "removed"), DECISIONS.values(), ids=DECISIONS)
def test_decision(there, wanted, exclusive, then, added, altered, removed):
    before = database_of(there)
    decision = _sasldb2.decide(before, {account(name): password and password.encode() for name, password in wanted.items()}, exclusive)
    assert decision.entries == database_of(then)
    assert (decision.added, decision.altered, decision.removed) == tuple([f"{name}@{REALM}" for name in names.split()] for names in (added, altered, removed))
    assert decision.changed == (decision.entries != before) == bool(added or altered or removed)
    assert decision.count == len({name.split(" ")[0] for name in then if "mail" not in name})


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
    subprocess.run(["db_load", str(path)], input=GOOD.replace("hash", "btree").encode(), check=True)


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
    assert "PLANTED" not in message
    assert "\n" not in message
    assert state(database.parent) == before


def test_after_the_damaged_file_was_moved_away_as_told_the_next_run_works(database):
    os.truncate(database, 6000)
    database.rename(f"{database}.bad")
    _sasldb2.update(str(database), {account("bob"): b"1"}, False)
    assert let_in(database, ["bob", "1"]) == [True]


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


@pytest.fixture(params=[0o022, 0], ids=["usual umask", "no umask"])
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
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
        for _round in range(3):
            _sasldb2.update(str(database), {account(f"user{number}-{_round}"): f"{planted}{number}".encode() for number in range(20_000)}, False)
    finally:
        stop.set()
        watcher.join()
    assert any(text.startswith(b"db_load\0") for text in seen), "nobody looked while db_load ran"
    assert not any(planted.encode() in text or planted.encode().hex().encode() in text for text in seen)
    assert modes == {0o600}
