# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts in sasldb2: what a dump says, which accounts are wanted, and what has to change."""

from __future__ import annotations

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _sasldb2
from ansible_collections.simple_m365.relay.tests.unit.plugins.module_utils.sasldb_tools import REALM, account, key

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


# What is there, what is wanted, whether exclusively -> what is there then, added, altered, removed.
# "name" stands for the account's password, "name property" for another property of it.
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


@pytest.mark.parametrize("case", DECISIONS.values(), ids=DECISIONS)
def test_decision(case):
    there, wanted, exclusive, then, added, altered, removed = case
    before = database_of(there)
    decision = _sasldb2.decide(before, {account(name): password and password.encode() for name, password in wanted.items()}, exclusive)
    assert decision.entries == database_of(then)
    assert (decision.added, decision.altered, decision.removed) == tuple([f"{name}@{REALM}" for name in names.split()] for names in (added, altered, removed))
    assert decision.changed == (decision.entries != before) == bool(added or altered or removed)
    assert decision.count == len({name.split(" ")[0] for name in then if "mail" not in name})
