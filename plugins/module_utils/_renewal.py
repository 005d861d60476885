# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way in which a token is renewed and stored, for the timer, the modules and people (private to the collection).

Everything happens under the mailbox's lock. The token file is replaced in one step, and only by a token that was checked; what is
known about it stands in a state file beside it. A run that is killed at any point leaves the old token or the new one, and the next
run goes on from there.
"""

from __future__ import annotations

import secrets
import time

from . import _files, _grants, _signin, _tokens

ENOUGH_SECONDS = 600   # An access token that lives longer than this is used as it is, where nobody says otherwise.
DAY = 86400            # A refresh token dies when it is not used for 90 days.
SKEW = 60              # A clock that differs by more has been set.
REMEMBERED = ("mailbox", "sign_in_as", "tenant_id", "client_id", "login_host", "scope", "grant")
NOTHING = {key: 0 for key in ("signed_in_at", "renewed_at", "corrected_at", "issued_at", "expires_at", "rotated_at", "last_attempt_at", "next_attempt_at",
                              "failures", "credential_expires_at")}


def renew(identity, force=False, now=None, threshold=None, impatient=False, patience=60):
    """Renew the token of an identity if it is near its end, and put its file in order.

    force:     renew it in any case, unless somebody else did it while this one waited for the lock.
    now:       seconds since 1970.
    threshold: renew when it lives for fewer seconds than this.
    patience:  for how many seconds it waits for somebody else who works on the same mailbox.
    impatient: do not wait because the last attempts have failed: somebody may just have mended what was wrong.

    Returns a dict: outcome (fresh, renewed, failed, sign_in_required, waiting: the last attempt failed, and it is too early for the
    next), expired_at and expires_at (before and after; seconds since 1970, 0 = no token), error (None, or a SignInError), corrected
    (whether the file had to be put in order). Raises LockedError, OwnerMissingError, MsalMissingError and OSError.
    """
    _tokens.ensure_directories()
    path = _tokens.token_path(identity["mailbox"])
    before = _files.read_if_there(path)
    with _tokens.locked(identity["mailbox"], patience):
        now = int(time.time() if now is None else now)
        _tokens.remove_abandoned(identity["mailbox"], now)
        force = force and _files.read_if_there(path) == before
        return _renew(identity, look(identity, now, threshold), force, impatient or force, now, threshold)


def look(identity, now, threshold=None):
    """See what is there, and change nothing. Returns a dict.

    token (None if it cannot be used), wrong (None, or why it cannot: name and detail), expires_at, due (whether it has to be
    renewed), lost (whether only a person can bring a new one), state.
    """
    state = known(identity["mailbox"])
    try:
        token = _tokens.load(_tokens.token_path(identity["mailbox"]))
        wrong = _tokens.why_not_good(token, identity)
    except ValueError:
        token, wrong = None, ("token_damaged", "")
    if wrong:
        return {"token": None, "wrong": wrong, "expires_at": 0, "due": True, "lost": not _tokens.is_app_only(identity), "state": state}
    return {"token": token, "wrong": None, "expires_at": _tokens.expiry(token), "due": _is_due(identity, token, state, now, threshold), "lost": False,
            "state": state}


def _is_due(identity, token, state, now, threshold):
    enough = max(ENOUGH_SECONDS, identity["refresh_window"]) if threshold is None else threshold
    left = _tokens.expiry(token) - now
    if left <= enough or state["failures"] or not _tokens.is_proven(token, identity):
        return True
    lifetime = _lifetime(token, state)
    if lifetime and left > lifetime + SKEW:  # It was written down by a clock that was ahead: it ends before that.
        return True
    used = max(state["signed_in_at"], state["renewed_at"])
    return bool(used) and not used - SKEW <= now < used + DAY


def _lifetime(token, state):
    """Return for how many seconds a token is good from its first to its last, 0 if nobody knows."""
    found = _tokens.claims(token["access_token"])
    try:
        return int(found["exp"]) - int(found["iat"])
    except (KeyError, TypeError, ValueError):
        return max(0, state["expires_at"] - state["issued_at"]) if state["expires_at"] == _tokens.expiry(token) else 0


def _renew(identity, found, force, impatient, now, threshold):
    result = {"outcome": "fresh", "expired_at": found["expires_at"], "expires_at": found["expires_at"], "error": None, "corrected": False}
    if found["lost"]:
        return dict(result, outcome="sign_in_required", error=_signin.SignInError(found["wrong"][0], identity, found["wrong"][1]))
    token = found["token"]
    if not found["due"] and not force:
        return dict(result, corrected=_correct(identity, token, now))
    if not impatient and now < found["state"]["next_attempt_at"] <= now + 2 * _longest_pause(threshold):
        return dict(result, outcome="waiting", error=_last_error(identity, found["state"]))
    _remember(identity, last_attempt_at=now)  # Also shows, before Microsoft is asked, that the disk has room.
    try:
        answer = _ask(identity, token)
    except _signin.SignInError as error:
        return dict(result, outcome=_failed(identity, found["state"], error, now, threshold), error=error)
    return dict(result, outcome="renewed", expires_at=install(identity, answer, now, "renewed_at"))


def _ask(identity, token):
    """Return Microsoft's answer, proven to be a token of this identity's."""
    if _tokens.is_app_only(identity):
        answer = _grants.request(identity)
        _grants.check_result(identity, answer)
        return answer
    answer = _signin.refresh(identity, token["refresh_token"])
    answer = {**answer, "refresh_token": answer.get("refresh_token") or token["refresh_token"]}
    _signin.check_result(identity, answer)
    return answer


def install(identity, answer, now, event):
    """Store a token that was checked, and what is known about it. Call it under the lock. Returns when it expires.

    event: which of the state's times this is, signed_in_at or renewed_at.
    """
    now, mailbox = int(now), identity["mailbox"]
    expires_at = now + int(answer.get("expires_in") or 0)
    refresh_token = _tokens.NONE_TO_REFRESH if _tokens.is_app_only(identity) else answer["refresh_token"]
    try:
        rotated = (_tokens.load(_tokens.token_path(mailbox)) or {}).get("refresh_token") != refresh_token
    except ValueError:
        rotated = True
    _tokens.store(mailbox, _tokens.content(identity, answer["access_token"], refresh_token, expires_at))
    whose = (answer.get("id_token_claims") or {}).get("preferred_username") or _tokens.owner_of(answer["access_token"])
    _remember(identity, {event: now}, issued_at=now, expires_at=expires_at, next_attempt_at=0, failures=0, last_error=None, whose=str(whose),
              granted=_tokens.granted(answer["access_token"]) or str(answer.get("scope") or ""), credential_expires_at=_grants.expires_at(identity),
              **({"rotated_at": now} if rotated else {}))
    return expires_at


def wanted_content(identity, token):
    """Return what has to stand in the file of a token that is good."""
    return _tokens.content(identity, token["access_token"], token["refresh_token"], _tokens.expiry(token))


def _correct(identity, token, now):
    """Put the file of a good token in order; return whether that was needed."""
    wanted = wanted_content(identity, token)
    if _tokens.is_stored(identity["mailbox"], wanted):
        return False
    _tokens.store(identity["mailbox"], wanted)
    _remember(identity, corrected_at=now)
    return True


def _failed(identity, state, error, now, threshold):
    """Write down a failure and when to try again. Returns the outcome."""
    failures = state["failures"] + 1
    longest = _longest_pause(threshold)
    pause = min(longest, longest / 30 * 2 ** min(failures - 1, 10)) * (0.5 + secrets.randbelow(51) / 100)  # Relays that failed together come back one by one.
    told = {"name": error.name, "at": now, "happened": error.happened, "remedy": error.remedy}
    _remember(identity, last_error=told, failures=failures, next_attempt_at=now + max(1, int(pause)))
    return "failed" if error.transient or _tokens.is_app_only(identity) else "sign_in_required"


def _longest_pause(threshold):
    return 1.5 * (threshold or ENOUGH_SECONDS)


def _last_error(identity, state):
    try:
        return _signin.SignInError(state["last_error"]["name"], identity)
    except (KeyError, TypeError):
        return None


def known(mailbox):
    """Return what is known about a mailbox's token: every key is there, whatever has become of the file."""
    try:
        found = _tokens.load(_tokens.state_path(mailbox, "json")) or {}
    except ValueError:
        found = {}
    numbers = {key: found.get(key) if isinstance(found.get(key), int) and not isinstance(found.get(key), bool) else 0 for key in NOTHING}
    return {**{key: "" for key in REMEMBERED}, "whose": "", "granted": "", "last_error": None, **found, **numbers}


def _remember(identity, more=None, **changes):
    """Write down beside the token what the plugin would drop from it."""
    values = {**known(identity["mailbox"]), **{key: identity[key] for key in REMEMBERED}, **(more or {}), **changes}
    _files.write_atomically(_tokens.state_path(identity["mailbox"], "json"), _tokens.render(values))
