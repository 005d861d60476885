# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose name a message carries: read as strictly as possible, so that no trick with From gets through."""
from __future__ import annotations

import email.errors
import email.parser
import email.policy
import email.utils

HEADERS_AT_MOST = 1024 * 1024


def headers(data: bytes):
    """The header of a message, unfolded and decoded only where asked. A bare CR or LF ends a line here too, as careless receivers see it."""
    return email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(data[:HEADERS_AT_MOST])


def header_text(head, name: str) -> str:
    """A header for people to read: decoded, on one line."""
    value = head.get(name)
    if value is None:
        return ""
    try:
        return " ".join(str(email.policy.default.header_factory(name, str(value))).split())
    except (ValueError, LookupError, TypeError, AttributeError, email.errors.MessageError):
        return " ".join(ascii(str(value)).split())


def from_addresses(head) -> list[str]:
    """The addresses in From, in lower case; ["?"] for what two parsers read differently or not at all, [] without a From."""
    values = [value for name, value in head.raw_items() if name.strip().lower() == "from"]
    if not values:
        return []
    if len(values) > 1:
        return ["?"]
    text = str(values[0])
    if any(character in text.replace("\r\n", "").replace("\n", "") for character in "\r\0"):
        return ["?"]
    try:
        strict = [address.addr_spec.lower() for address in email.policy.default.header_factory("From", text).addresses]
    except (ValueError, LookupError, TypeError, AttributeError, email.errors.MessageError):
        return ["?"]
    loose = [address.lower() for _name, address in email.utils.getaddresses([" ".join(text.split())])]
    return strict if strict and strict == loose else ["?"]


def denied(mailbox: str, send_as: list[str], envelope_sender: str, froms: list[str]) -> str | None:
    """The address that the mailbox may not send as; None when all is well. The null sender is fine if From is."""
    allowed = {mailbox, *(address.lower() for address in send_as)}
    if envelope_sender and envelope_sender.lower() not in allowed:
        return envelope_sender
    if len(froms) != 1 or froms[0] not in allowed:
        return ", ".join(froms)
    return None
