# SPDX-License-Identifier: GPL-3.0-or-later
"""The input checks of role postfix (private to the collection, used on the controller)."""

from __future__ import annotations

import collections
import re
from functools import partial

from ._networks import check_networks
from ._preflight import (
    Wrong,
    absolute_path,
    before,
    choice,
    collect,
    each,
    host_name,
    keys,
    list_of,
    mail_address,
    passes,
    plain,
    realm,
    shown,
    smtp_port,
    text,
    whole_number,
)
from ._preflight_postfix_extra import check_extra_parameters, check_extra_services
from ._transports import lane

PORTS = (25, 587, 465)
LARGEST_MESSAGE = 157286400    # Microsoft's own limit, as its EHLO says
LONGEST_SERVICE = 90           # of the 107 characters of a socket's path
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
DEFAULT_KEY = "/etc/ssl/private/ssl-cert-snakeoil.key"
DEFAULT_CERTIFICATE = "/etc/ssl/certs/ssl-cert-snakeoil.pem"


def problems(settings):
    """Return what is wrong with the variables of role postfix, as sentences; an empty list when nothing is.

    settings: variable -> value. Of the role xoauth2, the host, the port and the mailbox should be among them: defaults are made from them.
    """
    settings = plain(settings)
    return collect(CHECKS, settings, REQUIRED, MADE_FROM) + contradictions(settings)


def contradictions(settings):
    """Return what is wrong between variables that are each right."""
    found = []
    certificate, key = settings.get("postfix_tls_certificate"), settings.get("postfix_tls_key")
    if certificate and key and (certificate == DEFAULT_CERTIFICATE) != (key == DEFAULT_KEY):
        other = "postfix_tls_key" if key == DEFAULT_KEY else "postfix_tls_certificate"
        found.append(
            f"{other}: still names Debian's own file {shown(settings[other])}, which does not belong to the other half. "
            "Write both postfix_tls_certificate and postfix_tls_key, for example /etc/ssl/certs/relay.pem and /etc/ssl/private/relay.key."
        )
    relayhost, host = settings.get("postfix_relayhost"), settings.get("xoauth2_smtp_host")
    expected = f"[{host}]:{settings.get('xoauth2_smtp_port', 587)}"
    if host and isinstance(relayhost, str) and relayhost.lower() != expected.lower():
        found.append(
            f"postfix_relayhost: {shown(relayhost)} is not the host that the relay signs in to ({expected}), so every message would go out without a token. "
            "Write the host in xoauth2_smtp_host and the port in xoauth2_smtp_port, and leave postfix_relayhost out."
        )
    return found + list(lane_contradictions(settings))


def check_ports(value):
    """The ports on which mail is taken."""
    list_of(value, "a list of ports", "[25, 587, 465]")
    if not value:
        raise Wrong("is an empty list, so nobody could hand in mail. Write at least one of 25, 587, 465, for example [587].")
    each(value, check_port)
    twice = sorted({port for port in value if value.count(port) > 1})
    if twice:
        raise Wrong(f"names {', '.join(map(str, twice))} twice. Write every port once, for example [25, 587, 465].")


def check_port(port):
    """One of the ports that the role knows, as a number."""
    if isinstance(port, str) and port.strip().isdigit():
        raise Wrong(f"{shown(port)} is text. Write the number without quotes, for example 587.")
    if isinstance(port, bool) or not isinstance(port, int):
        raise Wrong(f"{shown(port)} is not a port. Write numbers, for example [25, 587, 465].")
    if port not in PORTS:
        raise Wrong(f"{port} is not a port of this role. Write some of 25, 587, 465; any other port is a service of its own in postfix_extra_services.")


def check_relayhost(value):
    """[name]:port: without brackets Postfix would look for MX records and hand the token to whom they name."""
    example = "[smtp.office365.com]:587"
    text(value, "the host that takes the mail", example)
    remedy = f"Write [name]:port, for example {example}."
    if re.search(r"[\s,]", value):
        raise Wrong(f"{shown(value)} holds a blank or a comma; exactly one host is wanted. {remedy}")
    if "://" in value or re.match(r"(smtp|lmtp|relay|inet):", value):
        raise Wrong(f"{shown(value)} has a protocol in front. {remedy}")
    if not value.startswith("["):
        raise Wrong(f"{shown(value)} has no brackets, so Postfix would ask DNS for MX records and send the token to the hosts that they name. {remedy}")
    parts = re.fullmatch(r"\[([^\[\]]*)\](?::(.*))?", value)
    if not parts:
        raise Wrong(f"{shown(value)} is not a host in brackets. {remedy}")
    name, port = parts.groups()
    try:
        host_name(name)
    except Wrong:
        raise Wrong(f"{shown(value)}: {shown(name)} is not a full host name; the certificate is checked against the name. {remedy}") from None
    if port is None:
        raise Wrong(f"{shown(value)} has no port, and Microsoft takes this mail on 587 only. {remedy}")
    smtp_port(port)


def check_pem(value, what, example):
    """The path of a PEM file."""
    absolute_path(value, f"the path of {what} on the relay", example)
    if re.search(r"\.(p12|pfx|jks|der)$", value, re.IGNORECASE):
        raise Wrong(f"{shown(value)} is not a PEM file. Write the path of one ('openssl pkcs12 -in FILE -nodes' makes it), for example {example}.")


def check_sender_address(value):
    """The address as which everything leaves; empty: senders stay as they are."""
    if value != "":
        mail_address(value, "the mailbox, or '' to leave all senders as they are")


def check_postmaster(value):
    """Who reads the relay's own mail; empty: nobody here."""
    if value != "":
        mail_address(value, "the address of somebody who reads the relay's own mail")


def check_milters(value):
    """Services that Postfix asks about every message."""
    list_of(value, "a list of sockets", "['unix:/run/m365-relay-policy/milter.sock'], or [] for none")
    each(value, check_milter)


def check_milter(milter):
    """One socket of a milter, which is one word of main.cf."""
    if not isinstance(milter, str) or not re.fullmatch(r"unix:/[A-Za-z0-9/._+-]+|inet:[A-Za-z0-9.:\[\]-]+:[0-9]{1,5}", milter):
        raise Wrong(f"{shown(milter)} is not the socket of a milter. Write unix:/PATH or inet:HOST:PORT, for example unix:/run/m365-relay-policy/milter.sock.")


def check_size(value):
    """The largest message, in bytes."""
    unit = re.fullmatch(r"([0-9]{1,6}) ?(k|m|g)i?b?", value, re.IGNORECASE) if isinstance(value, str) else None
    if unit:
        size = int(unit[1]) * 1024 ** ("kmg".index(unit[2].lower()) + 1)
        raise Wrong(f"{shown(value)} has a unit. Write bytes, for example {min(size, LARGEST_MESSAGE)}.")
    whole_number(value, 102400, LARGEST_MESSAGE, "bytes (36700160 are 35 MiB, Microsoft's usual limit; 157286400 is its largest)")


def check_time(value, shortest, longest, example):
    """A time as Postfix writes it; with its unit, because Postfix's default unit is not the same everywhere."""
    remedy = f"Write a number with s, m, h, d or w behind it, from {shortest} to {longest}, for example {example}."
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,9}[smhdw]", value):
        raise Wrong(f"{shown(value)} is not a time with its unit. {remedy}")
    if not seconds(shortest) <= seconds(value) <= seconds(longest):
        raise Wrong(f"{shown(value)} is out of range. {remedy}")


def check_mailbox_limits(value):
    """Limits of their own for some mailboxes."""
    example = "{scans@example.org: {messages_per_minute: 60}}"
    if not isinstance(value, dict):
        raise Wrong(f"must be a dictionary and is {'text' if isinstance(value, str) else shown(value)}. Write limits by mailbox, for example {example}.")
    each(value.items(), lambda pair: check_limits_of(*pair))
    twice = repeated(mailbox.lower() for mailbox in value)
    if twice:
        raise Wrong(f"names {', '.join(twice)} twice. Write every mailbox once, for example {example}.")


def check_limits_of(mailbox, limits):
    """The limits of one mailbox."""
    mail_address(mailbox, "limits by mailbox")
    if not isinstance(limits, dict) or not limits:
        raise Wrong(f"{mailbox}: has no limits. Write one of {', '.join(OF_A_MAILBOX)}, or both, for example {mailbox}: {{messages_per_minute: 60}}.")
    before(f"{mailbox}:", keys, limits, (), tuple(OF_A_MAILBOX))
    each(limits.items(), lambda pair: before(f"{mailbox}: {pair[0]}", OF_A_MAILBOX[pair[0]], pair[1]))


def repeated(names):
    """Return the names that are there more than once."""
    return sorted(name for name, count in collections.Counter(names).items() if count > 1)


def mailboxes(settings):
    """Return the mailboxes of the identities, as far as they can be read."""
    identities = settings.get("xoauth2_identities", [{"mailbox": settings.get("xoauth2_mailbox")}])
    found = [identity.get("mailbox") for identity in identities if isinstance(identity, dict)] if isinstance(identities, list) else []
    return [mailbox for mailbox in found if isinstance(mailbox, str) and passes(mail_address, mailbox)]


def lane_contradictions(settings):
    """Limits for mailboxes that the relay does not have, and mailboxes whose lanes could not be told apart."""
    own = mailboxes(settings)
    limits = settings.get("postfix_mailbox_limits")
    for mailbox in limits if own and limits and passes(check_mailbox_limits, limits) else ():
        if str(mailbox).lower() in map(str.lower, own):
            continue
        yield f"postfix_mailbox_limits: {shown(mailbox)} is no mailbox of this relay. Write one of {', '.join(own)}, or leave it out."
    for name in repeated(lane(mailbox) for mailbox in {mailbox.lower(): mailbox for mailbox in own}.values()):
        same = " and ".join(mailbox for mailbox in own if lane(mailbox) == name)
        yield f"xoauth2_identities: {same} differ in punctuation only, and Postfix's services could not be told apart. Rename one of the mailboxes."
    for mailbox in own:
        if len(lane(mailbox, bulk=True)) > LONGEST_SERVICE:
            yield f"xoauth2_identities: {shown(mailbox)} is too long for the name of a service of Postfix. Give it an address of at most 80 characters."


def seconds(time):
    """Return the seconds of a time such as 5d."""
    return int(time[:-1]) * SECONDS[time[-1]]


per_minute = partial(whole_number, low=0, high=1_000_000, meaning="how many one client address may have (0 switches the limit off)")

per_minute_and_mailbox = partial(whole_number, low=0, high=100_000, meaning="how many messages a mailbox may send in a minute (0 switches the limit off)")
per_day_and_mailbox = partial(whole_number, low=0, high=10_000_000, meaning="how many recipients a mailbox may have in a day (0 switches the limit off)")
OF_A_MAILBOX = {"messages_per_minute": per_minute_and_mailbox, "recipients_per_day": per_day_and_mailbox}

MADE_FROM = {
    "postfix_sasl_realm": ("postfix_domain", "sasldb_realm"), "postfix_sender_address": ("xoauth2_mailbox",), "postfix_postmaster": ("xoauth2_mailbox",),
}
REQUIRED = ("postfix_hostname", "postfix_domain")
CHECKS = {
    "postfix_hostname": partial(host_name, what="the full name of the relay", example="relay.example.org"),
    "postfix_domain": partial(host_name, what="the mail domain", example="example.org"),
    "postfix_trusted_networks": check_networks,
    "postfix_ports": check_ports,
    "postfix_inet_protocols": partial(choice, choices=("all", "ipv4", "ipv6")),
    "postfix_relayhost": check_relayhost,
    "postfix_tls_certificate": partial(check_pem, what="the certificate", example="/etc/ssl/certs/relay.pem"),
    "postfix_tls_key": partial(check_pem, what="the key", example="/etc/ssl/private/relay.key"),
    "postfix_sasl_realm": realm,
    "postfix_milters": check_milters,
    "postfix_milter_default_action": partial(choice, choices=("tempfail", "accept")),
    "postfix_sender_address": check_sender_address,
    "postfix_message_size_limit": check_size,
    "postfix_client_connection_count_limit": per_minute,
    "postfix_client_connection_rate_limit": per_minute,
    "postfix_client_message_rate_limit": per_minute,
    "postfix_client_auth_rate_limit": per_minute,
    "postfix_connections": partial(
        whole_number, low=1, high=20, meaning="how many connections each lane of a mailbox may have (Microsoft refuses more than 3 per mailbox)"
    ),
    "postfix_messages_per_minute": per_minute_and_mailbox,
    "postfix_recipients_per_day": per_day_and_mailbox,
    "postfix_mailbox_limits": check_mailbox_limits,
    "postfix_queue_lifetime": partial(check_time, shortest="1h", longest="100d", example="5d"),
    "postfix_delay_warning": partial(check_time, shortest="0s", longest="100d", example="4h"),
    "postfix_postmaster": check_postmaster,
    "postfix_extra_parameters": check_extra_parameters,
    "postfix_extra_services": check_extra_services,
}
