# SPDX-License-Identifier: GPL-3.0-or-later
"""The input checks of the identities of role xoauth2 and of their credentials (private to the collection, used on the controller)."""

from __future__ import annotations

import difflib
import os
import re
import time
from functools import partial
from urllib.parse import urlsplit

from . import _clouds, _credentials
from ._preflight import Wrong, absolute_path, before, choice, each, host_name, keys, list_of, mail_address, shown, text
from ._transports import lane

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
GUID_EXAMPLE = "0f1e2d3c-4b5a-4678-9abc-def012345678"
PLACEHOLDER = "00000000-0000-0000-0000-000000000000"
TENANT_PLACE = "Microsoft Entra admin center > Overview > Tenant ID"
CLIENT_PLACE = "Microsoft Entra admin center > App registrations > your app > Application (client) ID"
CREDENTIALS_PLACE = "Microsoft Entra admin center > App registrations > your app > Certificates & secrets"
EXAMPLE = "[{mailbox: scans@example.org, tenant_id: ..., client_id: ..., sign_in_as: scans@example.org}]"

# Ids that stand on the same pages of the admin center, or in instructions, and are copied instead.
NOT_A_TENANT = {"9188040d-6c67-4c5b-b112-36a304b66dad": "Microsoft's tenant for private accounts, which has no Microsoft 365 mailbox"}
NOT_A_CLIENT = {
    "00000003-0000-0000-c000-000000000000": "Microsoft Graph and not your app",
    "00000002-0000-0ff1-ce00-000000000000": "Office 365 Exchange Online and not your app",
    "258f6531-6087-4cc4-bb90-092c5fb3ed3f": "the permission SMTP.Send and not your app",
}

# What belongs together in Microsoft's clouds. Other hosts are accepted, unless they look like a slip of the pen.
WORLD, US, CHINA = "the worldwide cloud", "the cloud of the US government", "the cloud in China"
OF_CLOUD = {"public": WORLD, "usgov": US, "usgov_dod": US, "china": CHINA}
LOGIN_HOSTS = {"login.microsoftonline.com": WORLD, "login.microsoftonline.us": US, "login.partner.microsoftonline.cn": CHINA, "login.chinacloudapi.cn": CHINA}
SMTP_HOSTS = {
    "smtp.office365.com": WORLD, "smtp.office365.us": US, "outlook-dod.office365.us": US, "smtp.partner.outlook.cn": CHINA, "partner.outlook.cn": CHINA,
    "smtp.hve.mx.microsoft": WORLD, "smtp-hve.office365.com": WORLD,
}
SCOPE_HOSTS = {
    "outlook.office.com": WORLD, "outlook.office365.com": WORLD, "outlook.office365.us": US, "outlook-dod.office365.us": US, "partner.outlook.cn": CHINA,
}
HIGH_VOLUME = ("smtp.hve.mx.microsoft", "smtp-hve.office365.com")
SCOPE = re.compile(r"https://([^/\s?#]+)/(SMTP\.Send|\.default)")
SCOPE_EXAMPLE = "https://outlook.office.com/SMTP.Send"


def check_guid(value, what, place, others):
    """An id of Microsoft Entra."""
    remedy = f"Write {what} ({place}), for example {GUID_EXAMPLE}."
    if isinstance(value, str) and "~" in value:
        raise Wrong(f"looks like a client secret (not shown); that belongs into xoauth2_client_secret. {remedy}")
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


def check_grant(value):
    """How the relay gets its tokens."""
    choice(value, _clouds.GRANTS)


def check_secret(value):
    """A client secret, which no sentence shows; nothing where there is none."""
    remedy = f"Write the Value of a client secret ({CREDENTIALS_PLACE}), encrypted with ansible-vault."
    if value in ("", None):
        return
    if not isinstance(value, str):
        raise Wrong(f"must be text and is {shown(value)}. {remedy}")
    if not value.isprintable() or value != value.strip():
        raise Wrong(f"holds a line break, or blanks around it (not shown). {remedy}")
    if GUID.fullmatch(value):
        raise Wrong(f"looks like the Secret ID and not like the secret itself (not shown). {remedy} It is shown once, when the secret is made.")
    if "-----BEGIN" in value:
        raise Wrong(f"holds the text of a certificate or key (not shown). {remedy}")


def check_passphrase(value):
    """The passphrase of a certificate's key; nothing where there is none."""
    if value not in ("", None) and not (isinstance(value, str) and value.isprintable() and value == value.strip()):
        raise Wrong("is not text on one line without blanks around it (not shown). Write the passphrase, encrypted with ansible-vault.")


def check_certificate(value):
    """The path of a PEM or PFX file on the controller; nothing where there is none."""
    if value in ("", None):
        return
    what, example = "the path on the controller of a PEM or PFX file with the app's certificate and its key", "/srv/relay/app.pem"
    absolute_path(value, what, example)
    if not os.path.isfile(value):
        raise Wrong(f"there is no file {shown(value)} on the controller. Write {what}, for example {example}.")


def check_proxy(value):
    """A proxy, or nothing: without a password, because every user of the relay may read the settings."""
    remedy = "Write its URL, for example http://proxy.example.org:3128, or leave it empty."
    if value == "":
        return
    text(value, "the URL of the proxy", "http://proxy.example.org:3128")
    if re.search(r"//[^/]*@", value):
        raise Wrong(f"{shown(value)} holds a user or password, which everybody on the relay could read. {remedy}")
    matched = re.fullmatch(r"https?://[^/\s?#]+/?", value)
    try:
        name = urlsplit(value).hostname
        fits = bool(matched and name and urlsplit(value).port)
    except ValueError:
        fits = False
    if not fits:
        raise Wrong(f"{shown(value)} is not http://HOST:PORT. {remedy}")


def check_ca_file(value):
    """A file of CA certificates on the relay, where the sandboxed renewal can read it."""
    what, example = "the path of a PEM file on the relay", "/etc/ssl/certs/ca-certificates.crt"
    absolute_path(value, what, example)
    if re.match(r"/(home|root|tmp|var/tmp|run/user|var/spool|etc/ssl/private)/", value):
        raise Wrong(f"{shown(value)} lies where the renewal of tokens may not read. Write {what}, for example {example}.")


def check_known_host(value, what, known, optional=False):
    """A host of Microsoft's; a slip of the pen would send tokens to whoever owns the other name."""
    if optional and value == "":
        return
    host_name(value, what, next(iter(known)))
    meant = difflib.get_close_matches(value.lower(), known, n=1, cutoff=0.88)
    if meant and meant[0] != value.lower():
        raise Wrong(f"{shown(value)} is not a host of Microsoft's but looks like one. Write {what}, for example {meant[0]}.")


def check_scope(value):
    """One scope, the one for sending by SMTP; nothing: the cloud's."""
    if value == "":
        return
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
    """What may stand in `aud` of a token: its resource as a URL, or as the id of the application; nothing: the cloud's."""
    example = "[https://outlook.office.com, https://outlook.office365.com]"
    list_of(value, "a list of resources", example)
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


CHECKS = {  # of the keys of an identity
    "mailbox": partial(mail_address, what="the mailbox that the relay sends as"),
    "tenant_id": check_tenant,
    "client_id": partial(check_guid, what="the id of your app", place=CLIENT_PLACE, others=NOT_A_CLIENT),
    "sign_in_as": partial(mail_address, what="the user principal name of the person who signs in"),
    "grant": check_grant,
    "client_secret": check_secret,
    "client_certificate": check_certificate,
    "client_certificate_passphrase": check_passphrase,
    "cloud": partial(choice, choices=tuple(OF_CLOUD)),
    "login_host": partial(check_known_host, what="the host of Microsoft's sign-in", known=LOGIN_HOSTS),
    "smtp_host": partial(check_known_host, what="the host that takes the mail", known=SMTP_HOSTS),
    "scope": check_scope,
    "audiences": check_audiences,
}
REQUIRED = ("mailbox", "tenant_id", "client_id")


def check_identities(value):
    """One identity or more, each complete and different from the others."""
    list_of(value, "a list of identities", EXAMPLE)
    if not value:
        raise Wrong(f"has 0 identities. Write one or more, for example {EXAMPLE}.")
    each(value, check_identity)
    said = []
    for number, one in enumerate(value):
        for other in value[:number]:
            if one["mailbox"].lower() == other["mailbox"].lower():
                said.append(f"has {shown(one['mailbox'])} twice. Write every mailbox once, for example {EXAMPLE}.")
            elif lane(one["mailbox"]) == lane(other["mailbox"]):
                said.append(
                    f"{shown(other['mailbox'])} and {shown(one['mailbox'])} would have the same name in Postfix ({lane(one['mailbox'])}). "
                    "Write only one of them, or one of their aliases that differs in its letters or digits."
                )
    if said:
        raise Wrong(*said)


def check_identity(one):
    """One identity."""
    if not isinstance(one, dict):
        raise Wrong(f"an identity is not a dictionary. Write {EXAMPLE}.")
    name = f"the identity {shown(one['mailbox'])}" if isinstance(one.get("mailbox"), str) else "the identity"
    before(name, keys, one, REQUIRED, tuple(key for key in CHECKS if key not in REQUIRED))
    each(((key, value) for key, value in one.items() if value != "" or key in REQUIRED),
         lambda pair: before(f"{pair[0]} of {name}:", CHECKS[pair[0]], pair[1]))
    if str(one["tenant_id"]).lower() == str(one["client_id"]).lower():
        raise Wrong(f"client_id and tenant_id of {name} are the same, so one was copied twice. Write the app's own id ({CLIENT_PLACE}).")
    said = [f"{key} of {name}: {sentence}" for key, sentence in grant_problems(one)]
    if said:
        raise Wrong(*said)


def grant_problems(one):
    """Yield (key, sentence) for what does not fit together in how an identity signs in."""
    grant = one.get("grant") or "device_code"
    given = [key for key in ("client_secret", "client_certificate") if one.get(key)]
    if len(given) == 2:
        yield "client_secret", "is given beside client_certificate, and only one of them can be used. Write one, better the certificate."
        return
    for key in ("client_secret", "client_certificate"):
        if grant == key and key not in given:
            yield key, f"is required by the grant {key}. Write it, or another grant."
    if given and grant in _clouds.GRANTS and grant != given[0]:
        yield given[0], f"is not used by the grant {grant}. Write the grant {given[0]}, or leave {given[0]} out."
    if one.get("client_certificate_passphrase") and "client_certificate" not in given:
        yield "client_certificate_passphrase", "is given without client_certificate. Write both, or leave it out."
    if grant == "client_certificate" and "client_certificate" in given:
        sentence = certificate_problem(one["client_certificate"], one.get("client_certificate_passphrase") or "")
        if sentence:
            yield "client_certificate", sentence


def certificate_problem(path, passphrase, now=None):
    """Return what is wrong with a certificate's file, or None. One that is encrypted as a whole is judged on the relay."""
    try:
        with open(path, "rb") as stream:
            content = stream.read()
        if content.startswith(b"$ANSIBLE_VAULT"):
            return None
        found = _credentials.parse(content, passphrase)
    except _credentials.UnusableError as error:
        return f"{shown(path)}: {error} Write the path of a file that holds the certificate and its key, and its passphrase if it has one."
    except OSError as error:
        return f"{shown(path)} cannot be read ({error.strerror}). Write the path of a file that you may read."
    return _credentials.date_problem(found, time.time() if now is None else now)
