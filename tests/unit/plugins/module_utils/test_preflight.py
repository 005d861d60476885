# SPDX-License-Identifier: GPL-3.0-or-later
"""What all input checks share: values as Ansible has them, and values as messages show them."""

from __future__ import annotations

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils._preflight import collect, plain, shown, text


class Encrypted:
    """Text that is decrypted when somebody asks for it, as older versions of Ansible have it."""

    __ENCRYPTED__ = True

    def __str__(self):
        return "decrypted"


class Mapping(dict):
    """A dictionary of Ansible's own."""


class Sequence(list):
    """A list of Ansible's own."""


def test_ansible_s_types_become_python_s():
    found = plain(Mapping(users=Sequence([Mapping(name="scanner", password=Encrypted())]), pair=(1, None)))
    assert found == {"users": [{"name": "scanner", "password": "decrypted"}], "pair": [1, None]}
    assert [type(found), type(found["users"]), type(found["users"][0]), type(found["users"][0]["password"])] == [dict, list, dict, str]


@pytest.mark.parametrize(
    ("value", "as_text"),
    [
        ("plain", "'plain'"),
        ("two\nlines", r"'two\nlines'"),
        ("it's", '"it\'s"'),
        ("x" * 100, "'" + "x" * 77 + "...'"),
        ("https://me:hunter2@corp.test/x", "'https://(not shown)@corp.test/x'"),
        ("-----BEGIN PRIVATE KEY-----\nhunter2", "the text of a certificate or key (not shown)"),
        (True, "the truth value true"),
        (0, "the number 0"),
        (1.5, "the number 1.5"),
        (None, "nothing"),
        ({"password": "hunter2"}, "a dictionary"),
        (["hunter2"], "a list"),
    ],
)
def test_a_value_is_shown_on_one_line_and_without_secrets(value, as_text):
    assert shown(value) == as_text


def test_a_required_variable_is_asked_for_with_an_example():
    checks = {"relay_name": lambda value: text(value, "a name", "scanner")}
    assert collect(checks, {}, ["relay_name"]) == ["relay_name: is required and has no value. Write a name, for example scanner."]
    assert collect(checks, {}) == []


def test_a_variable_of_somebody_else_is_left_alone_unless_its_name_looks_wrong():
    checks = {"postfix_ports": lambda value: None}
    assert collect(checks, {"postfix_install": 1, "sasldb_users": []}) == []
    assert collect(checks, {"postfix_port": 1}) == ["postfix_port: there is no such variable, so nothing would use it. Write postfix_ports."]
