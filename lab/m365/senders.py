# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose name a message carries: read as strictly as possible, so that no trick with From gets through."""
from __future__ import annotations

import contextlib
import email.errors
import email.policy
import email.utils
import functools
import re

LINE_END = re.compile(rb"\r\n|\r|\n")
FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)")
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, email.errors.MessageError)


def decode(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def headers(data: bytes) -> list[tuple[str, str]]:
    """Names in lower case and unfolded values. Lines end at a bare CR or LF too, and nothing but an empty line ends the header: as the most
    careless reader would see it."""
    found: list[list[bytes]] = []
    for line in LINE_END.split(data.partition(b"\r\n\r\n")[0]):
        field = FIELD.fullmatch(line)
        if not line:
            break
        if line[:1] in b" \t" and found:
            found[-1][1] += line
        elif field:
            found.append([field[1].lower(), field[2]])
    return [(name.decode(), decode(value).strip()) for name, value in found]


@functools.lru_cache(maxsize=1024)  # parsing is slow, and a relay's messages look alike
def parse(name: str, value: str):
    return email.policy.default.header_factory(name, value)


def header_text(head: list[tuple[str, str]], name: str) -> str:
    """A header for people to read: decoded, on one line."""
    value = next((value for found, value in head if found == name), "")
    if "=?" in value:
        with contextlib.suppress(*UNREADABLE):
            value = str(parse("subject", value))
    return " ".join(value.split())


def from_addresses(head: list[tuple[str, str]]) -> list[str]:
    """The addresses in From, in lower case; ["?"] for what two parsers read differently or not at all, [] without a From."""
    values = [value for name, value in head if name == "from"]
    if not values:
        return []
    try:
        strict = [address.addr_spec.lower() for address in parse("from", values[0]).addresses]
    except UNREADABLE:
        return ["?"]
    loose = [address.lower() for _name, address in email.utils.getaddresses(values)]
    return strict if strict and strict == loose and "\0" not in values[0] else ["?"]


def denied(mailbox: str, send_as: list[str], envelope_sender: str, froms: list[str]) -> str | None:
    """The address that the mailbox may not send as; None when all is well. The null sender is fine if From is."""
    allowed = {mailbox, *(address.lower() for address in send_as)}
    if envelope_sender and envelope_sender.lower() not in allowed:
        return envelope_sender
    if len(froms) != 1 or froms[0] not in allowed:
        return ", ".join(froms)
    return None
