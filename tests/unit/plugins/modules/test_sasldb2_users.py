# SPDX-License-Identifier: GPL-3.0-or-later
"""The module sasldb2_users: what it answers, that it keeps its hands off in check mode, and that no password gets out."""

from __future__ import annotations

import json
import os
import pathlib
import secrets
import stat
import subprocess
import sys

import pytest

MODULE = "ansible_collections.simple_m365.relay.plugins.modules.sasldb2_users"
ANSIBLE_PLAYBOOK = pathlib.Path(sys.executable).with_name("ansible-playbook")
# A host without the database programs: Python's default search path leads nowhere.
BARE_HOST = f"import os, runpy; os.defpath = '/nowhere'; runpy.run_module('{MODULE}', run_name='__main__')"


def run_module(path, users, *, check=False, diff=True, python=("-m", MODULE), **options):
    """Run the module in a process of its own, as a host does; return (its result, everything it printed)."""
    arguments = {"path": str(path), "realm": "corp.test", "users": users if isinstance(users, str) else json.dumps(users),
                 "_ansible_check_mode": check, "_ansible_diff": diff, **options}
    done = subprocess.run([sys.executable, *python], input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout), done.stdout + done.stderr


def listed(path):
    done = subprocess.run(["sasldblistusers2", "-f", str(path)], capture_output=True, text=True, check=True)
    return sorted(line.removesuffix(": userPassword") for line in done.stdout.splitlines())


def contents(directory):
    return {path.name: (path.lstat().st_mtime_ns, path.read_bytes()) for path in pathlib.Path(directory).iterdir()}


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "sasldb2"
    for name in ("al", "bob"):
        subprocess.run(["saslpasswd2", "-p", "-c", "-f", str(path), "-u", "corp.test", name], input=f"{name}-old".encode(), check=True)
    return path


USERS = [{"name": "bob", "password": "bob-new"}, {"name": "carol@plant.test", "password": "carol-new"}, {"name": "al", "state": "absent"}]


@pytest.mark.parametrize("check", [True, False], ids=["in check mode", "for real"])
def test_the_result_names_accounts(database, check):
    before = contents(database.parent)
    result, _printed = run_module(database, USERS, check=check)
    assert result["changed"] is True
    assert [result[name] for name in ("added", "altered", "removed", "count")] == [["carol@plant.test"], ["bob@corp.test"], ["al@corp.test"], 2]
    assert result["diff"] == [{"before_header": str(database), "after_header": str(database), "before": "al@corp.test\nbob@corp.test\n",
                               "after": "bob@corp.test (new password)\ncarol@plant.test\n"}]
    if check:
        assert contents(database.parent) == before
    else:
        assert listed(database) == ["bob@corp.test", "carol@plant.test"]


@pytest.mark.parametrize("check", [True, False], ids=["in check mode", "for real"])
def test_a_second_run_changes_nothing(database, check):
    run_module(database, USERS)
    before = contents(database.parent)
    result, _printed = run_module(database, USERS, check=check, diff=False)
    assert [result[name] for name in ("changed", "added", "altered", "removed", "count")] == [False, [], [], [], 2]
    assert "diff" not in result
    assert contents(database.parent) == before


def test_exclusive_removes_the_others(database):
    assert run_module(database, [{"name": "bob", "password": "bob-old"}], exclusive=True)[0]["removed"] == ["al@corp.test"]
    assert listed(database) == ["bob@corp.test"]


def test_check_mode_on_a_bare_host_says_what_would_be_added(tmp_path):
    result, _printed = run_module(tmp_path / "etc" / "sasldb2", USERS, check=True, python=("-c", BARE_HOST))
    assert (result["changed"], result["added"], result["count"]) == (True, ["bob@corp.test", "carol@plant.test"], 2)
    assert contents(tmp_path) == {}


def test_check_mode_without_a_database_says_what_would_be_added(tmp_path):
    result, _printed = run_module(tmp_path / "sasldb2", USERS, check=True)
    assert (result["changed"], result["added"], result["count"]) == (True, ["bob@corp.test", "carol@plant.test"], 2)
    assert contents(tmp_path) == {}


def test_a_host_without_the_database_programs_is_told_which_package_it_needs(database):
    before = contents(database.parent)
    result, _printed = run_module(database, USERS, python=("-c", BARE_HOST))
    assert result["failed"] is True
    assert result["msg"] == f"{database} cannot be read: db_verify, db_dump, db_load not found. Install the package db-util."
    assert contents(database.parent) == before


@pytest.mark.parametrize("check", [True, False], ids=["in check mode", "for real"])
def test_owner_and_mode_are_set_right_without_any_account_to_change(database, check):
    result, _printed = run_module(database, [], check=check, owner="root", group="sasl", mode="0660")
    assert (result["changed"], result["added"]) == (True, [])
    assert result["diff"][1]["after"]["mode"] == "0660"
    assert (database.group() == "sasl" and stat.S_IMODE(database.stat().st_mode) == 0o660) is not check
    assert run_module(database, [], check=check, owner="root", group="sasl", mode="0660")[0]["changed"] is check


FAILURES = {
    "no JSON": ("PLANTED", {}, 'users must be a list in JSON: write users: "{{ list | to_json }}"'),
    "a list in Python's own words": ("[{'name': 'bob', 'password': 'PLANTED'}]", {}, 'users must be a list in JSON: write users: "{{ list | to_json }}"'),
    "no list": ({"name": "PLANTED"}, {}, "users must be a list of accounts"),
    "an account that is text": (["bob:PLANTED"], {}, "users, entry 1: an account must be a mapping with name and password"),
    "two problems": ([{"name": "a b", "password": "PLANTED"}, {"name": "c"}], {},
                     "users, entry 1 ('a b'): name must not have spaces, control characters, commas, colons or a further @\n"
                     "users, entry 2 ('c'): password is missing or empty"),
    "a relative path": ([], {"path": "sasldb2"}, "path must be absolute, not sasldb2"),
}


@pytest.mark.parametrize(("users", "options", "message"), FAILURES.values(), ids=FAILURES)
def test_it_fails_with(users, options, message, database):
    before = contents(database.parent)
    result, printed = run_module(options.pop("path", database), users)
    assert (result["failed"], result["msg"]) == (True, message)
    assert "PLANTED" not in printed
    assert contents(database.parent) == before


def test_of_many_problems_only_the_first_are_shown(database):
    lines = run_module(database, [{"name": f"user{number}"} for number in range(1000)])[0]["msg"].splitlines()
    assert (len(lines), lines[-1]) == (21, "... and 980 more")


def test_a_damaged_database_is_an_error_that_tells_the_remedy(database):
    os.truncate(database, 8192)
    before = contents(database.parent)
    result, _printed = run_module(database, USERS)
    assert result["failed"] is True
    assert f"mv {database} {database}.bad" in result["msg"]
    assert contents(database.parent) == before


PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Changed
      simple_m365.relay.sasldb2_users: {path: PATH, realm: corp.test, exclusive: true, users: "{{ accounts | to_json }}"}
    - name: Unchanged
      simple_m365.relay.sasldb2_users: {path: PATH, realm: corp.test, exclusive: true, users: "{{ accounts | to_json }}"}
    - name: Refused
      simple_m365.relay.sasldb2_users: {path: PATH, realm: corp.test, users: "{{ (accounts + accounts) | to_json }}"}
"""


def test_ansible_prints_names_and_no_password_however_much_it_is_asked(database, tmp_path):
    planted = [f"{secrets.token_hex(8)}{rest}" for rest in ("", " ä\" '\\", "{{ nope }}")]
    accounts = [{"name": f"user{number}", "password": {"__ansible_unsafe": password}} for number, password in enumerate(planted)]
    (tmp_path / "play.yml").write_text(PLAYBOOK.replace("PATH", str(database)))
    (tmp_path / "accounts.json").write_text(json.dumps({"accounts": accounts}))
    os.chmod(tmp_path / "accounts.json", 0o600)
    done = subprocess.run(
        [ANSIBLE_PLAYBOOK, "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", "-e", f"@{tmp_path / 'accounts.json'}",
         "-vvvv", "--diff", str(tmp_path / "play.yml")],
        capture_output=True, text=True, check=False, env={**os.environ, "ANSIBLE_NOCOLOR": "1"})
    printed = done.stdout + done.stderr
    assert "ok=2    changed=1    unreachable=0    failed=1" in printed
    assert "+user0@corp.test" in printed
    assert "this account stands in the list already" in printed
    assert listed(database) == ["user0@corp.test", "user1@corp.test", "user2@corp.test"]
    for password in planted:
        assert password.encode() in database.read_bytes(), "the password was not planted"
        assert password[:16] not in printed
