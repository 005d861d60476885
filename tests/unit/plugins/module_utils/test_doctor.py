# SPDX-License-Identifier: GPL-3.0-or-later
"""Stages in order, the first failure of each identity, exit codes; what the doctor asks the host."""

from __future__ import annotations

import subprocess
import time

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import (
    _catalogue,
    _doctor,
    _doctor_host,
    _doctor_token,
    _renewal,
    _signin,
    _status,
    _tokens,
)
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError
from ansible_collections.simple_m365.relay.plugins.module_utils._doctor_network import Failed
from ansible_collections.simple_m365.relay.tests.unit.plugins.module_utils.test_tokens import IDENTITY, access_token

STAGES = [stage for stage in _doctor.STAGES if stage not in ("plugin", "configuration", "queue")]


@pytest.fixture
def healthy(monkeypatch):
    """A relay of two identities on which everything is well; a test puts failures into the dict that it gets."""
    broken = {}
    two = [dict(IDENTITY, mailbox="a@corp.test"), dict(IDENTITY, mailbox="b@corp.test")]

    def outcome(stage, mailbox=None):
        def probe(*_arguments):
            if (stage, mailbox) in broken:
                raise Failed(broken[stage, mailbox], "seen")
            return "fine"
        return probe
    monkeypatch.setattr(_doctor, "probes", lambda identity, _renew: {stage: outcome(stage, identity["mailbox"]) for stage in STAGES})
    for stage in ("plugin", "configuration", "queue"):
        monkeypatch.setattr(_doctor_host, stage, outcome(stage))
    monkeypatch.setattr(_doctor._relay_settings, "load", lambda: {"identities": two})
    return broken


def test_everything_is_tried_in_order(healthy):
    findings = _doctor.examine()
    assert [(finding["stage"], finding["identity"]) for finding in findings] == [
        ("plugin", None), ("configuration", None), *((stage, mailbox) for mailbox in ("a@corp.test", "b@corp.test") for stage in STAGES), ("queue", None)]
    assert (_doctor.exit_code(findings), _doctor.first_failure(findings)) == (0, None)


def test_after_the_first_failure_of_an_identity_nothing_more_is_tried_for_it(healthy):
    healthy["tls", "a@corp.test"] = "tls_failure"
    findings = {(finding["stage"], finding["identity"]): finding["status"] for finding in _doctor.examine()}
    assert [findings[stage, "a@corp.test"] for stage in STAGES] == ["ok"] * 5 + ["failed"] + ["not_tried"] * 3
    assert {findings[stage, "b@corp.test"] for stage in STAGES} == {"ok"}
    assert findings["queue", None] == "ok"


@pytest.mark.parametrize(("stage", "number"), [(stage, number) for stage, (number, _words) in _doctor.STAGES.items()])
def test_each_stage_has_its_exit_code(healthy, stage, number):
    healthy[stage, None if stage not in STAGES else "b@corp.test"] = "tls_failure"
    assert _doctor.exit_code(_doctor.examine()) == number


def test_the_failure_that_stands_earliest_on_the_way_decides(healthy):
    healthy["login", "a@corp.test"], healthy["dns", "b@corp.test"] = "login_refused", "dns_unavailable"
    assert _doctor.first_failure(_doctor.examine())["identity"] == "b@corp.test"


def test_a_failure_says_what_it_means_and_what_to_do(healthy):
    healthy["login", "a@corp.test"] = "smtp_auth_off_mailbox"
    findings = _doctor.examine()
    text = _doctor.as_text(findings)
    assert "FAILED    login" in text and "smtp_auth_off_mailbox" in text
    assert 'Set-CASMailbox -Identity "a@corp.test" -SmtpClientAuthenticationDisabled $false' in text
    assert 'Set-CASMailbox -Identity "a@corp.test"' in _doctor.sentence(_doctor.first_failure(findings))


def test_one_identity_alone_can_be_asked_for(healthy):
    assert {finding["identity"] for finding in _doctor.examine("B@corp.test")} == {None, "b@corp.test"}
    with pytest.raises(_doctor._relay_settings.UnusableError, match=r"c@corp\.test"):
        _doctor.examine("c@corp.test")


def test_a_program_of_postfixs_that_refuses_to_work_is_a_failure_and_no_crash(healthy, monkeypatch):
    def refuse():
        raise CommandError("postconf ended with exit code 1: fatal: main.cf")
    monkeypatch.setattr(_doctor, "probes", lambda _identity, _renew: {"token_file": refuse})
    assert _doctor.first_failure(_doctor.examine())["name"] == "configuration_wrong"


def test_without_settings_the_host_is_examined_all_the_same(healthy, monkeypatch):
    def fail():
        raise _doctor._relay_settings.UnusableError("there is no file")
    monkeypatch.setattr(_doctor._relay_settings, "load", fail)
    findings = _doctor.examine()
    assert [(finding["stage"], finding["status"]) for finding in findings] == [("plugin", "ok"), ("configuration", "failed"), ("queue", "ok")]
    assert _doctor.first_failure(findings)["name"] == "settings_missing"


def test_every_name_that_the_doctor_can_tell_is_in_the_catalogue():
    for name in ("plugin_missing", "configuration_wrong", "postfix_stopped", "settings_missing", "smtp_in_chroot", "token_file_unusable", "token_expired",
                 "renewal_timer_off", "msal_missing", "login_host_not_found", "login_dns_unavailable", "deferred_otherwise", "network_unreachable"):
        assert _catalogue.by_name(name)


# --- The host ----------------------------------------------------------------------------------------------------------


def answers(monkeypatch, **said):
    """Let programs answer: name=(output, exit code)."""
    calls = []

    def run(argv, check=True, **_options):
        calls.append(argv)
        if argv[0] not in said:
            raise CommandError(f"{argv[0]} is not installed")
        return subprocess.CompletedProcess(argv, 0, said[argv[0]].encode(), b"")
    for user in (_doctor_host, _doctor_host._plugin):
        monkeypatch.setattr(user, "run", run)
    return calls


def failed(call):
    """Return the name with which a probe fails."""
    with pytest.raises(Failed) as caught:
        call()
    return caught.value.name


def test_the_plugin_that_is_shown_loads(monkeypatch):
    answers(monkeypatch, saslpluginviewer="SASL mechanism: XOAUTH2, best SSF: 0")
    assert _doctor_host.plugin() == "sasl-xoauth2"


@pytest.mark.parametrize("said", [{}, {"saslpluginviewer": "Plugin PLAIN"}])
def test_a_plugin_that_is_not_shown_is_missing(monkeypatch, said):
    answers(monkeypatch, **said)
    assert failed(_doctor_host.plugin) == "plugin_missing"


MASTER = "m365-a unix - - n - - smtp\nsmtp inet n - n - - smtpd -o x=y\n"


def test_the_token_file_is_looked_at_as_postfix_does(monkeypatch):
    calls = answers(monkeypatch, postconf=MASTER, nsenter="")
    monkeypatch.setattr(_doctor_host._postfix_unit, "master_pid", lambda _directory: 77)
    assert "in Postfix's sandbox" in _doctor_host.token_file(IDENTITY)
    assert calls[-1][:8] == ["nsenter", "--mount=/proc/77/ns/mnt", "--", "setpriv", "--reuid=postfix", "--regid=postfix", "--init-groups", "--"]


def test_what_postfix_may_not_do_is_told(monkeypatch):
    answers(monkeypatch, postconf=MASTER, nsenter="may not write to /var/lib/m365-relay/tokens\n")
    monkeypatch.setattr(_doctor_host._postfix_unit, "master_pid", lambda _directory: 77)
    with pytest.raises(Failed, match="user postfix may not write to") as caught:
        _doctor_host.token_file(IDENTITY)
    assert caught.value.name == "token_file_unusable"


def test_a_chroot_is_told(monkeypatch):
    answers(monkeypatch, postconf=MASTER.replace("- - n", "- - y", 1))
    assert failed(lambda: _doctor_host.token_file(IDENTITY)) == "smtp_in_chroot"


def test_postfix_that_is_stopped_is_told(monkeypatch):
    monkeypatch.setattr(_doctor_host, "syntax_problems", lambda _directory: [])
    monkeypatch.setattr(_doctor_host._open_relay, "read", lambda _directory: ({"queue_directory": "/q", "mail_version": "3.7"}, []))
    monkeypatch.setattr(_doctor_host._postfix_unit, "master_pid", lambda _directory: None)
    assert failed(_doctor_host.configuration) == "postfix_stopped"
    monkeypatch.setattr(_doctor_host, "syntax_problems", lambda _directory: ["main.cf is wrong"])
    assert failed(_doctor_host.configuration) == "configuration_wrong"


@pytest.mark.parametrize("proven", [True, False])
def test_what_waits_is_named_by_its_commonest_cause(monkeypatch, proven):
    answers(monkeypatch, postconf="/q")
    causes = [{"name": "server_busy", "messages": 5, "reason": "x"}, {"name": "other", "messages": 2, "reason": "y"}]
    monkeypatch.setattr(_doctor_host._queue, "summary", lambda _directory, _now: {"total": 7, "causes": causes})
    with pytest.raises(Failed, match="5 messages wait because of server_busy; 2 because of other") as caught:
        _doctor_host.queue(proven)
    assert caught.value.name == "server_busy"
    assert ("m365-relay queue flush" in str(caught.value)) == proven


# --- The token ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(relay):
    """A function that puts a token file in place."""
    def put(expires_at):
        _tokens.store(IDENTITY["mailbox"], _tokens.content(IDENTITY, access_token(), "refresh", expires_at))
    return put


def test_a_token_that_is_not_there_is_named(relay):
    assert failed(lambda: _doctor_token.token(IDENTITY, False, time.time())) == "token_missing"


def test_a_token_says_whose_it_is_and_is_never_shown(stored):
    stored(2000000000)
    seen = _doctor_token.token(IDENTITY, False, time.time())
    assert "until 2033-05-18 03:33 UTC" in seen and access_token() not in seen


def test_an_expired_token_fails_unless_it_is_renewed_now(stored):
    stored(1000)
    assert failed(lambda: _doctor_token.token(IDENTITY, False, 2000)) == "token_expired"
    assert _doctor_token.token(IDENTITY, True, 2000)


@pytest.mark.parametrize(("active", "name"), [(True, None), (False, "renewal_timer_off")])
def test_without_renewing_the_timer_has_to_run(relay, monkeypatch, active, name):
    monkeypatch.setattr(_status, "unit_is_active", lambda _name: active)
    if name:
        assert failed(lambda: _doctor_token.renewal(IDENTITY, False)) == name
    else:
        assert "the timer runs" in _doctor_token.renewal(IDENTITY, False)


@pytest.mark.parametrize(("written", "name"), [("grant_revoked", "grant_revoked"), ("a name of another version", "refused")])
def test_the_last_failure_of_the_renewal_is_told(monkeypatch, written, name):
    monkeypatch.setattr(_renewal, "known", lambda _mailbox: {"last_error": {"name": written, "happened": "It was revoked."}, "failures": 2})
    assert failed(lambda: _doctor_token.renewal(IDENTITY, False)) == name


def test_renewing_asks_microsoft_and_names_its_answer(monkeypatch):
    error = _signin.SignInError("conditional_access", IDENTITY)
    monkeypatch.setattr(_renewal, "renew", lambda _identity, force: {"outcome": "sign_in_required", "expires_at": 5, "error": error if force else None})
    assert failed(lambda: _doctor_token.renewal(IDENTITY, True)) == "conditional_access"
    monkeypatch.setattr(_renewal, "renew", lambda _identity, force: {"outcome": "renewed", "expires_at": 2000000000, "error": None})
    assert _doctor_token.renewal(IDENTITY, True) == "renewed, until 2033-05-18 03:33 UTC"
