# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that keeps the token: what it tells, and that it never tells a secret."""

from __future__ import annotations

import time

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _identity, _tokens
from ansible_collections.simple_m365.relay.plugins.modules import m365_token
from ansible_collections.simple_m365.relay.tests.unit.plugins.sign_in_service import (
    ACCESS_MARK,
    CODE_GIVEN,
    DEVICE_MARK,
    DISCOVERY,
    REFRESH_MARK,
    access_token,
    failure,
    success,
)

WHOLE = " ".join(str(value) for value in success()[1].values())


@pytest.fixture
def run(run_module, options):
    """Run the module with the usual options; its result must not hold a secret."""

    def run_it(**more):
        result = run_module(m365_token.main, **{**options, "_ansible_diff": True, **more})
        assert not [mark for mark in (ACCESS_MARK, REFRESH_MARK, DEVICE_MARK) if mark in repr(result)]
        return result

    return run_it


def stored(identity, left):
    """Store a good token that lives for `left` seconds; return until when."""
    until = int(time.time()) + left
    _tokens.store("scans@corp.test", _tokens.content(identity, access_token(), REFRESH_MARK, until))
    return m365_token.in_utc(until)


def test_good_token(relay, identity, run):
    until = stored(identity, 3000)
    result = run()
    assert not result["changed"] and not result["sign_in_required"] and result["reason"] == ""
    assert result["expires_at"] == until
    assert result["diff"] == {"before": f"scans@corp.test: {until}\n", "after": f"scans@corp.test: {until}\n"}


def test_no_token_is_no_failure(relay, run):
    result = run()
    assert not result.get("failed") and result["sign_in_required"] and result["reason"] == "token_missing"
    assert "There is no token for scans@corp.test yet." in result["message"]


def test_bare_host_in_check_mode(tmp_path, monkeypatch, run):
    for name in ("BASE", "TOKENS", "STATE"):
        monkeypatch.setattr(_tokens, name, str(tmp_path / "nothing"))
    monkeypatch.setattr(_tokens, "OWNER", "nobody-of-that-name")
    result = run(_ansible_check_mode=True)
    assert result["changed"] and result["sign_in_required"] and not result.get("failed")


def test_bare_host_otherwise(monkeypatch, run):
    monkeypatch.setattr(_tokens, "OWNER", "nobody-of-that-name")
    assert "install the package postfix first" in run()["msg"]


def test_renewal(relay, identity, microsoft, run):
    before = stored(identity, 60)
    microsoft.expects(DISCOVERY, ("token", success()))
    result = run()
    assert result["changed"] and result["renewed"] and result["diff"]["before"] == f"scans@corp.test: {before}\n"
    assert result["diff"]["after"] == f"scans@corp.test: {result['expires_at']}\n"


def test_renewal_in_check_mode_asks_nobody(relay, identity, run):
    stored(identity, 60)
    result = run(_ansible_check_mode=True)
    assert result["changed"] and result["diff"]["after"] == "scans@corp.test: renewed\n"


def test_refused_renewal_requires_a_sign_in(relay, identity, microsoft, run):
    stored(identity, 60)
    microsoft.expects(DISCOVERY, ("token", failure("invalid_grant", 50173, WHOLE)))
    result = run()
    assert not result.get("failed") and result["sign_in_required"] and result["reason"] == "grant_revoked"


def test_trouble_at_microsofts_is_a_warning(relay, identity, microsoft, run, monkeypatch):
    warnings = []
    monkeypatch.setattr(m365_token.AnsibleModule, "warn", lambda _module, text: warnings.append(text))
    stored(identity, 60)
    microsoft.expects(DISCOVERY, ("token", (503, WHOLE)))
    result = run()
    assert not result["sign_in_required"] and not result["changed"]
    assert len(warnings) == 1 and "HTTP 503" in warnings[0] and REFRESH_MARK not in warnings[0]


def test_waiting_ends_with_the_token(relay, identity, microsoft, run):
    microsoft.expects(DISCOVERY, CODE_GIVEN)
    _identity.start_sign_in(identity)
    microsoft.expects(DISCOVERY, ("token", success()))
    result = run(wait_for_sign_in=True)
    assert result["changed"] and not result["sign_in_required"] and result["path"] == str(relay / "tokens/scans@corp.test")
    assert not run()["changed"]


def test_waiting_that_fails_names_cause_and_remedy(relay, identity, microsoft, run):
    microsoft.expects(DISCOVERY, CODE_GIVEN)
    _identity.start_sign_in(identity)
    microsoft.expects(DISCOVERY, ("token", success(access_token=access_token(upn="admin@corp.test"))))
    result = run(wait_for_sign_in=True)
    assert result["failed"] and result["error_name"] == "wrong_person"
    assert "It belongs to admin@corp.test." in result["msg"] and "xoauth2_sign_in_as" in result["msg"]


def test_waiting_in_check_mode_asks_nobody(relay, run):
    assert run(wait_for_sign_in=True, _ansible_check_mode=True)["changed"]


def test_shared_mailbox_is_signed_in_by_a_person(relay, identity, microsoft, run):
    shared = dict(identity, mailbox="shared@corp.test")
    _tokens.store("shared@corp.test", _tokens.content(shared, access_token(), REFRESH_MARK, time.time() + 3000))
    assert not run(mailbox="shared@corp.test", sign_in_as="scans@corp.test")["sign_in_required"]
    assert run(mailbox="shared@corp.test")["reason"] == "wrong_person"


def test_busy_token_is_a_clear_error(relay, run, monkeypatch):
    monkeypatch.setattr(_tokens.locked.__wrapped__, "__defaults__", (0.1,))
    with _tokens.locked("scans@corp.test"):
        assert "has not ended: try again" in run()["msg"]
