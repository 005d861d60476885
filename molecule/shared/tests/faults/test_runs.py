# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of site.yml promises: nothing to do is nothing done, check mode tells the truth, a bad configuration never runs."""

from __future__ import annotations

import re

import pytest
from conftest import MAILBOX, PASSWORDS, fingerprint, submit, token_file

SECRETS = list(PASSWORDS.values())


@pytest.fixture(scope="module", autouse=True)
def deployed(microsoft, play):
    """Start from the scenario's own inventory, whatever an earlier test deployed."""
    microsoft("POST", "/reset")
    microsoft("POST", "/person", {"account": MAILBOX})
    done = play("site")
    assert done.returncode == 0, done.stdout


def master(host):
    """Return the process id of Postfix's master and how often it has read its configuration."""
    return host.check_output("cat /var/spool/postfix/pid/master.pid"), host.check_output("journalctl --no-pager -t postfix/master --grep reload | wc -l")


def changed(done):
    """Return the figure that Ansible's recap gives."""
    return int(re.search(r"^relay\s.*changed=(\d+)", done.stdout, re.MULTILINE)[1])


def test_a_second_run_changes_nothing_and_takes_no_restart(host, play):
    before = master(host), fingerprint(host)
    done = play("site", "--diff")
    assert (done.returncode, changed(done)) == (0, 0), done.stdout
    assert (master(host), fingerprint(host)) == before


def test_check_mode_on_a_deployed_relay_finds_nothing_to_do_and_shows_no_secret(host, play):
    done = play("site", "--check", "--diff", "-vv")
    assert (done.returncode, changed(done)) == (0, 0), done.stdout
    assert [secret for secret in SECRETS if secret in done.stdout] == []


def test_check_mode_announces_a_change_and_does_not_make_it(host, play):
    before = fingerprint(host)
    variables = {"postfix_message_size_limit": 2000000, "sasldb_users": [{"name": "scanner", "password": "planted-other"}]}
    done = play("site", "--check", "--diff", variables=variables)
    assert done.returncode == 0, done.stdout
    assert changed(done) == 2, done.stdout
    assert "+message_size_limit = 2000000" in done.stdout
    assert "scanner@corp.test" in done.stdout
    assert "planted" not in done.stdout
    assert fingerprint(host) == before


def test_a_stopped_and_disabled_postfix_runs_again_after_a_run(host, play):
    host.check_output("systemctl disable --now postfix")
    done = play("site")
    assert done.returncode == 0, done.stdout
    assert host.service("postfix").is_running
    assert host.service("postfix").is_enabled


def test_a_change_made_by_hand_is_found_and_taken_back(bed, host, play):
    host.check_output("postconf -e smtpd_tls_auth_only=no")
    host.check_output("postfix reload")
    done = play("site")
    assert changed(done) == 1, done.stdout
    assert host.check_output("postconf -h smtpd_tls_auth_only") == "yes"


# name: extra parameters or services, words of the error
BROKEN = {
    "a map that cannot be opened": ({"postfix_extra_parameters": {"body_checks": "regexp:/nonexistent/checks"}}, ["/nonexistent/checks"]),
    "a parameter that Postfix does not know": ({"postfix_extra_parameters": {"smptd_banner": "hello"}}, ["smptd_banner"]),
    "a program that does not exist": ({"postfix_extra_services": [{"name": "extra", "type": "unix", "command": "no-such-daemon"}]}, ["no-such-daemon"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_configuration_that_fails_its_check_never_reaches_postfix(bed, lab, host, play, name):
    variables, words = BROKEN[name]
    before = master(host), host.check_output("cat /etc/postfix/main.cf /etc/postfix/master.cf | sha256sum")
    done = play("site", variables=variables)
    assert done.returncode == 2, done.stdout
    assert [word for word in words if word not in done.stdout] == []
    assert (master(host), host.check_output("cat /etc/postfix/main.cf /etc/postfix/master.cf | sha256sum")) == before
    assert len(lab.delivered(submit(bed["hosts"]["relay"]["addresses"][0]))) == 1


def test_a_configuration_that_breaks_postfix_after_the_reload_is_rolled_back(bed, lab, host, play):
    # A listener on a port that another program holds is seen by the master only, after the reload.
    host.check_output("systemd-run --unit=port-holder python3 -m http.server 2525")
    before = host.check_output("cat /etc/postfix/main.cf /etc/postfix/master.cf | sha256sum")
    done = play("site", variables={"postfix_extra_services": [{"name": "2525", "type": "inet", "command": "smtpd"}]})
    host.check_output("systemctl stop port-holder")
    assert done.returncode == 2, done.stdout
    assert "2525" in done.stdout
    assert host.check_output("cat /etc/postfix/main.cf /etc/postfix/master.cf | sha256sum") == before
    assert host.service("postfix").is_running
    assert len(lab.delivered(submit(bed["hosts"]["relay"]["addresses"][0]))) == 1


def test_a_damaged_token_file_means_signing_in_again(lab, host, play):
    host.check_output("printf garbage > /var/lib/m365-relay/tokens/%s", MAILBOX)
    lab("POST", "/person", {"account": MAILBOX})
    done = play("site")
    assert done.returncode == 0, done.stdout
    assert '"refresh_token"' in token_file(host)


@pytest.mark.parametrize(("username", "outcome", "word"), [("scanner", 0, "delivered"), ("printer", 2, "refused")])
def test_a_test_mail_is_followed_to_its_end(lab, play, username, outcome, word):
    if outcome:
        lab("POST", "/faults", {"name": "smtp_send_as_denied"})
    done = play("test_mail", variables={"test_mail_username": username, "test_mail_password": PASSWORDS[username]})
    assert done.returncode == outcome, done.stdout
    assert word in done.stdout.lower()


def test_a_test_mail_that_has_to_wait_says_why(lab, host, play):
    lab("POST", "/faults", {"name": "down_smtp"})
    done = play("test_mail", variables={"test_mail_username": "scanner", "test_mail_password": PASSWORDS["scanner"]})
    host.check_output("postfix reload")    # Postfix would hold back the mail of the next tests for a minute
    assert done.returncode == 2, done.stdout
    assert "deferred because" in done.stdout.lower()
    assert "refused" in done.stdout.lower() or "4.4.1" in done.stdout
