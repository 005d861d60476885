# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's Microsoft knows at the start: tenants, accounts, app registrations, resources, host names."""
from __future__ import annotations

import copy

CORP = "11111111-2222-4333-8444-555555555555"
OTHER = "66666666-7777-4888-8999-000000000000"

TENANTS = {CORP: "corp.test", OTHER: "other.test"}

# send_as: addresses that the mailbox may put into From besides its own.
# users: who else may open the mailbox (FullAccess). sign_in: a shared mailbox has its sign-in blocked.
ACCOUNTS = {
    "scans@corp.test": {"tenant": CORP, "send_as": [], "users": [], "sign_in": True},
    "admin@corp.test": {"tenant": CORP, "send_as": [], "users": [], "sign_in": True},
    "billing@corp.test": {"tenant": CORP, "send_as": [], "users": [], "sign_in": True},
    "shared@corp.test": {"tenant": CORP, "send_as": [], "users": ["scans@corp.test"], "sign_in": False},
    "relay@other.test": {"tenant": OTHER, "send_as": [], "users": [], "sign_in": True},
}

# public: "Allow public client flows". mailboxes: the scope of the app's role "Application SMTP.SendAsApp". roles: claims of its own tokens.
APPS = {
    "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee": {
        "tenant": CORP, "name": "Mail relay", "public": True, "secrets": [], "certificates": [], "mailboxes": [], "roles": []},
    "dddddddd-eeee-4fff-8000-111111111111": {
        "tenant": OTHER, "name": "Mail relay", "public": True, "secrets": [], "certificates": [], "mailboxes": [], "roles": []},
    "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff": {
        "tenant": CORP, "name": "Mail relay, app-only", "public": False,
        "secrets": ["lab8Q~a-client-secret-that-only-the-lab-knows"], "certificates": [],
        "mailboxes": ["scans@corp.test", "billing@corp.test"], "roles": []},
}

# Every resource that gives tokens for SMTP submission; anything else is another audience, refused by SMTP.
SMTP_RESOURCES = (
    "https://outlook.office.com", "https://outlook.office365.com",
    "https://outlook.office365.us", "https://outlook-dod.office365.us", "https://partner.outlook.cn",
)
GRAPH = "https://graph.microsoft.com"

SIGN_IN_HOSTS = ("login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn")
SMTP_HOSTS = ("smtp.office365.com", "smtp.office365.us", "outlook-dod.office365.us", "smtp.partner.outlook.cn")
HOSTS = SIGN_IN_HOSTS + SMTP_HOSTS


def start() -> dict:
    """A fresh copy that the control API may change."""
    return {"accounts": copy.deepcopy(ACCOUNTS), "apps": copy.deepcopy(APPS)}


def tenant_id(name: str) -> str | None:
    """The tenant id for what stands in a URL: the id itself or a domain."""
    name = name.lower()
    return next((ident for ident, domain in TENANTS.items() if name in (ident, domain)), None)
