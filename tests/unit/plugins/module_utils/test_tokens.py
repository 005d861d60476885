# SPDX-License-Identifier: GPL-3.0-or-later
"""Token files: what is good, what is written, and what a kill or a full disk leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import time

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _files, _tokens
from ansible_collections.simple_m365.relay.tests.unit.plugins.sign_in_service import CLIENT, TENANT, access_token, jwt

IDENTITY = {
    "mailbox": "Scans@corp.test",
    "sign_in_as": "scans@corp.test",
    "tenant_id": TENANT,
    "client_id": CLIENT,
    "grant": "device_code",
    "login_host": "login.microsoftonline.com",
    "scope": "https://outlook.office.com/SMTP.Send",
    "audiences": ["https://outlook.office.com"],
    "smtp_host": "smtp.office365.com",
    "refresh_window": 300,
    "proxy": "",
    "ca_file": "/etc/ssl/certs/ca-certificates.crt",
}
APP = dict(IDENTITY, grant="client_secret", scope="https://outlook.office.com/.default")


def token(**changes):
    """Return the content of a good token file as a dict, changed by `changes`; None takes a key away."""
    good = json.loads(_tokens.content(IDENTITY, access_token(), "refresh", 2000000000))
    return {key: value for key, value in {**good, **changes}.items() if value is not None}


GOOD = {
    "as it is written": token(),
    "mailbox in other case": token(user="SCANS@CORP.TEST"),
    "an opaque access token says nothing wrong": token(access_token="opaque"),
    "keys of the plugin's beside ours": token(client_secret="", proxy=""),
    "audience with a slash": token(access_token=access_token(aud="https://outlook.office.com/")),
    "more permissions than needed": token(access_token=access_token(scp="IMAP.AccessAsUser.All SMTP.Send")),
    "client as azp": token(access_token=access_token(appid=None, azp=CLIENT)),
    "person in other case": token(access_token=access_token(upn="SCANS@corp.test")),
}
BAD = {
    "no file": (None, "token_missing"),
    "empty object": ({}, "token_damaged"),
    "a number where the plugin wants a text": (token(expiry=2000000000), "token_damaged"),
    "no access token": (token(access_token=None), "token_damaged"),
    "no refresh token": (token(refresh_token=None), "no_refresh_token"),
    "empty refresh token": (token(refresh_token=""), "no_refresh_token"),
    "other mailbox": (token(user="admin@corp.test"), "wrong_mailbox"),
    "no mailbox": (token(user=None), "wrong_mailbox"),
    "other app": (token(client_id="0"), "wrong_client"),
    "other tenant in the endpoint": (token(token_endpoint="https://login.microsoftonline.com/0/oauth2/v2.0/token"), "wrong_tenant"),
    "other sign-in host": (token(token_endpoint=f"https://example.org/{TENANT}/oauth2/v2.0/token"), "wrong_tenant"),
    "token of somebody else": (token(access_token=access_token(upn="admin@corp.test")), "wrong_person"),
    "token of somebody else by unique_name": (token(access_token=access_token(upn=None, unique_name="admin@corp.test")), "wrong_person"),
    "token of another tenant": (token(access_token=access_token(tid="0")), "wrong_tenant"),
    "token of another app": (token(access_token=access_token(appid="0")), "wrong_client"),
    "token for Graph": (token(access_token=access_token(aud="https://graph.microsoft.com")), "wrong_audience"),
    "token for reading mail": (token(access_token=access_token(scp="IMAP.AccessAsUser.All")), "wrong_scope"),
}


@pytest.mark.parametrize("content", GOOD.values(), ids=GOOD)
def test_good_token(content):
    assert _tokens.why_not_good(content, IDENTITY) is None


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD)
def test_token_is_not_good(content, reason):
    assert _tokens.why_not_good(content, IDENTITY)[0] == reason


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.!!.c", "a.bnVsbA.c", "é.é.é", None, ".".join(["a", "W10", "c"])])
def test_claims_of_what_is_no_jwt_are_empty(text):
    assert _tokens.claims(text) == {}


def test_claims_of_a_jwt():
    assert _tokens.claims(jwt(upn="ü@corp.test")) == {"upn": "ü@corp.test"}


PROVEN = {
    "a person's": (access_token(), IDENTITY, True),
    "a person's that does not say so": (access_token(upn=None), IDENTITY, False),
    "the app's": (access_token(upn=None, scp=None), APP, True),
    "opaque": ("opaque", IDENTITY, False),
    "opaque, of the app": ("opaque", APP, False),
}


@pytest.mark.parametrize(("access", "identity", "expected"), PROVEN.values(), ids=PROVEN)
def test_token_says_whose_it_is(access, identity, expected):
    assert _tokens.is_proven(token(access_token=access), identity) is expected


APPS = {
    "application RBAC, without roles": ({}, APP, None),
    "the permission": ({"roles": ["SMTP.SendAsApp", "Mail.Read"]}, APP, None),
    "another permission": ({"roles": ["IMAP.AccessAsApp"]}, APP, "wrong_role"),
    "a person's": ({"scp": "SMTP.Send"}, APP, "wrong_role"),
    "a person's by name": ({"upn": "scans@corp.test"}, APP, "wrong_person"),
    "High Volume Email": ({"roles": ["Mail.Send"]}, dict(APP, smtp_host="smtp.hve.mx.microsoft"), None),
    "High Volume Email without its permission": ({"roles": ["SMTP.SendAsApp"]}, dict(APP, smtp_host="smtp.hve.mx.microsoft"), "wrong_role"),
    "another tenant": ({"tid": "66666666-7777-4888-8999-000000000000"}, APP, "wrong_tenant"),
    "another app": ({"appid": TENANT}, APP, "wrong_client"),
    "Graph": ({"aud": "https://graph.microsoft.com"}, APP, "wrong_audience"),
}


@pytest.mark.parametrize(("claims", "identity", "name"), APPS.values(), ids=APPS)
def test_token_of_an_app_is_for_this_app_and_purpose(claims, identity, name):
    found = _tokens.claims(access_token(**{"upn": None, "scp": None, **claims}))
    wrong = _tokens.mismatch(found, identity)
    assert (wrong and wrong[0]) == name


def test_the_plugin_can_send_the_word_for_no_refresh_token_nowhere():
    written = json.loads(_tokens.content(APP, "a", "unused", 1999999999))
    assert written["refresh_token"] == "unused" and written["token_endpoint"].startswith("http://127.0.0.1:9/")


def test_a_token_of_another_grant_is_none():
    stored = token()
    assert _tokens.why_not_good(stored, APP)[0] == "token_missing"
    app = json.loads(_tokens.content(APP, access_token(upn=None, scp=None), _tokens.NONE_TO_REFRESH, 2000000000))
    assert _tokens.why_not_good(app, APP) is None
    assert _tokens.why_not_good(app, IDENTITY)[0] == "token_missing"


def test_proxy_and_ca_file_stand_in_the_file_where_they_are_not_the_usual():
    written = json.loads(_tokens.content(dict(IDENTITY, proxy="http://proxy:3128", ca_file="/etc/ssl/own.pem"), "a", "r", 1))
    assert (written["proxy"], written["ca_bundle_file"]) == ("http://proxy:3128", "/etc/ssl/own.pem")


@pytest.mark.parametrize("text", ["", "soon", "-5", "1e9", "²"])
def test_expiry_that_is_no_number_is_none(text):
    assert _tokens.expiry({"expiry": text}) == 0


def test_file_has_the_plugins_keys_as_texts_and_nothing_else():
    written = json.loads(_tokens.content(IDENTITY, "a", "r", 1999999999.9))
    assert written == {
        "access_token": "a",
        "refresh_token": "r",
        "expiry": "1999999999",
        "user": "Scans@corp.test",
        "client_id": CLIENT,
        "token_endpoint": f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token",
        "refresh_window": "300",
    }


@pytest.mark.parametrize("mailbox", ["", "scans", "a b@corp.test", "../x@corp.test", "/x@corp.test", "x@../y", ".x@corp.test", "a\n@corp.test", "a\0@b"])
def test_mailbox_that_cannot_be_a_file_name(mailbox):
    with pytest.raises(ValueError, match="is not a mailbox address"):
        _tokens.token_path(mailbox)


def test_file_name_is_in_lower_case():
    assert _tokens.token_path("Scans@Corp.Test") == "/var/lib/m365-relay/tokens/scans@corp.test"


def test_damaged_file_is_not_quoted(tmp_path):
    (tmp_path / "f").write_text('{"refresh_token": "planted')
    with pytest.raises(ValueError, match="is not a JSON object") as raised:
        _tokens.load(str(tmp_path / "f"))
    assert "planted" not in repr(raised.value) and raised.value.__context__ is None


def test_stored_file_belongs_to_its_owner_alone(relay):
    _tokens.store("scans@corp.test", b"{}")
    status = os.stat(relay / "tokens/scans@corp.test")
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert _tokens.is_stored("scans@corp.test", b"{}")


def test_other_mode_or_content_is_seen(relay):
    _tokens.store("scans@corp.test", b"{}")
    os.chmod(relay / "tokens/scans@corp.test", 0o640)
    assert not _tokens.is_stored("scans@corp.test", b"{}")
    os.chmod(relay / "tokens/scans@corp.test", 0o600)
    assert not _tokens.is_stored("scans@corp.test", b"{ }")


def test_directories_are_made_and_corrected(relay):
    assert _tokens.ensure_directories() is False
    os.chmod(relay / "tokens", 0o755)
    assert _tokens.ensure_directories(check_only=True) is True
    assert stat.S_IMODE(os.stat(relay / "tokens").st_mode) == 0o755
    assert _tokens.ensure_directories() is True
    assert [stat.S_IMODE(os.stat(relay / name).st_mode) for name in (".", "tokens", "state")] == [0o755, 0o700, 0o700]


def test_without_user_postfix(monkeypatch):
    monkeypatch.setattr(_tokens, "OWNER", "nobody-of-that-name")
    assert _tokens.ensure_directories(check_only=True) is True
    with pytest.raises(_tokens.OwnerMissingError, match="install the package postfix"):
        _tokens.ensure_directories()


def test_lock_keeps_others_out_and_says_so(relay):
    with _tokens.locked("scans@corp.test"), pytest.raises(_tokens.LockedError, match="try again"), _tokens.locked("scans@corp.test", patience=0.2):
        pass


def test_lock_is_free_afterwards_and_per_mailbox(relay):
    with _tokens.locked("scans@corp.test"), _tokens.locked("billing@corp.test", patience=0):
        pass
    with _tokens.locked("scans@corp.test", patience=0):
        pass


def test_only_abandoned_files_of_this_mailbox_are_removed(relay):
    gone = ["tokens/.scans@corp.test.0123456789abcdef.new", "state/.scans@corp.test.pending.0123456789abcdef.new", "tokens/scans@corp.test.12.34"]
    kept = ["tokens/scans@corp.test", "tokens/.other@corp.test.0123456789abcdef.new", "tokens/scans@corp.test.56.78", "tokens/scans@corp.test.au"]
    for name in gone + kept:
        (relay / name).write_text("x")
    os.utime(relay / "tokens/scans@corp.test.12.34", (0, time.time() - 3601))
    _tokens.remove_abandoned("scans@corp.test", time.time())
    assert sorted(name for name in gone + kept if (relay / name).exists()) == sorted(kept)


STEPS = ["open", "fdopen", "fchown", "fchmod", "fsync", "rename", "unlink", "close"]


def killed_at(step, call):
    """Run `call` in a child that is killed at the n-th use of these functions of os. Returns whether the kill happened."""
    child = os.fork()
    if child == 0:
        left = [step]

        def deadly(function):
            def wrapper(*args, **kwargs):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **kwargs)

            return wrapper

        for name in STEPS:
            setattr(_files.os, name, deadly(getattr(os, name)))
        try:
            call()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_kill_at_any_step_leaves_the_old_or_the_new_token(relay):
    old, new = b"old " * 1000, b"new " * 1000
    path = relay / "tokens/scans@corp.test"
    seen = set()
    step = 0
    while True:
        _tokens.store("scans@corp.test", old)
        killed = killed_at(step, lambda: _tokens.store("scans@corp.test", new))
        assert path.read_bytes() in (old, new)
        seen.add(path.read_bytes())
        leftovers = [entry for entry in os.listdir(relay / "tokens") if entry != path.name]
        assert all(stat.S_IMODE(os.stat(relay / "tokens" / entry).st_mode) == 0o600 for entry in leftovers)
        _tokens.remove_abandoned("scans@corp.test", time.time())
        assert os.listdir(relay / "tokens") == [path.name]
        if not killed:
            break
        step += 1
    assert step >= 6 and seen == {old, new}


@contextlib.contextmanager
def small_disk(path):
    """Mount a tiny file system at `path`."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


def test_full_disk_leaves_the_old_token(tmp_path, monkeypatch):
    folder = tmp_path / "small"
    monkeypatch.setattr(_tokens, "TOKENS", str(folder))
    monkeypatch.setattr(_tokens, "OWNER", "root")
    with small_disk(folder):
        _tokens.store("scans@corp.test", b"old")
        with pytest.raises(OSError, match="No space left"):
            _tokens.store("scans@corp.test", b"n" * 20000)
        assert os.listdir(folder) == ["scans@corp.test"]
        assert (folder / "scans@corp.test").read_bytes() == b"old"
