# SPDX-License-Identifier: GPL-3.0-or-later
"""What the relay does for one identity: the token is renewed, corrected or replaced, or stays as it is, byte for byte."""

from __future__ import annotations

import json
import os
import stat
import threading
import time

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _identity, _signin, _tokens
from ansible_collections.simple_m365.relay.tests.unit.plugins.sign_in_service import (
    CODE,
    CODE_GIVEN,
    DEVICE_MARK,
    DISCOVERY,
    PENDING,
    REFRESH_MARK,
    access_token,
    failure,
    id_token,
    success,
)


def stored(relay, identity, left=3000, **changes):
    """Store a token that lives for `left` seconds; return the file and its content."""
    content = _tokens.content(identity, access_token(), "old refresh", time.time() + left)
    _tokens.store("scans@corp.test", _tokens.render({**json.loads(content), **changes}))
    path = relay / "tokens/scans@corp.test"
    return path, path.read_bytes()


def files(relay):
    """Return what every file of the relay holds."""
    return {path.name: path.read_bytes() for path in relay.rglob("*") if path.is_file() and path.suffix != ".lock"}


def test_no_token(relay, identity):
    found = _identity.examine(identity)
    assert (found["changed"], found["reason"].name, found["expires_at"]) == (False, "token_missing", 0)


def test_good_token_is_left_alone_and_microsoft_is_not_asked(relay, identity):
    path, before = stored(relay, identity)
    found = _identity.examine(identity)
    assert (found["changed"], found["renewed"], found["reason"], found["trouble"]) == (False, False, None, None)
    assert path.read_bytes() == before


def test_token_near_its_end_is_renewed(relay, identity, microsoft):
    path, _before = stored(relay, identity, left=599)
    microsoft.expects(DISCOVERY, ("token", success(refresh_token="rotated")))
    found = _identity.examine(identity)
    assert (found["changed"], found["renewed"], found["reason"]) == (True, True, None)
    new = json.loads(path.read_bytes())
    assert new["refresh_token"] == "rotated" and int(new["expiry"]) == found["expires_at"] == pytest.approx(time.time() + 3600, abs=5)
    assert _identity.examine(identity)["changed"] is False


def test_refresh_token_that_is_not_rotated_is_kept(relay, identity, microsoft):
    path, _before = stored(relay, identity, left=0)
    microsoft.expects(DISCOVERY, ("token", success(refresh_token=None)))
    assert _identity.examine(identity)["renewed"]
    assert json.loads(path.read_bytes())["refresh_token"] == "old refresh"


def test_token_that_does_not_say_whose_it_is_is_renewed_to_find_out(relay, identity, microsoft):
    stored(relay, identity, access_token="opaque")
    microsoft.expects(DISCOVERY, ("token", success(access_token="opaque", id_token=id_token(preferred_username="admin@corp.test"))))
    assert _identity.examine(identity)["reason"].name == "wrong_person"


UNUSABLE = {
    "revoked": (failure("invalid_grant", 50173), "reason", "grant_revoked"),
    "inactive for 90 days": (failure("invalid_grant", 700082), "reason", "grant_inactive"),
    "Conditional Access": (failure("invalid_grant", 53003), "reason", "conditional_access"),
    "of another person": (success(access_token=access_token(upn="admin@corp.test")), "reason", "wrong_person"),
    "for Graph": (success(access_token=access_token(aud="https://graph.microsoft.com")), "reason", "wrong_audience"),
    "Microsoft in trouble": ((503, "oops"), "trouble", "service_trouble"),
    "no answer of Microsoft's": ((200, "<html>"), "trouble", "unexpected_answer"),
}


@pytest.mark.parametrize("case", UNUSABLE.values(), ids=UNUSABLE)
def test_renewal_that_fails_leaves_the_token(relay, identity, microsoft, case):
    answer, key, name = case
    path, before = stored(relay, identity, left=0)
    microsoft.expects(DISCOVERY, ("token", answer))
    found = _identity.examine(identity)
    assert found[key].name == name and not found["changed"]
    assert {"reason", "trouble"} - {key} == {other for other in ("reason", "trouble") if found[other] is None}
    assert path.read_bytes() == before


def test_file_is_put_in_order_without_asking(relay, identity):
    path, _before = stored(relay, identity, refresh_window="0", client_secret="")
    os.chmod(path, 0o644)
    found = _identity.examine(identity)
    assert (found["changed"], found["renewed"]) == (True, False)
    assert json.loads(path.read_bytes())["refresh_window"] == "300" and stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert _identity.examine(identity)["changed"] is False


CHECKED = {
    "good": ({}, 3000, False),
    "near its end": ({}, 0, True),
    "out of order": ({"refresh_window": "0"}, 3000, True),
}


@pytest.mark.parametrize(("changes", "left", "changed"), CHECKED.values(), ids=CHECKED)
def test_check_mode_tells_and_changes_nothing(relay, identity, changes, left, changed):
    stored(relay, identity, left, **changes)
    before = files(relay)
    assert _identity.examine(identity, check_only=True)["changed"] is changed
    assert files(relay) == before


def test_check_mode_on_a_bare_host(relay, identity, monkeypatch, tmp_path):
    for name in ("BASE", "TOKENS", "STATE"):
        monkeypatch.setattr(_tokens, name, str(tmp_path / "nothing"))
    monkeypatch.setattr(_tokens, "OWNER", "nobody-of-that-name")
    found = _identity.examine(identity, check_only=True)
    assert found["changed"] and found["reason"].name == "token_missing"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"null"])
def test_damaged_file_asks_for_a_sign_in_and_is_left(relay, identity, content):
    (relay / "tokens/scans@corp.test").write_bytes(content)
    assert _identity.examine(identity)["reason"].name == "token_damaged"
    assert (relay / "tokens/scans@corp.test").read_bytes() == content


def test_two_renewals_at_once_ask_microsoft_once(relay, identity, microsoft):
    stored(relay, identity, left=0)
    microsoft.expects(DISCOVERY, ("token", success()))
    found = []
    threads = [threading.Thread(target=lambda: found.append(_identity.examine(identity))) for _turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one["renewed"] for one in found) == [False, False, False, True]


def test_sign_in_from_start_to_token(relay, identity, microsoft):
    microsoft.expects(DISCOVERY, CODE_GIVEN)
    told = _identity.start_sign_in(identity)
    assert (told["user_code"], told["verification_uri"], told["expires_in"]) == ("ABCD1234", "https://microsoft.com/devicelogin", 900)
    assert DEVICE_MARK not in repr(told)
    assert stat.S_IMODE(os.stat(relay / "state/scans@corp.test.pending").st_mode) == 0o600
    microsoft.expects(DISCOVERY, PENDING, ("token", success()))
    expires_at = _identity.finish_sign_in(identity)
    assert json.loads((relay / "tokens/scans@corp.test").read_bytes())["expiry"] == str(expires_at)
    assert sorted(files(relay)) == ["scans@corp.test", "scans@corp.test.json"]
    assert REFRESH_MARK not in files(relay)["scans@corp.test.json"].decode()
    assert _identity.examine(identity)["changed"] is False


FAILED = {
    "declined": (failure("authorization_declined"), "declined"),
    "code expired": (failure("expired_token", 70019), "code_expired"),
    "app unknown": (failure("unauthorized_client", 700016), "app_unknown"),
    "public client flows off": (failure("invalid_client", 7000218), "public_client_off"),
    "wrong person": (success(id_token=id_token(preferred_username="admin@corp.test"), access_token=access_token(upn="admin@corp.test")), "wrong_person"),
    "wrong tenant": (success(access_token=access_token(tid="66666666-7777-4888-8999-000000000000")), "wrong_tenant"),
    "wrong audience": (success(access_token=access_token(aud="https://graph.microsoft.com")), "wrong_audience"),
    "wrong permission": (success(access_token=access_token(scp="User.Read")), "wrong_scope"),
    "no refresh token": (success(refresh_token=None), "no_refresh_token"),
}


@pytest.mark.parametrize(("answer", "name"), FAILED.values(), ids=FAILED)
def test_sign_in_that_fails_leaves_the_old_token(relay, identity, microsoft, answer, name):
    stored(relay, identity)
    before = files(relay)
    microsoft.expects(DISCOVERY, CODE_GIVEN)
    _identity.start_sign_in(identity)
    microsoft.expects(DISCOVERY, ("token", answer))
    with pytest.raises(_signin.SignInError) as raised:
        _identity.finish_sign_in(identity)
    assert raised.value.name == name
    assert files(relay) == before


def test_full_disk_at_the_end_of_a_sign_in_leaves_the_old_token(relay, identity, microsoft, monkeypatch):
    stored(relay, identity)
    before = files(relay)
    microsoft.expects(DISCOVERY, CODE_GIVEN)
    _identity.start_sign_in(identity)
    microsoft.expects(DISCOVERY, ("token", success()))

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        _identity.finish_sign_in(identity)
    assert files(relay) == before


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"identity": {"mailbox": "other@corp.test"}, "flow": {}}'])
def test_finish_without_start(relay, identity, content):
    if content is not None:
        (relay / "state/scans@corp.test.pending").write_bytes(content)
    with pytest.raises(_signin.SignInError) as raised:
        _identity.finish_sign_in(identity)
    assert raised.value.name == "sign_in_not_started"


def test_a_newer_sign_in_stays_pending(relay, identity, microsoft, monkeypatch):
    microsoft.expects(DISCOVERY, CODE_GIVEN)
    _identity.start_sign_in(identity)
    microsoft.expects(DISCOVERY, ("devicecode", (200, {**CODE, "device_code": "newer"})), ("token", failure("authorization_declined")))
    finish = _signin.finish_device_flow

    def overtaken(*args):
        _identity.start_sign_in(identity)
        monkeypatch.setattr(_signin, "finish_device_flow", finish)
        microsoft.script.insert(0, DISCOVERY)
        return finish(*args)

    monkeypatch.setattr(_signin, "finish_device_flow", overtaken)
    with pytest.raises(_signin.SignInError):
        _identity.finish_sign_in(identity)
    assert b"newer" in (relay / "state/scans@corp.test.pending").read_bytes()
