# SPDX-License-Identifier: GPL-3.0-or-later
"""Planted passwords and the relay's tokens are nowhere but in their own files."""

from __future__ import annotations

import json
import pathlib
import subprocess

import pytest
from conftest import MAILBOX, PASSWORDS, submit, token_file

PLANTED = "planted-Pa55word-changed"
# Collects every command line on the relay, many times a second, until it is stopped.
WATCH = r"""
import glob, sys, time
seen = set()
while True:
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try: line = open(path, "rb").read()
        except OSError: continue
        if line not in seen:
            seen.add(line); sys.stdout.write(line.replace(b"\0", b" ").decode("utf-8", "replace") + "\n"); sys.stdout.flush()
    time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def run(bed, microsoft, play, inventories):
    """Deploy with a changed password and a new sign-in, at -vvv with diffs, while every command line is watched."""
    microsoft("POST", "/person", {"account": MAILBOX})
    users = [{"name": "scanner", "password": PASSWORDS["scanner"]}, {"name": "printer", "password": PASSWORDS["printer"]},
             {"name": "changed", "password": PLANTED}]
    address = bed["hosts"]["relay"]["addresses"][0]
    key = json.loads(pathlib.Path(inventories[0]).read_text(encoding="utf-8"))["all"]["vars"]
    ssh = ["ssh", "-i", key["ansible_ssh_private_key_file"], *key["ansible_ssh_common_args"].split(), f"root@{address}", "python3", "-"]
    with subprocess.Popen(ssh, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watcher:
        watcher.stdin.write(WATCH)
        watcher.stdin.close()
        done = [play("site", "-vvv", "--diff", variables={"sasldb_users": users, "xoauth2_sign_in": "always"}),
                play("users", "-vvv", "--diff", variables={"sasldb_users": [{"name": "changed", "state": "absent"}]}),
                play("test_mail", "-vvv", variables={"test_mail_username": "scanner", "test_mail_password": PASSWORDS["scanner"]})]
        watcher.terminate()
        command_lines = watcher.stdout.read()
    for play_run in done:
        assert play_run.returncode == 0, play_run.stdout
    return {"output": "".join(play_run.stdout for play_run in done), "command lines": command_lines}


@pytest.fixture
def secrets(host):
    """Everything that must not be seen."""
    token = json.loads(token_file(host))
    return [*PASSWORDS.values(), PLANTED, token["access_token"], token["refresh_token"]]


def test_the_watcher_sees_what_runs(run):
    assert "sshd" in run["command lines"] and "postconf" in run["command lines"]


@pytest.mark.parametrize("place", ["output", "command lines"])
def test_no_secret_is_in_the_output_or_on_a_command_line(run, secrets, place):
    assert [secret[:12] for secret in secrets if secret in run[place]] == []


def test_no_secret_is_in_the_journal(run, host, secrets, bed):
    submit(bed["hosts"]["relay"]["addresses"][0])
    journal = host.check_output("journalctl --no-pager --output=cat")
    assert "postfix/smtpd" in host.check_output("journalctl --no-pager --lines=200")
    assert [secret[:12] for secret in secrets if secret in journal] == []


def test_no_secret_is_in_a_file_that_others_can_read(run, host, secrets):
    host.check_output("umask 077; printf '%%s' %s > /root/planted-secrets", "\n".join(secrets) + "\n")
    found = host.run("find / -xdev -type f -perm /o=r -size -5M -not -path '/proc/*' -not -path '/sys/*' -print0 | xargs -0 grep -lFf /root/planted-secrets")
    assert found.stdout == ""
    kept = host.check_output("grep -lFf /root/planted-secrets /etc/sasldb2 /var/lib/m365-relay/tokens/*").splitlines()
    host.check_output("rm /root/planted-secrets")
    assert len(kept) == 2  # the search does find what is there
