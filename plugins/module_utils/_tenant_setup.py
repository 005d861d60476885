# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tenant needs for the identities of an inventory, as data for a PowerShell script (private to the collection, used on the controller)."""

from __future__ import annotations

import os
import re

from ._preflight import Wrong, mail_address, shown

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
PLACEHOLDER = "00000000-0000-0000-0000-000000000000"
GRANTS = ("device_code", "client_secret", "client_certificate", "managed_identity")
ACCESS = ("rbac", "classic")
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")

# PowerShell ends a text in single quotes at any of these, and takes two of the same as one of them.
QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")

# How Microsoft's two PowerShell modules call the clouds.
ENVIRONMENTS = {
    "public": {"Graph": "Global", "Exchange": "O365Default"},
    "usgov": {"Graph": "USGov", "Exchange": "O365USGovGCCHigh"},
    "usgov_dod": {"Graph": "USGovDoD", "Exchange": "O365USGovDoD"},
    "china": {"Graph": "China", "Exchange": "O365China"},
}


def plan(identities, cloud="public", access="rbac"):
    """Return one dictionary for each tenant of these identities: its cloud, and each of its apps with the mailboxes that the app sends as.

    An identity that several relays have stands there once. What cannot be used raises Wrong, with every reason.
    """
    if access not in ACCESS:
        raise Wrong(f"tenant_access: {shown(access)} is not a choice. Write one of {', '.join(ACCESS)}.")
    problems = [said for one in identities for said in wrong_with(one)]
    if problems:
        raise Wrong(*dict.fromkeys(problems))
    tenants = {}
    for one in identities:
        add(tenants, one, one.get("cloud") or cloud or "public", access)
    return list(tenants.values())


def wrong_with(one):
    """Return what is wrong with one identity, as sentences."""
    found = []
    for key in ("mailbox", "sign_in_as"):
        if key == "mailbox" or one.get(key):
            try:
                mail_address(one.get(key))
            except Wrong as wrong:
                found += [f"{key} of an identity: {said}" for said in wrong.args]
    for key in ("tenant_id", "client_id"):
        if not GUID.fullmatch(str(one.get(key, ""))):
            found.append(f"{key} of {shown(one.get('mailbox'))}: {shown(one.get(key))} is not a GUID. Write the id; {PLACEHOLDER} for an app to be made.")
    if str(one.get("tenant_id")) == PLACEHOLDER:
        found.append(f"tenant_id of {shown(one.get('mailbox'))}: is a placeholder. Write the id of your tenant (Entra admin center > Overview > Tenant ID).")
    if (one.get("grant") or "device_code") not in GRANTS:
        found.append(f"grant of {shown(one.get('mailbox'))}: {shown(one['grant'])} is not a choice. Write one of {', '.join(GRANTS)}.")
    return found


def add(tenants, one, cloud, access):
    """Add an identity to the app of its tenant."""
    tenant_id, client_id, grant = one["tenant_id"].lower(), one["client_id"].lower(), one.get("grant") or "device_code"
    tenant = tenants.setdefault(tenant_id, {
        "TenantId": tenant_id, "Environments": ENVIRONMENTS.get(cloud, ENVIRONMENTS["public"]), "Access": access, "Apps": [],
    })
    apps = tenant["Apps"]
    app = next((app for app in apps if (app["ClientId"], app["Grant"]) == (client_id, grant)), None)
    if app is None:
        name = f"Simple M365 Relay ({grant.replace('_', ' ')})"
        certificate = public_certificate(one.get("client_certificate")) if grant == "client_certificate" else ""
        app = {"ClientId": client_id, "Name": name, "Grant": grant, "Certificate": certificate, "Mailboxes": []}
        apps.append(app)
    mailbox = {"Address": one["mailbox"], "SignInAs": one.get("sign_in_as") or one["mailbox"]}
    if mailbox not in app["Mailboxes"]:
        app["Mailboxes"].append(mailbox)


def public_certificate(path):
    """Return the certificate in a PEM file (not its key) in base64, "" when there is none to be read: the script then asks for the file."""
    if not path or not os.path.isfile(path):
        return ""
    with open(path, encoding="ascii", errors="replace") as stream:
        found = CERTIFICATE.search(stream.read())
    return "".join(found[1].split()) if found else ""


def literal(value, indent=0):
    """Return a value as PowerShell writes it: text in single quotes, so that nothing in it is read as code."""
    if isinstance(value, bool):
        return "$true" if value else "$false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        if CONTROL.search(value):
            raise Wrong(f"{shown(value)} holds a control character, which has no place in a script. Write it on one line.")
        return "'" + QUOTES.sub(lambda quote: quote[0] * 2, value) + "'"
    inner = " " * (indent + 4)
    if isinstance(value, dict):
        if not all(isinstance(key, str) and NAME.fullmatch(key) for key in value):
            raise Wrong("a name that is no plain word has no place in a script. Write letters and digits.")
        return "@{\n" + "".join(f"{inner}{key} = {literal(item, indent + 4)}\n" for key, item in value.items()) + " " * indent + "}"
    if isinstance(value, (list, tuple)):
        return "@(\n" + "".join(f"{inner}{literal(item, indent + 4)}\n" for item in value) + " " * indent + ")"
    raise Wrong(f"{shown(value)} has no place in a script. Write text, numbers, lists or dictionaries.")
