# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft's clouds, and the whole identities that the variables of role xoauth2 make (private to the collection)."""

from __future__ import annotations

from ._tokens import CA_FILE, PERSONS_GRANT

# What belongs together. The addresses for DoD and of the mail server in China are known from other programs only, not from Microsoft.
CLOUDS = {
    "public": {
        "login_host": "login.microsoftonline.com", "scope": "https://outlook.office.com/SMTP.Send", "app_scope": "https://outlook.office365.com/.default",
        "audiences": ["https://outlook.office.com", "https://outlook.office365.com"], "smtp_host": "smtp.office365.com",
    },
    "usgov": {
        "login_host": "login.microsoftonline.us", "scope": "https://outlook.office365.us/SMTP.Send", "app_scope": "https://outlook.office365.us/.default",
        "audiences": ["https://outlook.office365.us"], "smtp_host": "smtp.office365.us",
    },
    "usgov_dod": {
        "login_host": "login.microsoftonline.us", "scope": "https://outlook.office365.us/SMTP.Send",
        "app_scope": "https://outlook-dod.office365.us/.default",
        "audiences": ["https://outlook.office365.us", "https://outlook-dod.office365.us"], "smtp_host": "outlook-dod.office365.us",
    },
    "china": {
        "login_host": "login.partner.microsoftonline.cn", "scope": "https://partner.outlook.cn/SMTP.Send", "app_scope": "https://partner.outlook.cn/.default",
        "audiences": ["https://partner.outlook.cn"], "smtp_host": "smtp.partner.outlook.cn",
    },
}
CLOUDS["custom"] = {"login_host": "", "scope": "", "app_scope": "", "audiences": [], "smtp_host": ""}    # preflight asks for each
CREDENTIALS = "/etc/m365-relay/credentials"
GRANTS = (PERSONS_GRANT, "client_secret", "client_certificate", "managed_identity")


def cloud(name):
    """Return what belongs to a cloud; of one that does not exist what belongs to the public one, because preflight speaks of that."""
    return CLOUDS.get(name if isinstance(name, str) else "", CLOUDS["public"])


def identities(settings):
    """Return the whole identities that variables (a dict by their names) make, the default first."""
    return [identity(one, settings) for one in settings["xoauth2_identities"]]


def identity(one, settings):
    """Return a whole identity: its own values, then those of the role's variables, then those of its cloud."""
    grant = one.get("grant") or PERSONS_GRANT
    mailbox = one["mailbox"]
    place = cloud(one.get("cloud") or settings.get("xoauth2_cloud"))

    def setting(key):
        return one.get(key) or ("" if one.get("cloud") else settings.get(f"xoauth2_{key}")) or place[key]

    return {
        "mailbox": mailbox,
        "sign_in_as": one.get("sign_in_as") or mailbox,
        "tenant_id": one["tenant_id"],
        "client_id": one["client_id"],
        "grant": grant,
        "login_host": setting("login_host"),
        "scope": scope_for(grant, setting("scope"), place),
        "audiences": list(setting("audiences")),
        "smtp_host": setting("smtp_host"),
        "smtp_port": int(settings.get("xoauth2_smtp_port") or 587),
        "refresh_window": int(settings.get("xoauth2_refresh_window") or 300),
        "credential": credential(one),
        "proxy": settings.get("xoauth2_proxy") or "",
        "ca_file": settings.get("xoauth2_ca_file") or CA_FILE,
    }


def scope_for(grant, scope, place):
    """Return the scope that a grant asks for: a person's permission, or for an app everything that it may do with the same service."""
    if scope == place["scope"]:
        return scope if grant == PERSONS_GRANT else place["app_scope"]
    return f"{scope.rpartition('/')[0]}/{'SMTP.Send' if grant == PERSONS_GRANT else '.default'}"


def credential(one):
    """Return where the secret or certificate of an identity stands on the host, "" for one that has none."""
    kinds = {"client_secret": "secret", "client_certificate": "pfx" if str(one.get("client_certificate")).lower().endswith((".pfx", ".p12")) else "pem"}
    kind = kinds.get(one.get("grant"))
    return f"{CREDENTIALS}/{one['mailbox'].lower()}.{kind}" if kind else ""
