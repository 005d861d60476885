# SPDX-License-Identifier: GPL-3.0-or-later
"""What the relay does for one identity: keep its token, start and finish a sign-in (private to the collection)."""

from __future__ import annotations

import contextlib
import os
import time

from . import _files, _signin, _tokens

ARGUMENTS = {  # of every module that signs in
    "mailbox": {"type": "str", "required": True},
    "sign_in_as": {"type": "str"},
    "tenant_id": {"type": "str", "required": True},
    "client_id": {"type": "str", "required": True},
    "login_host": {"type": "str", "default": "login.microsoftonline.com"},
    "scope": {"type": "str", "default": "https://outlook.office.com/SMTP.Send"},
}
ASKED_FOR = tuple(ARGUMENTS)


def examine(identity, check_only=False):
    """See whether the token of an identity is good; renew it if it is near its end, and put its file in order.

    check_only: change nothing and ask nobody; what it would do is told all the same.

    Returns a dict: changed, renewed, expired_at and expires_at (before and after; seconds since 1970, 0 = none),
    reason (None, or a SignInError why a person has to sign in), trouble (None, or a SignInError why it could not be
    renewed now).
    """
    mailbox = identity["mailbox"]
    changed = _tokens.ensure_directories(check_only)
    with contextlib.nullcontext() if check_only else _tokens.locked(mailbox):
        if not check_only:
            _tokens.remove_abandoned(mailbox, time.time())
        found = _examine(identity, check_only)
    found["changed"] = found["changed"] or changed
    return found


def _examine(identity, check_only):
    found = {"changed": False, "renewed": False, "expired_at": 0, "expires_at": 0, "reason": None, "trouble": None}
    try:
        token = _tokens.load(_tokens.token_path(identity["mailbox"]))
        wrong = _tokens.why_not_good(token, identity)
    except ValueError:
        wrong = ("token_damaged", "")
    if wrong:
        found["reason"] = _signin.SignInError(wrong[0], identity, wrong[1])
        return found
    found["expired_at"] = found["expires_at"] = _tokens.expiry(token)
    now = time.time()
    if not _tokens.is_proven(token, now, identity):
        found["changed"] = found["renewed"] = True
        if check_only:
            return found
        try:
            answer = _signin.refresh(identity, token["refresh_token"])
            _signin.check_result(identity, dict({"refresh_token": token["refresh_token"]}, **answer))
        except _signin.SignInError as error:
            found["changed"] = found["renewed"] = False
            found["trouble" if error.transient else "reason"] = error
            return found
        token = dict(token, access_token=answer["access_token"], refresh_token=answer.get("refresh_token") or token["refresh_token"])
        found["expires_at"] = _expires_at(answer, now)
    wanted = _tokens.content(identity, token["access_token"], token["refresh_token"], found["expires_at"])
    if not _tokens.is_stored(identity["mailbox"], wanted):
        found["changed"] = True
        if not check_only:
            _tokens.store(identity["mailbox"], wanted)
            _remember(identity, "renewed_at" if found["renewed"] else "corrected_at", now)
    return found


def start_sign_in(identity):
    """Ask for a code and remember the sign-in until it is finished. Returns what the person needs; nothing secret."""
    _tokens.ensure_directories()
    flow = _signin.start_device_flow(identity)
    pending = {"identity": {key: identity[key] for key in ASKED_FOR}, "flow": flow}
    with _tokens.locked(identity["mailbox"]):
        _files.write_atomically(_tokens.state_path(identity["mailbox"], "pending"), _tokens.render(pending))
    return {key: flow[key] for key in ("verification_uri", "user_code", "expires_at", "expires_in")}


def finish_sign_in(identity):
    """Wait for the person, see whose token came back, and store it. Returns when it expires, in seconds since 1970.

    On any failure the old token stays as it is, byte for byte.
    """
    path = _tokens.state_path(identity["mailbox"], "pending")
    pending = _known(path)
    if pending.get("identity") != {key: identity[key] for key in ASKED_FOR}:
        raise _signin.SignInError("sign_in_not_started", identity)
    flow = dict(pending["flow"])
    try:
        answer = _signin.finish_device_flow(identity, flow)
        _signin.check_result(identity, answer)
        return _install(identity, answer)
    finally:
        if _known(path) == pending:  # Another sign-in may have been started meanwhile.
            os.unlink(path)


def _install(identity, answer):
    now = time.time()
    expires_at = _expires_at(answer, now)
    with _tokens.locked(identity["mailbox"]):
        _tokens.remove_abandoned(identity["mailbox"], now)
        _tokens.store(identity["mailbox"], _tokens.content(identity, answer["access_token"], answer["refresh_token"], expires_at))
        _remember(identity, "signed_in_at", now)
    return expires_at


def _expires_at(answer, now):
    return int(now) + int(answer.get("expires_in") or 0)


def _remember(identity, event, now):
    """Write down beside the token what the plugin would drop from it: whose it is, and when what happened to it."""
    path = _tokens.state_path(identity["mailbox"], "json")
    known = {**_known(path), **{key: identity[key] for key in ASKED_FOR}, event: int(now)}
    _files.write_atomically(path, _tokens.render(known))


def _known(path):
    """Return a state file as a dict; a missing or damaged one is empty."""
    try:
        return _tokens.load(path) or {}
    except ValueError:
        return {}
