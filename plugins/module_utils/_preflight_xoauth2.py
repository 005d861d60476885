# SPDX-License-Identifier: GPL-3.0-or-later
"""The input checks of role xoauth2 (private to the collection, used on the controller)."""

from __future__ import annotations

import difflib
import re
from functools import partial

from ._preflight import Wrong, before, choice, collect, each, host_name, keys, list_of, mail_address, plain, shown, smtp_port, text, whole_number
from ._preflight_plugin import PLUGIN_CHECKS, plugin_contradictions

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
GUID_EXAMPLE = "0f1e2d3c-4b5a-4678-9abc-def012345678"
PLACEHOLDER = "00000000-0000-0000-0000-000000000000"
TENANT_PLACE = "Microsoft Entra admin center > Overview > Tenant ID"
CLIENT_PLACE = "Microsoft Entra admin center > App registrations > your app > Application (client) ID"

# Ids that stand on the same pages of the admin center, or in instructions, and are copied instead.
NOT_A_TENANT = {"9188040d-6c67-4c5b-b112-36a304b66dad": "Microsoft's tenant for private accounts, which has no Microsoft 365 mailbox"}
NOT_A_CLIENT = {
    "00000003-0000-0000-c000-000000000000": "Microsoft Graph and not your app",
    "00000002-0000-0ff1-ce00-000000000000": "Office 365 Exchange Online and not your app",
    "258f6531-6087-4cc4-bb90-092c5fb3ed3f": "the permission SMTP.Send and not your app",
}

# What belongs together in Microsoft's clouds. Other hosts are accepted, unless they look like a slip of the pen.
WORLD, US, CHINA = "the worldwide cloud", "the cloud of the US government", "the cloud in China"
LOGIN_HOSTS = {"login.microsoftonline.com": WORLD, "login.microsoftonline.us": US, "login.partner.microsoftonline.cn": CHINA, "login.chinacloudapi.cn": CHINA}
SMTP_HOSTS = {
    "smtp.office365.com": WORLD, "smtp.office365.us": US, "outlook-dod.office365.us": US, "smtp.partner.outlook.cn": CHINA, "partner.outlook.cn": CHINA,
}
SCOPE_HOSTS = {
    "outlook.office.com": WORLD, "outlook.office365.com": WORLD, "outlook.office365.us": US, "outlook-dod.office365.us": US, "partner.outlook.cn": CHINA,
}

SCOPE = re.compile(r"https://([^/\s?#]+)/SMTP\.Send")
SCOPE_EXAMPLE = "https://outlook.office.com/SMTP.Send"


def problems(settings):
    """Return what is wrong with the variables of role xoauth2, as sentences; an empty list when nothing is."""
    settings = plain(settings)
    required = REQUIRED
    if settings.get("xoauth2_identities") in (None, [identity_of(settings)]):
        unused = ("xoauth2_identities",)    # its default: made of the variables that are checked anyway
    else:
        unused = [name for name in SINGLE.values() if not settings.get(name)]
        required = [name for name in REQUIRED if name not in unused]
    used = {name: value for name, value in settings.items() if name not in unused}
    return collect(CHECKS, used, required, MADE_FROM) + contradictions(settings)


def identity_of(settings):
    """Return the identity that the single variables make."""
    return {key: settings.get(name) or "" for key, name in SINGLE.items()}


def contradictions(settings):
    """Return what is wrong between variables that are each right."""
    return [*identity_contradictions(settings), *cloud_contradictions(settings), *plugin_contradictions(settings)]


def identity_contradictions(settings):
    """The ids of one identity, and the two ways to write it."""
    own = identity_of(settings)
    if own["client_id"] not in ("", PLACEHOLDER) and str(own["client_id"]).lower() == str(own["tenant_id"]).lower():
        yield f"xoauth2_client_id: is the same id as xoauth2_tenant_id: one was copied twice. Write the app's own id ({CLIENT_PLACE})."
    identities = settings.get("xoauth2_identities")
    if isinstance(identities, list) and len(identities) == 1 and isinstance(identities[0], dict):
        for key, name in SINGLE.items():
            if own[key] and key in identities[0] and identities[0][key] != own[key]:
                yield f"{name}: is another {key} than the one in xoauth2_identities. Write it in one place only, for example in {name}."


def cloud_contradictions(settings):
    """The hosts of one cloud, and the audience that the scope's tokens have."""
    scope = SCOPE.fullmatch(str(settings.get("xoauth2_scope", "")))
    clouds = {
        "xoauth2_login_host": LOGIN_HOSTS.get(str(settings.get("xoauth2_login_host")).lower()),
        "xoauth2_smtp_host": SMTP_HOSTS.get(str(settings.get("xoauth2_smtp_host")).lower()),
        "xoauth2_scope": SCOPE_HOSTS.get(scope[1].lower()) if scope else None,
    }
    if len(set(clouds.values()) - {None}) > 1:
        belongs = ", ".join(f"{name} belongs to {cloud}" for name, cloud in clouds.items() if cloud)
        yield f"xoauth2_login_host: {belongs}. Write the hosts and the scope of one cloud, for example those of your tenant's admin center."
    audiences = settings.get("xoauth2_audiences")
    if scope and isinstance(audiences, list) and audiences and f"https://{scope[1]}" not in audiences:
        yield f"xoauth2_audiences: lacks https://{scope[1]}, whose tokens xoauth2_scope asks for, so every token would be refused. Write [https://{scope[1]}]."


def check_guid(value, what, place, others):
    """An id of Microsoft Entra."""
    remedy = f"Write {what} ({place}), for example {GUID_EXAMPLE}."
    if isinstance(value, str) and "~" in value:
        raise Wrong(f"looks like a client secret (not shown), which this relay does not need. {remedy}")
    text(value, f"{what} ({place})", GUID_EXAMPLE)
    if not GUID.fullmatch(value):
        bare = re.sub(r"^urn:uuid:|[{}]", "", value)
        hint = f"Write it plainly: {bare}." if GUID.fullmatch(bare) else remedy
        raise Wrong(f"{shown(value)} is not a GUID. {hint}")
    if value == PLACEHOLDER:
        raise Wrong(f"{shown(value)} is a placeholder. {remedy}")
    if value.lower() in others:
        raise Wrong(f"{shown(value)} is {others[value.lower()]}. {remedy}")


def check_tenant(value):
    """The tenant by its id: a token is compared with it, and only the id stands in tokens."""
    if isinstance(value, str) and value.lower() in ("common", "organizations", "consumers"):
        raise Wrong(
            f"{shown(value)} would let people of any tenant sign in. Write the id of your own tenant ({TENANT_PLACE}), for example {GUID_EXAMPLE}."
        )
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", value):
        raise Wrong(f"{shown(value)} is a domain; tokens name the tenant by its id. Write the id of your tenant ({TENANT_PLACE}), for example {GUID_EXAMPLE}.")
    check_guid(value, "the id of your tenant", TENANT_PLACE, NOT_A_TENANT)


def check_identities(value):
    """Exactly one identity, complete."""
    example = "[{mailbox: scans@example.org, tenant_id: ..., client_id: ..., sign_in_as: scans@example.org}]"
    list_of(value, "a list of one identity", example)
    if len(value) != 1:
        raise Wrong(f"has {len(value)} identities, and this version works with exactly one. Write one, for example {example}.")
    identity = value[0]
    if not isinstance(identity, dict):
        raise Wrong(f"the identity is not a dictionary. Write {example}.")
    before("the identity", keys, identity, ("mailbox", "tenant_id", "client_id"), ("sign_in_as",))
    each(identity.items(), lambda pair: before(f"{pair[0]} of the identity:", CHECKS[SINGLE[pair[0]]], pair[1]))
    if str(identity["tenant_id"]).lower() == str(identity["client_id"]).lower():
        raise Wrong(f"client_id and tenant_id of the identity are the same, so one was copied twice. Write the app's own id ({CLIENT_PLACE}).")


def check_sign_in(value):
    """auto, always or never; YAML 1.1 reads some words as truth values."""
    choices = ("auto", "always", "never")
    if isinstance(value, bool):
        raise Wrong(f"{shown(value)} is not a choice. Write {'auto' if value else 'never'}; the choices are {', '.join(choices)}.")
    choice(value, choices)


def check_known_host(value, what, known):
    """A host of Microsoft's; a slip of the pen would send tokens to whoever owns the other name."""
    host_name(value, what, next(iter(known)))
    meant = difflib.get_close_matches(value.lower(), known, n=1, cutoff=0.88)
    if meant and meant[0] != value.lower():
        raise Wrong(f"{shown(value)} is not a host of Microsoft's but looks like one. Write {what}, for example {meant[0]}.")


def check_scope(value):
    """One scope, the one for sending by SMTP."""
    text(value, "one scope", SCOPE_EXAMPLE)
    remedy = f"Write one scope, for example {SCOPE_EXAMPLE}."
    if re.search(r"[\s,]", value):
        raise Wrong(f"{shown(value)} holds more than one scope; offline_access and openid are added by themselves. {remedy}")
    if value.startswith("https://graph."):
        raise Wrong(f"{shown(value)} makes tokens for Microsoft Graph, which the mail server refuses (535 5.7.3). {remedy}")
    matched = SCOPE.fullmatch(value)
    if not matched:
        raise Wrong(f"{shown(value)} is not https://HOST/SMTP.Send. {remedy}")
    before(f"{shown(value)}: the host", check_known_host, matched[1], "the host of the scope", SCOPE_HOSTS)


def check_audiences(value):
    """What may stand in `aud` of a token: its resource as a URL, or as the id of the application."""
    example = "[https://outlook.office.com, https://outlook.office365.com]"
    list_of(value, "a list of resources", example)
    if not value:
        raise Wrong(f"is an empty list, so every token would be refused. Write {example}.")
    each(value, check_audience)
    twice = sorted({audience for audience in value if value.count(audience) > 1})
    if twice:
        raise Wrong(f"names {', '.join(twice)} twice. Write every resource once, for example {example}.")


def check_audience(value):
    """One resource."""
    text(value, "a resource", "https://outlook.office.com")
    remedy = "Write the resource as it stands in the token, for example https://outlook.office.com."
    if value.startswith("https://graph.") or value.lower() == "00000003-0000-0000-c000-000000000000":
        raise Wrong(f"{shown(value)} is Microsoft Graph, whose tokens the mail server refuses (535 5.7.3). {remedy}")
    if GUID.fullmatch(value):
        return
    matched = re.fullmatch(r"https://([^/\s?#]+)/?", value)
    if not matched:
        raise Wrong(f"{shown(value)} is neither https://HOST nor a GUID. {remedy}")
    before(f"{shown(value)}: the host", host_name, matched[1], "a resource", "https://outlook.office.com")


SINGLE = {"mailbox": "xoauth2_mailbox", "tenant_id": "xoauth2_tenant_id", "client_id": "xoauth2_client_id", "sign_in_as": "xoauth2_sign_in_as"}
MADE_FROM = {"xoauth2_sign_in_as": ("xoauth2_mailbox",)}
REQUIRED = ("xoauth2_mailbox", "xoauth2_tenant_id", "xoauth2_client_id")
CHECKS = {
    "xoauth2_mailbox": partial(mail_address, what="the mailbox that the relay sends as"),
    "xoauth2_tenant_id": check_tenant,
    "xoauth2_client_id": partial(check_guid, what="the id of your app", place=CLIENT_PLACE, others=NOT_A_CLIENT),
    "xoauth2_sign_in_as": partial(mail_address, what="the user principal name of the person who signs in"),
    "xoauth2_identities": check_identities,
    "xoauth2_sign_in": check_sign_in,
    "xoauth2_login_host": partial(check_known_host, what="the host of Microsoft's sign-in", known=LOGIN_HOSTS),
    "xoauth2_smtp_host": partial(check_known_host, what="the host that takes the mail", known=SMTP_HOSTS),
    "xoauth2_smtp_port": smtp_port,
    "xoauth2_scope": check_scope,
    "xoauth2_audiences": check_audiences,
    "xoauth2_refresh_window": partial(whole_number, low=10, high=1800, meaning="how many seconds before its end an access token is renewed"),
    **PLUGIN_CHECKS,
}
