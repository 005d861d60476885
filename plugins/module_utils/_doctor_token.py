# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor asks of an identity's token and of its renewal (private to the collection)."""

from __future__ import annotations

import time

from . import _catalogue, _renewal, _status, _tokens
from ._doctor_network import Failed
from ._signin import MsalMissingError


def load(identity):
    """Return the token file's content. Raises Failed."""
    try:
        return _tokens.load(_tokens.token_path(identity["mailbox"]))
    except (OSError, ValueError) as error:
        raise Failed("token_damaged", str(error)) from None


def access_token(identity):
    """Return the access token, for the login alone."""
    return (load(identity) or {}).get("access_token", "")


def token(identity, renew, now):
    """See whose the token is, for what, and until when. An expired one passes if it is going to be renewed now."""
    found = load(identity)
    wrong = _tokens.why_not_good(found, identity)
    if wrong:
        why = (_renewal.known(identity["mailbox"])["last_error"] or {}).get("name")
        raise Failed(wrong[0], " ".join(part for part in (wrong[1], f"The last attempt failed: {why}." if why else "") if part))
    expires_at = _tokens.expiry(found)
    if expires_at <= now and not renew:
        raise Failed("token_expired", f"since {in_utc(expires_at)}")
    whose = _tokens.owner_of(found["access_token"]) or "somebody whom it does not name"
    service = _tokens.claims(found["access_token"]).get("aud") or "a service that it does not name"
    return f"of {whose}, for {service}, until {in_utc(expires_at)}"


def renewal(identity, renew):
    """See that the token is being renewed; with `renew`, renew it now."""
    if renew:
        return renewed(identity)
    state = _renewal.known(identity["mailbox"])
    failed = state["last_error"]
    if failed:
        known = failed.get("name") in {entry["name"] for entry in _catalogue.ENTRIES}
        raise Failed(failed["name"] if known else "refused", f"{failed.get('happened')} ({state['failures']} times in a row)")
    if not _status.unit_is_active(_status.TIMER):
        raise Failed("renewal_timer_off")
    return f"the last was {in_utc(max(state['signed_in_at'], state['renewed_at']))}, and the timer runs"


def renewed(identity):
    """Renew the token now."""
    try:
        found = _renewal.renew(identity, force=True)
    except MsalMissingError as error:
        raise Failed("msal_missing", str(error)) from None
    except (_tokens.LockedError, _tokens.OwnerMissingError, OSError) as error:
        raise Failed("token_file_unusable", str(error)) from None
    if found["error"] is not None:
        raise Failed(found["error"].name, found["error"].happened)
    return f"renewed, until {in_utc(found['expires_at'])}"


def in_utc(seconds):
    """Return a moment as text."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
