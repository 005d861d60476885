# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be switched while the lab runs: one table of names, defaults and meanings."""
from __future__ import annotations

PHASES = ("connect", "tls", "ehlo", "auth", "mail", "rcpt", "data", "end_of_data", "discovery", "devicecode", "token")

# name: (default, accepted values or lowest number, meaning)
SETTINGS = {
    "access_token_lifetime": (3600, 1, "seconds that a new access token is good for"),
    "refresh_token_lifetime": (90 * 86400, 1, "seconds that a refresh token may stay unused (AADSTS700082 afterwards)"),
    "strict_rotation": (False, (True, False), "a refresh token dies when it is used (Entra keeps old ones alive)"),
    "code_lifetime": (900, 1, "seconds that a device code can be approved"),
    "interval": (5, 1, "seconds that clients are told to wait between two polls of a device code"),
    "slow_down": (True, (True, False), "polls that come faster get slow_down"),
    "auth_challenge": (False, (True, False), "a refused token gets the 334 JSON challenge first, as at Google and Dovecot"),
    "token_minimum_left": (0, 0, "seconds that an access token must have left (High Volume Email wants 600)"),
    "limit_model": ("A", ("A", "B", "G"), "A: too many messages are refused with 451; B: they wait at the end of DATA; "
                                          "G: like B, and a connection too many gets 421 instead of the greeting"),
    "rate_limit": (30, 0, "messages of a mailbox in one window, 0 = no limit"),
    "rate_window": (60, 0.1, "seconds of that window"),
    "rate_window_fixed": (False, (True, False), "the window starts at each full minute instead of sliding"),
    "rate_reject_at": ("mail", ("mail", "end_of_data"), "where model A refuses"),
    "connection_limit": (3, 0, "transactions of a mailbox at a time, 0 = no limit"),
    "recipients_per_message": (500, 0, "recipients of one message, 0 = no limit"),
    "recipients_per_day": (10000, 0, "recipients of a mailbox in 24 hours, 0 = no limit"),
    "send_as_denied_limit": (0, 0, "this many SendAsDenied block the whole mailbox, 0 = never"),
    "latency": (0, 0, "seconds that every answer takes"),
    **{f"latency_{phase}": (None, 0, f"the same for {phase} only; null = as latency") for phase in PHASES},
}


def defaults() -> dict:
    return {name: default for name, (default, _accepted, _meaning) in SETTINGS.items()}


def check(name: str, value):
    """The value as it is stored; ValueError says what is accepted."""
    if name not in SETTINGS:
        raise ValueError(f"setting {name}: unknown; there are {', '.join(SETTINGS)}")
    default, accepted, meaning = SETTINGS[name]
    if value is None and default is None:
        return None
    if isinstance(accepted, tuple):
        if value not in accepted or isinstance(value, bool) != isinstance(accepted[0], bool):
            raise ValueError(f"setting {name}: {value!r}; write one of {', '.join(map(str, accepted))} ({meaning})")
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < accepted:
        raise ValueError(f"setting {name}: {value!r}; write a number from {accepted} ({meaning})")
    return value
