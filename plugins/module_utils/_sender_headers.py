# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and the header From, read so that nobody else can read them differently (private to the collection)."""

from __future__ import annotations

import email.errors
import email.header
import email.policy
import re
import unicodedata
from typing import NamedTuple

LONGEST_FROM = 2000        # characters; what is longer is no author, and costs time to read
LONGEST_ADDRESS = 254
LONGEST_LOCAL_PART = 64

ATOM = r"[^\s\x00-\x20\x7f()<>@,;:\\\".\[\]\ud800-\udfff]+"
DOT_ATOM = re.compile(rf"{ATOM}(?:\.{ATOM})*")
QUOTED = re.compile(r'"((?:[^"\\\x00-\x1f\x7f\ud800-\udfff]|\\[^\x00-\x1f\x7f\ud800-\udfff])*)"')
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
LITERAL = re.compile(r"\[[0-9a-f:.]+\]|\[ipv6:[0-9a-f:.]+\]")
# Letters for which the two versions of IDNA name two different domains.
DISPUTED = re.compile("[ß\u1e9eς\u200c\u200d]")

# The forms of a header From that every parser reads alike: an address, perhaps behind plain words or one quoted text.
PHRASE = r"""(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\ud7ff\ue000-\U0010ffff.-]+(?:\s+|(?=<)))+|"[^"\\\r\n\x00-\x1f\x7f\ud800-\udfff]*"\s*"""
PLAIN_ADDRESS = r"""[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9_.-]+"""
PLAIN_FROM = re.compile(rf"\s*(?:(?P<phrase>{PHRASE})?<(?P<in_brackets>{PLAIN_ADDRESS})>|(?P<alone>{PLAIN_ADDRESS}))\s*")
LOOKS_LIKE_ADDRESS = re.compile(r"(?<![^\s<>()\[\],;:\"@])[^\s<>()\[\],;:\"@]+@[^\s<>()\[\],;:\"@]+")
LAST_COMMENT = re.compile(r"\(([^()\\]*)\)\s*\Z")
BARE_NAME = re.compile(r"[\w .-]+")
WORD = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
UNSPEAKABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}    # control and formatting characters, which hide or turn round what follows

PARSER_FAILS = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError, email.errors.MessageError)

# Domains that lead nowhere outside a site, so that nobody could answer.
NOWHERE = ("localhost", "local", "localdomain", "internal", "intranet", "private", "lan", "home", "home.arpa", "invalid")


class Author(NamedTuple):
    """Who a message says it is from."""

    address: str | None       # in the form for comparing; None: there is none, or none that can be read
    phrase: str               # the display name, as a header can carry it; "" for none
    missing: bool             # there is no From at all
    problem: str | None       # why it is not one author, as the end of a sentence
    plain: bool               # every parser reads the header like this one
    mentioned: frozenset      # every address that somebody could read out of it


NOBODY = Author(None, "", True, None, False, frozenset())


def canonical(address):
    """Return an address in the form in which addresses are compared, or None when it is none.

    Small letters; the domain in ASCII (A-labels) and without a dot at its end; no quotes where none are needed.
    An address with a plus stays another address than the one without.
    """
    local, at, domain = address.strip().rpartition("@")
    local, domain = plain_local_part(local), plain_domain(domain)
    if not at or not local or not domain or len(local) > LONGEST_LOCAL_PART or len(local) + len(domain) >= LONGEST_ADDRESS:
        return None
    return f"{local}@{domain}"


def plain_local_part(local):
    """Return the part before the @ in small letters, quoted only where it must be; None when it is none."""
    quoted = QUOTED.fullmatch(local)
    text = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else local
    text = unicodedata.normalize("NFC", text).lower()
    if DOT_ATOM.fullmatch(text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"' if quoted and text else None


def plain_domain(domain):
    """Return the part behind the @ as DNS knows it, in small letters; None when it is none."""
    domain = domain.lower()
    if LITERAL.fullmatch(domain):
        return domain
    if not domain.isascii():
        if DISPUTED.search(domain):
            return None
        try:
            domain = domain.encode("idna").decode("ascii").lower()
        except UnicodeError:
            return None
    domain = domain.removesuffix(".")
    return domain if all(map(LABEL.fullmatch, domain.split("."))) else None


def can_be_answered(address, own_host):
    """Tell whether a reply to the (canonical) address could arrive somewhere."""
    local, _at, domain = address.rpartition("@")
    return (
        "." in domain and not domain.startswith("[") and domain != own_host and not domain.endswith(tuple(f".{name}" for name in NOWHERE))
        and address.isascii() and not re.search(r'["%!]', local) and local != "mailer-daemon"
    )


def read_from(values):
    """Return the Author of the header's From values (text, folded as they came; bytes that are no UTF-8 as surrogates)."""
    values = [value for value in values if value.strip()] if len(values) == 1 else list(values)
    if not values:
        return NOBODY
    text = "\n".join(values)
    if len(text) > LONGEST_FROM:
        return unreadable(frozenset(), "the header From is longer than any author")
    if len(values) > 1:
        return unreadable(mentioned(text), "the message has more than one header From")
    plain = PLAIN_FROM.fullmatch(text)
    if plain and not re.search(r"\r(?!\n)|\n(?![ \t])", text):
        return plain_author(plain)
    return parsed_author(text)


def unreadable(found, problem=None):
    """Return an Author that cannot be told."""
    return Author(None, "", False, problem, False, found)


def plain_author(plain):
    """Return the Author of a header in one of the plain forms."""
    written = plain["in_brackets"] or plain["alone"]
    address = canonical(written)
    phrase = " ".join((plain["phrase"] or "").split())
    name = decoded(phrase)
    readable = name is not None and clean(name) == name
    fine = readable and address == written.lower() and (not contains_address(name) or canonical(unquoted(name)) == address)
    found = mentioned(name or "") | ({address} if address else set())
    if not readable or contains_address(name) or not phrase.isascii():
        phrase = as_phrase(name)
    return Author(address, phrase, False, None, fine, frozenset(found))


def parsed_author(text):
    """Return the Author of a header that only the email package can take apart."""
    found, text = mentioned(text), in_unicode(text)
    try:
        header = email.policy.default.header_factory("From", " ".join(text.split()))
        pairs = [(address.display_name, address.addr_spec) for address in header.addresses]
        groups = [group for group in header.groups if group.display_name is not None]
    except PARSER_FAILS:
        return unreadable(found)
    found |= {canonical(address) for _name, address in pairs} - {None}
    if groups:
        return unreadable(found, "the header From names a group")
    if len(pairs) > 1:
        return unreadable(found, "the header From names more than one address")
    if len(found) > 1:    # whatever else is in there could be read as the author too
        return unreadable(found)
    name, address = pairs[0] if pairs else ("", "")
    comment = LAST_COMMENT.search(text)
    name = name or (comment[1] if comment else "") or (address if BARE_NAME.fullmatch(address) else "")
    return Author(canonical(address), as_phrase(name), False, None, False, found)


def mentioned(text):
    """Return every address (canonical) that stands in the text, also within its encoded words."""
    if "@" not in text and "=?" not in text and text.isascii():
        return frozenset()
    texts = {text, re.sub(r"\s*@\s*", "@", re.sub(r"\([^()]*\)", " ", text)), decoded(" ".join(text.split())) or ""}
    return frozenset({canonical(found) for each in texts for found in LOOKS_LIKE_ADDRESS.findall(unicodedata.normalize("NFKC", each))} - {None})


def decoded(phrase):
    """Return a phrase with its encoded words decoded, also within quotes, where some programs decode them; None when it cannot be."""
    phrase = in_unicode(phrase)
    if "=?" not in phrase:
        return phrase
    try:
        return str(email.header.make_header(email.header.decode_header(phrase)))
    except PARSER_FAILS:
        return None


def in_unicode(text):
    """Return text with the bytes that are no UTF-8 taken as Latin 1, which old devices write."""
    if text.isascii() or not re.search(r"[\ud800-\udfff]", text):
        return text
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def unquoted(name):
    """Return a display name without its quotes."""
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if QUOTED.fullmatch(name) else name


def contains_address(name):
    """Tell whether a reader could take (a part of) the name for a mail address."""
    return "@" in unicodedata.normalize("NFKC", name)


def clean(name):
    """Return a name on one line, without characters that nobody sees."""
    return " ".join("".join(" " if character in "\t\r\n" else character for character in name
                            if character in "\t\r\n" or unicodedata.category(character) not in UNSPEAKABLE).split())


def as_phrase(name):
    """Return a display name as a header carries it: as it is, in quotes, or as encoded words (folded when long).

    A name that holds an address is none: people would take that address for the sender.
    """
    name = clean(unquoted(name or ""))
    if contains_address(name):
        return ""
    if not name or (WORD.fullmatch(name) and "=?" not in name):
        return name
    if name.isascii() and "=?" not in name:
        return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
    return email.header.Header(name, "utf-8", maxlinelen=75, header_name="From").encode(linesep="\n")
