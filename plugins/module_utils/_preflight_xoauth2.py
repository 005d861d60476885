# SPDX-License-Identifier: GPL-3.0-or-later
"""The input checks of role xoauth2 (private to the collection, used on the controller)."""

from __future__ import annotations

import re
from functools import partial

from ._clouds import CLOUDS
from ._preflight import Wrong, choice, collect, passes, plain, shown, smtp_port, whole_number
from ._preflight_identities import CHECKS as IDENTITY_CHECKS
from ._preflight_identities import (
    CLIENT_PLACE,
    HIGH_VOLUME,
    LOGIN_HOSTS,
    OF_CLOUD,
    PLACEHOLDER,
    SCOPE,
    SCOPE_HOSTS,
    SMTP_HOSTS,
    WORLD,
    check_ca_file,
    check_identities,
    check_proxy,
    grant_problems,
)
from ._preflight_plugin import PLUGIN_CHECKS, plugin_contradictions


def problems(settings):
    """Return what is wrong with the variables of role xoauth2, as sentences; an empty list when nothing is."""
    settings = plain(settings)
    required = REQUIRED
    if settings.get("xoauth2_identities") in (None, "") or says_the_same(settings["xoauth2_identities"], identity_of(settings)):
        unused = ("xoauth2_identities",)    # its default: made of the variables that are checked anyway
    else:
        unused = [name for name in SINGLE.values() if not settings.get(name)]
        required = [name for name in REQUIRED if name not in unused]
    used = {name: value for name, value in settings.items() if name not in unused and not (value == "" and name in MAY_BE_EMPTY)}
    return collect(CHECKS, used, required, MADE_FROM) + contradictions(settings)


def says_the_same(identities, own):
    """Tell whether a list of identities is the one that the single variables make."""
    def told(one):
        return {key: value for key, value in one.items() if value and (key, value) != ("grant", "device_code")}

    return isinstance(identities, list) and len(identities) == 1 and isinstance(identities[0], dict) and told(identities[0]) == told(own)


def identity_of(settings):
    """Return the identity that the single variables make."""
    return {key: settings.get(name) or "" for key, name in SINGLE.items()}


def contradictions(settings):
    """Return what is wrong between variables that are each right."""
    return [*identity_contradictions(settings), *cloud_contradictions(settings), *renewal_contradictions(settings), *plugin_contradictions(settings)]


def identity_contradictions(settings):
    """The ids of one identity, how it signs in, and the two ways to write it."""
    own = identity_of(settings)
    if own["client_id"] not in ("", PLACEHOLDER) and str(own["client_id"]).lower() == str(own["tenant_id"]).lower():
        yield f"xoauth2_client_id: is the same id as xoauth2_tenant_id: one was copied twice. Write the app's own id ({CLIENT_PLACE})."
    identities = settings.get("xoauth2_identities")
    if isinstance(identities, list) and len(identities) == 1 and isinstance(identities[0], dict):
        for key, name in SINGLE.items():
            if own[key] and identities[0].get(key) and identities[0][key] != own[key]:
                yield f"{name}: is another {key} than the one in xoauth2_identities. Write it in one place only, for example in {name}."
    if identities in (None, "") or says_the_same(identities, own):
        good = {key: value for key, value in own.items() if not value or passes(CHECKS[SINGLE[key]], value)}
        if "grant" in good:
            yield from (f"{SINGLE[key]}: {sentence}" for key, sentence in grant_problems(dict(own, **good)) if key in good)


def cloud_contradictions(settings):
    """The hosts of one cloud, and the audience that the scope's tokens have."""
    scope = SCOPE.fullmatch(str(settings.get("xoauth2_scope", "")))
    clouds = {
        "xoauth2_cloud": OF_CLOUD.get(str(settings.get("xoauth2_cloud"))),
        "xoauth2_login_host": LOGIN_HOSTS.get(str(settings.get("xoauth2_login_host")).lower()),
        "xoauth2_smtp_host": SMTP_HOSTS.get(str(settings.get("xoauth2_smtp_host")).lower()),
        "xoauth2_scope": SCOPE_HOSTS.get(scope[1].lower()) if scope else None,
    }
    named = {name: cloud for name, cloud in clouds.items() if cloud and not (name == "xoauth2_cloud" and cloud == WORLD)}
    if len(set(named.values())) > 1:
        belongs = ", ".join(f"{name} belongs to {cloud}" for name, cloud in named.items())
        first, *_others = named
        yield f"{first}: {belongs}. Write the hosts and the scope of one cloud, for example those of your tenant's admin center."
    if settings.get("xoauth2_cloud") == "custom":
        for name in ("xoauth2_login_host", "xoauth2_smtp_host", "xoauth2_scope", "xoauth2_audiences"):
            if not settings.get(name):
                yield f"{name}: is required by xoauth2_cloud: custom. Write the one of your cloud."
    audiences = settings.get("xoauth2_audiences")
    if scope and isinstance(audiences, list) and audiences and f"https://{scope[1]}" not in audiences:
        yield f"xoauth2_audiences: lacks https://{scope[1]}, whose tokens xoauth2_scope asks for, so every token would be refused. Write [https://{scope[1]}]."


def renewal_contradictions(settings):
    """The timer comes before the plugin, and High Volume Email wants much time left."""
    period, threshold, window = (number(settings.get(f"xoauth2_{name}")) for name in ("renewal_period", "renewal_threshold", "refresh_window"))
    if None not in (period, threshold, window) and threshold <= window + period:
        yield (f"xoauth2_renewal_threshold: {threshold} is not more than xoauth2_refresh_window and xoauth2_renewal_period together ({window} + {period}), so "
               f"the plugin would renew before the timer does. Write a whole number above {window + period}.")
    if str(settings.get("xoauth2_smtp_host")).lower() in HIGH_VOLUME:
        if window is not None and window < 600:
            yield "xoauth2_refresh_window: High Volume Email refuses tokens that end within ten minutes. Write 600 or more."
        if settings.get("xoauth2_grant") == "device_code" and settings.get("xoauth2_mailbox"):
            yield "xoauth2_grant: High Volume Email takes tokens of the app itself only. Write client_certificate or client_secret."


def number(value):
    """Return a whole number, or None for what is none."""
    return int(value) if not isinstance(value, bool) and re.fullmatch(r"[0-9]{1,9}", str(value)) else None


def check_sign_in(value):
    """auto, always or never; YAML 1.1 reads some words as truth values."""
    choices = ("auto", "always", "never")
    if isinstance(value, bool):
        raise Wrong(f"{shown(value)} is not a choice. Write {'auto' if value else 'never'}; the choices are {', '.join(choices)}.")
    choice(value, choices)


def check_units(value):
    """Names of systemd units, or none."""
    for name in value if isinstance(value, list) else [value]:
        if name != "" and not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9:_.@%\\-]{1,200}\.(service|target)", name)):
            raise Wrong(f"{shown(name)} is not the name of a systemd unit. Write one that exists on the relay, for example mail-the-admin@%n.service.")


SINGLE = {key: f"xoauth2_{key}" for key in (
    "mailbox", "tenant_id", "client_id", "sign_in_as", "grant", "client_secret", "client_certificate", "client_certificate_passphrase",
)}
MADE_FROM = {"xoauth2_sign_in_as": ("xoauth2_mailbox",)}
REQUIRED = ("xoauth2_mailbox", "xoauth2_tenant_id", "xoauth2_client_id")
MAY_BE_EMPTY = ("xoauth2_login_host", "xoauth2_scope", "xoauth2_audiences", "xoauth2_renewal_on_failure")
CHECKS = {
    **{name: IDENTITY_CHECKS[key] for key, name in SINGLE.items()},
    "xoauth2_identities": check_identities,
    "xoauth2_sign_in": check_sign_in,
    "xoauth2_cloud": partial(choice, choices=tuple(CLOUDS)),
    **{f"xoauth2_{key}": IDENTITY_CHECKS[key] for key in ("login_host", "smtp_host", "scope", "audiences")},
    "xoauth2_smtp_port": smtp_port,
    "xoauth2_proxy": check_proxy,
    "xoauth2_ca_file": check_ca_file,
    "xoauth2_refresh_window": partial(whole_number, low=10, high=1800, meaning="how many seconds before its end an access token is renewed by the plugin"),
    "xoauth2_renewal_period": partial(whole_number, low=5, high=3600, meaning="after how many seconds the timer looks again whether a token is near its end"),
    "xoauth2_renewal_threshold": partial(whole_number, low=15, high=43200, meaning="how many seconds before its end an access token is renewed by the timer"),
    "xoauth2_renewal_on_failure": check_units,
    **PLUGIN_CHECKS,
}
