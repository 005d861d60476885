# SPDX-License-Identifier: GPL-3.0-or-later
"""What the relay does for one identity: keep its token, start and finish a sign-in (private to the collection)."""

from __future__ import annotations

import os
import time

from . import _files, _renewal, _signin, _tokens

ARGUMENTS = {  # of every module that signs in
    "mailbox": {"type": "str", "required": True},
    "sign_in_as": {"type": "str"},
    "tenant_id": {"type": "str", "required": True},
    "client_id": {"type": "str", "required": True},
    "login_host": {"type": "str", "default": "login.microsoftonline.com"},
    "scope": {"type": "str", "default": "https://outlook.office.com/SMTP.Send"},
    "proxy": {"type": "str", "default": ""},
    "ca_file": {"type": "str", "default": _tokens.CA_FILE},
}
ASKED_FOR = ("mailbox", "sign_in_as", "tenant_id", "client_id", "login_host", "scope")


def examine(identity, check_only=False):
    """See whether the token of an identity is good; renew it if it is near its end, and put its file in order.

    check_only: change nothing and ask nobody; what it would do is told all the same.

    Returns a dict: changed, renewed, expired_at and expires_at (before and after; seconds since 1970, 0 = none),
    reason (None, or a SignInError why a person has to sign in), trouble (None, or a SignInError why it could not be
    renewed now).
    """
    changed = _tokens.ensure_directories(check_only)
    found = _foreseen(identity) if check_only else _renewal.renew(identity, impatient=True)
    lost = found["outcome"] == "sign_in_required"
    return {
        "changed": changed or found["corrected"] or found["outcome"] == "renewed",
        "renewed": found["outcome"] == "renewed",
        "expired_at": found["expired_at"],
        "expires_at": found["expires_at"],
        "reason": found["error"] if lost else None,
        "trouble": None if lost else found["error"],
    }


def _foreseen(identity):
    """Return what renew() would, as far as it can be known without asking."""
    seen = _renewal.look(identity, int(time.time()))
    outcome = "sign_in_required" if seen["lost"] else "renewed" if seen["due"] else "fresh"
    error = _signin.SignInError(seen["wrong"][0], identity, seen["wrong"][1]) if seen["lost"] else None
    out_of_order = outcome == "fresh" and not _tokens.is_stored(identity["mailbox"], _renewal.wanted_content(identity, seen["token"]))
    return {"outcome": outcome, "expired_at": seen["expires_at"], "expires_at": seen["expires_at"], "error": error, "corrected": out_of_order}


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
    with _tokens.locked(identity["mailbox"]):
        now = time.time()
        _tokens.remove_abandoned(identity["mailbox"], now)
        return _renewal.install(identity, answer, now, "signed_in_at")


def _known(path):
    """Return a state file as a dict; a missing or damaged one is empty."""
    try:
        return _tokens.load(path) or {}
    except ValueError:
        return {}
