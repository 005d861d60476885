# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of faults, all of it data, and how one that is switched on finds its victims.

A fault strikes in one phase or several and has exactly one of: `aadsts` (a code of errors.py), `http` (status, headers, body), `reply` (SMTP),
or `act` (hang, drop, slow, a broken certificate, something missing from EHLO, or a service that is down).
"""
from __future__ import annotations

from .errors import AADSTS
from .settings import PHASES
from .smtp_replies import REPLIES

SIGN_IN = ("discovery", "devicecode", "token")
SMTP = ("connect", "ehlo", "auth", "mail", "rcpt", "data", "end_of_data")

# Errors that Entra already gives when a device code is asked for; all others come from the token endpoint.
ALSO_DEVICECODE = {90002, 900023, 90038, 700016, 700011, 50194, 9002332, 90130, 70011, 90006, 90024, 90033, 90055}

GENERAL = {
    "http_500": {"phase": SIGN_IN, "http": (500, {}, "<html><body><h2>Our services aren't available right now</h2></body></html>"),
                 "about": "sign-in answers 500 with a page instead of JSON"},
    "http_503_retry_after": {"phase": SIGN_IN, "http": (503, {"Retry-After": "5"}, '{"error": "temporarily_unavailable"}'),
                             "about": "sign-in answers 503 with Retry-After: 5"},
    "http_429": {"phase": ("devicecode", "token"), "http": (429, {"Retry-After": "5"}, '{"error": "temporarily_unavailable"}'),
                 "about": "sign-in answers 429 with Retry-After: 5"},
    "http_not_json": {"phase": SIGN_IN, "http": (200, {}, "<html>a captive portal</html>"), "about": "sign-in answers 200 with something else"},
    "http_no_refresh_token": {"phase": "token", "act": "no_refresh_token", "about": "a token answer without refresh token"},
    "hang_signin": {"phase": SIGN_IN, "act": "hang", "about": "sign-in accepts and never answers"},
    "hang_smtp": {"phase": "connect", "act": "hang", "about": "SMTP accepts and never answers (another phase with \"phase\")"},
    "drop_signin": {"phase": SIGN_IN, "act": "drop", "about": "sign-in cuts the connection instead of answering"},
    "drop_smtp": {"phase": "end_of_data", "act": "drop", "about": "SMTP cuts the connection instead of answering (another phase with \"phase\")"},
    "slow_signin": {"phase": SIGN_IN, "act": "slow", "seconds": 5, "about": "every answer of sign-in takes \"seconds\" longer"},
    "slow_smtp": {"phase": SMTP, "act": "slow", "seconds": 5, "about": "every answer of SMTP takes \"seconds\" longer"},
    "no_starttls": {"phase": "ehlo", "act": "no_starttls", "about": "EHLO does not offer STARTTLS"},
    "no_xoauth2": {"phase": "ehlo", "act": "no_xoauth2", "about": "EHLO does not offer XOAUTH2"},
    "smtp_reply": {"phase": "mail", "reply": "451 4.7.0 Temporary server error", "about": "any reply in any phase, with \"phase\" and \"reply\""},
    "down_signin": {"phase": "always", "act": "down", "about": "nothing listens on the sign-in port"},
    "down_smtp": {"phase": "always", "act": "down", "about": "nothing listens on the SMTP port"},
    "dns_gone": {"phase": "always", "act": "dns", "about": "Microsoft's names do not exist (NXDOMAIN)"},
    "dns_servfail": {"phase": "always", "act": "dns", "about": "Microsoft's names cannot be looked up (SERVFAIL)"},
    **{f"{kind}_{service}": {"phase": f"tls_{service}", "act": kind, "about": f"{service} shows a certificate that is {text}"}
       for service in ("signin", "smtp")
       for kind, text in (("wrong_name", "for another name"), ("expired", "expired"), ("untrusted", "signed by nobody known"))},
}

CATALOGUE = {
    **{f"aadsts_{code}": {"phase": SIGN_IN[1:] if code in ALSO_DEVICECODE else "token", "aadsts": code,
                          "about": f"AADSTS{code} ({error}): {text}"}
       for code, (_status, error, text, *_rest) in AADSTS.items()},
    **{name: {"phase": phase, "reply": reply, "about": meaning} for name, (phase, reply, meaning) in REPLIES.items()},
    **GENERAL,
}

OPTIONS = {"name", "times", "account", "grant", "client_id", "phase", "reply", "seconds"}


def make(request: dict) -> dict:
    """The fault that a request to the control API asks for."""
    name = request.get("name")
    if name not in CATALOGUE:
        raise ValueError(f"fault {name!r}: unknown; GET /faults lists them")
    unknown = set(request) - OPTIONS
    if unknown:
        raise ValueError(f"fault {name}: {', '.join(sorted(unknown))} unknown; there are {', '.join(sorted(OPTIONS))}")
    given = {option: value for option, value in request.items() if value is not None}
    if CATALOGUE[name]["phase"] == "always" and set(given) != {"name"}:
        raise ValueError(f"fault {name}: takes no options, it is on or off")
    if "phase" in given and given["phase"] not in PHASES:
        raise ValueError(f"fault {name}: phase {given['phase']!r}; write one of {', '.join(PHASES)}")
    times = given.get("times")
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise ValueError(f"fault {name}: times {times!r}; write a whole number from 1, or null for always")
    return {**CATALOGUE[name], "times": None, **given, "struck": 0}


def phases(fault: dict) -> tuple[str, ...]:
    return (fault["phase"],) if isinstance(fault["phase"], str) else fault["phase"]


def find(faults: list[dict], phase: str, **who) -> dict | None:
    """The first fault for this phase that is meant for this account, grant and client."""
    for fault in faults:
        if phase not in phases(fault) or fault.get("act") == "slow":
            continue
        if all(fault.get(limit) in (None, who.get(limit)) for limit in ("account", "grant", "client_id")):
            return fault
    return None


def slowness(faults: list[dict], phase: str) -> float:
    return sum(fault["seconds"] for fault in faults if fault.get("act") == "slow" and phase in phases(fault))
