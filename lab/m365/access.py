# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what stands after `auth=` in XOAUTH2 opens the mailbox that stands after `user=`."""
from __future__ import annotations

import time

from . import tokens


class Refused(Exception):
    """The name of Exchange's reply, and the true reason, which only the lab's log shows."""

    def __init__(self, reason: str, reply: str = "smtp_auth_unsuccessful"):
        super().__init__(reason)
        self.reply = reply


def check_user(state, mailbox: str, claims: dict) -> None:
    """A person opens his own mailbox and those that list him as a user."""
    if claims["upn"] != mailbox and claims["upn"] not in state.account(mailbox)["users"]:
        raise Refused(f"token of {claims['upn']}")
    if "SMTP.Send" not in claims["scp"].split():
        raise Refused(f"scope {claims['scp']}")
    if claims["xms_made"] <= state.access_revoked.get(claims["upn"], 0):
        raise Refused("revoked")


def check_app(state, mailbox: str, claims: dict) -> None:
    """An app opens the mailboxes in the scope of its role."""
    app = state.app(claims["appid"])
    if app is None or mailbox not in app["mailboxes"]:
        raise Refused("the app may not send as this mailbox")


def check(lab, mailbox: str, auth: str) -> None:
    kind, _blank, token = auth.partition(" ")
    if kind.lower() != "bearer":
        raise Refused("no bearer token")
    try:
        claims = tokens.check_access_token(lab.keys, token.strip())
    except tokens.BadToken as error:
        raise Refused(str(error)) from error
    account = lab.state.account(mailbox)
    if account is None or account["tenant"] != claims["tid"]:
        raise Refused("no such mailbox in the token's tenant")
    (check_app if claims["idtyp"] == "app" else check_user)(lab.state, mailbox, claims)
    left = claims["exp"] - time.time()
    if left < lab.state.setting("token_minimum_left"):
        raise Refused(f"{left:.0f} seconds left", "smtp_hve_token_expires_soon")
