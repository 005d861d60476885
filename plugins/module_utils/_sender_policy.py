# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may send as whom, and as whom it leaves: one decision function, without any I/O (private to the collection).

The variables of the inventory are compiled once into a Policy; after that a decision costs a few look-ups, however many
logins and networks there are.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from ._sender_headers import NOBODY, as_phrase, can_be_answered, canonical, read_from

AS_MAILBOX, AS_IS = "as_mailbox", "as_is"
REFUSE = "refuse"
# The sender of Postfix's own notices. Postfix drops such a notice when it cannot be delivered, so it has to stay what it is.
DOUBLE_BOUNCE = "double-bounce"


class Patterns(NamedTuple):
    """Addresses and wildcards, ready for look-ups."""

    everything: bool = False                 # *
    addresses: frozenset = frozenset()       # user@example.org
    domains: frozenset = frozenset()         # *@example.org
    parents: frozenset = frozenset()         # *@*.example.org: the domains below


class Rule(NamedTuple):
    """What one rule of the inventory says."""

    place: str              # where it stands, for people
    mailbox: str            # the identity that sends
    mode: str
    allowed: Patterns
    otherwise: str          # refuse, or as_mailbox: what happens to other senders
    fallback_from: str      # the author of a message that names none; "" for none
    display_name: str       # "" = the sender's own
    reply_to: str           # original, keep, none or an address
    recipients_per_day: int    # of each login or client address; 0: as many as it likes
    messages_per_hour: int


class Policy(NamedTuple):
    """Everything a decision needs."""

    logins: dict            # login with realm -> Rule
    networks: dict          # IP version -> [(bits that are no network, {network: Rule})], the longest prefix first
    default: Rule
    exclusive: dict         # address, "*@domain" or "*@*.domain" -> the Rule that alone may use it
    own: Rule               # the relay's own mail
    realm: str
    hostname: str
    counts_recipients: bool     # a rule limits them
    routes: dict                # mailbox -> {"prompt": where Postfix delivers, "bulk": where to}
    messages_per_minute: dict   # mailbox -> how many it may send


class Decision(NamedTuple):
    """What happens to a message."""

    verdict: str                    # as_is, as or refuse
    rule: Rule                      # which rule says so
    because: str                    # one sentence
    envelope_sender: str | None     # the new one; None: it stays
    header_from: str | None         # the new one; None: it stays
    reply_to: str | None            # the address to answer to; None: it stays as it is
    reply_to_replaces: bool         # it takes the place of a Reply-To that is there


def compile_policy(settings):
    """Return the Policy of the inventory variables (checked before: see _preflight_sender_policy).

    settings: sender_policy_logins, _networks, _default and _realm, with `mailboxes` (the identities', the default first) and
    `hostname` (the relay's own); perhaps `routes` and `messages_per_minute`, for each mailbox.
    """
    mailboxes, realm = settings["mailboxes"], settings["sender_policy_realm"].lower()
    logins, networks, exclusive = {}, {4: {}, 6: {}}, {}
    for place, entry in rules(settings):
        rule = compile_rule(place, entry, mailboxes[0])
        if is_exclusive(entry):
            exclusive.update(dict.fromkeys((pattern.lower() if "*" in pattern else canonical(pattern) for pattern in entry["addresses"]), rule))
        for login in entry.get("logins", []):
            logins[full_login(login, realm)] = rule
        for network in map(ipaddress.ip_network, entry.get("networks", [])):
            bits = network.max_prefixlen - network.prefixlen
            networks[network.version].setdefault(bits, {})[int(network.network_address) >> bits] = rule
    default = compile_rule("sender_policy_default", settings["sender_policy_default"], mailboxes[0])
    by_network = (rule for tables in networks.values() for table in tables.values() for rule in table.values())
    return Policy(
        logins, {version: sorted(tables.items()) for version, tables in networks.items()},
        default, exclusive, compile_rule("the relay's own mail", {"reply_to": "keep"}, mailboxes[0]), realm, settings["hostname"].lower(),
        any(rule.recipients_per_day for rule in (default, *logins.values(), *by_network)),
        {canonical(mailbox): routes for mailbox, routes in (settings.get("routes") or {}).items()},
        {canonical(mailbox): number for mailbox, number in (settings.get("messages_per_minute") or {}).items()},
    )


def rules(settings):
    """Yield (place, entry) of all rules for logins and networks."""
    for variable in ("sender_policy_logins", "sender_policy_networks"):
        for number, entry in enumerate(settings[variable], start=1):
            yield f"{variable}, rule {number}", entry


def is_exclusive(entry):
    """Tell whether an entry keeps its addresses to itself; surveys and templates write truth values as text."""
    return str(entry.get("exclusive")).lower() in ("true", "yes")


def compile_rule(place, entry, default_mailbox):
    """Return the Rule of one entry; what it does not say has the default that keeps mail flowing and senders honest."""
    mailbox = canonical(entry.get("mailbox") or default_mailbox)
    mode = entry.get("mode", AS_MAILBOX)
    patterns = entry.get("addresses")
    if patterns is None:
        patterns = ["*"] if mode == AS_MAILBOX else [mailbox]
    reply_to = entry.get("reply_to", "original")
    return Rule(
        place, mailbox, mode, compile_patterns(patterns), entry.get("otherwise", REFUSE), canonical(entry.get("fallback_from") or "") or "",
        as_phrase(entry.get("display_name") or ""), reply_to if "@" not in reply_to else canonical(reply_to),
        int(entry.get("recipients_per_day") or 0), int(entry.get("messages_per_hour") or 0),
    )


def compile_patterns(patterns):
    """Return Patterns of a list of addresses and wildcards."""
    plain = [pattern.lower() for pattern in patterns]
    return Patterns(
        "*" in plain,
        frozenset(canonical(pattern) for pattern in patterns if "*" not in pattern),
        frozenset(pattern[2:] for pattern in plain if pattern.startswith("*@") and not pattern.startswith("*@*.")),
        frozenset(pattern[4:] for pattern in plain if pattern.startswith("*@*.")),
    )


def matches(patterns, address):
    """Tell whether one of the patterns means the (canonical) address; None stands for what is no address."""
    if patterns.everything or address is None:
        return patterns.everything
    domain = address.rpartition("@")[2]
    return address in patterns.addresses or domain in patterns.domains or bool(patterns.parents and not patterns.parents.isdisjoint(above(domain)))


def above(domain):
    """Yield the domains above a domain."""
    while domain := domain.partition(".")[2]:
        yield domain


def full_login(login, realm):
    """Return a login with its realm, in small letters."""
    return (login if "@" in login else f"{login}@{realm}").lower()


def rule_for(policy, login, client_address):
    """Return the rule for a client: that of its login, if it has signed in; else that of the smallest network it is in; else the default."""
    if login:
        return policy.logins.get(full_login(login, policy.realm), policy.default)
    address = address_of(client_address)
    if address is not None:
        number = int(address)
        for bits, table in policy.networks[address.version]:
            rule = table.get(number >> bits)
            if rule is not None:
                return rule
    return policy.default


def address_of(client_address):
    """Return an IP address, with IPv4 in IPv6 as IPv4; None for what is none."""
    try:
        address = ipaddress.ip_address(client_address.partition("%")[0])
    except (ValueError, AttributeError):
        return None
    return getattr(address, "ipv4_mapped", None) or address


def owner(policy, address):
    """Return the rule that alone may use the (canonical) address, or None."""
    if not policy.exclusive or address is None:
        return None
    domain = address.rpartition("@")[2]
    for pattern in (address, f"*@{domain}", *(f"*@*.{parent}" for parent in above(domain))):
        if pattern in policy.exclusive:
            return policy.exclusive[pattern]
    return None


def is_own_mail(login, client_address, envelope):
    """Tell whether a message is a bounce or notice of the relay itself: handed over on the host, by nobody, to be answered by nobody."""
    address = address_of(client_address)
    return not login and address is not None and address.is_loopback and envelope.partition("@")[0] in ("", DOUBLE_BOUNCE)


def decide(policy, login, client_address, envelope_sender, header_from):
    """Return the Decision about one message.

    login:           who signed in, "" for nobody
    client_address:  IP address of the client; mail of the host itself comes from 127.0.0.1
    envelope_sender: as MAIL FROM has it, with or without <>; "" is the null sender
    header_from:     the values of all From headers, as they stand
    """
    author, envelope = read_from(header_from), bare(envelope_sender)
    if is_own_mail(login, client_address, envelope):
        return leave_as_mailbox(policy, policy.own, author, envelope="", claim=author.address, because="bounces and notices of the relay always do")
    rule = rule_for(policy, login, client_address)
    claim = claimed(rule, author, envelope)
    against = objection(policy, rule, author, envelope=envelope, claim=claim)
    if against:
        return Decision(REFUSE, rule, f"{login or client_address or 'an unknown client'} may not send this: {against}.", None, None, None, False)
    fine = not author.problem and is_allowed(rule, claim)
    if rule.mode == AS_MAILBOX and fine:
        return leave_as_mailbox(policy, rule, author, envelope=envelope, claim=claim, because=f"{rule.place} says {AS_MAILBOX}")
    if rule.mode == AS_IS and fine:
        return leave_as_written(rule, author, envelope=envelope, claim=claim)
    because = f"{rule.place} does not allow the author, and says otherwise: {AS_MAILBOX}"
    return leave_as_mailbox(policy, rule, NOBODY, envelope=envelope, claim=rule.fallback_from or None, because=because)


def claimed(rule, author, envelope):
    """Return the (canonical) address that a message claims to be from; None when it can be no address."""
    if not author.missing:
        return author.address
    return rule.fallback_from or (canonical(envelope) if envelope else rule.mailbox)


def objection(policy, rule, author, *, envelope, claim):
    """Return why a message is refused, as the end of a sentence; None when it is not."""
    sender = canonical(envelope)
    for address in sorted(author.mentioned | ({sender} if sender else set())):
        alone = owner(policy, address)
        if alone not in (None, rule):
            return f"{address} belongs to {alone.place} alone"
    if rule.otherwise == AS_MAILBOX:
        return None
    if author.problem:
        return author.problem
    if not is_allowed(rule, claim):
        return f"{rule.place} does not allow {claim or 'what the header From says'} as author"
    if envelope and not is_allowed(rule, sender):
        return f"{rule.place} does not allow {envelope} as envelope sender"
    return None


def bare(envelope_sender):
    """Return an envelope sender without <>."""
    envelope = envelope_sender.strip()
    return envelope[1:-1].strip() if envelope.startswith("<") and envelope.endswith(">") else envelope


def is_allowed(rule, address):
    """Tell whether a rule lets its clients write the (canonical) address; what leaves as the mailbox may say so."""
    return matches(rule.allowed, address) or (rule.mode == AS_MAILBOX and address == rule.mailbox)


def leave_as_mailbox(policy, rule, author, *, envelope, claim, because):
    """Return a Decision that makes the mailbox the sender, with the author's display name; replies go to whom the author claims to be."""
    stays = author.plain and author.address == rule.mailbox and rule.display_name in ("", author.phrase)
    answer_to, replaces = reply_to(rule, claim, policy.hostname)
    return accepted(
        rule, f"it leaves as {rule.mailbox}: {because}", envelope_sender=None if envelope.lower() in ("", rule.mailbox) else rule.mailbox,
        header_from=None if stays else header_value(rule.display_name or author.phrase, rule.mailbox), reply_to=answer_to, reply_to_replaces=replaces,
    )


def leave_as_written(rule, author, *, envelope, claim):
    """Return a Decision that leaves author and envelope sender what they are, but in the spelling that Microsoft compares.

    An envelope sender that the rule does not allow gives way to the author, who then gets the bounces.
    """
    sender = canonical(envelope) if is_allowed(rule, canonical(envelope)) else claim
    stays = author.plain and rule.display_name in ("", author.phrase)
    answer_to, replaces = reply_to(rule, None, "")
    return accepted(
        rule, f"it leaves as {claim}: {rule.place} allows that", envelope_sender=sender if envelope and envelope.lower() != sender else None,
        header_from=None if stays else header_value(rule.display_name or author.phrase, claim), reply_to=answer_to, reply_to_replaces=replaces,
    )


def accepted(rule, because, **changes):
    """Return a Decision to accept; with nothing to change it is to accept as it is."""
    verdict = AS_IS if all(changes[name] is None for name in ("envelope_sender", "header_from", "reply_to")) else "as"
    return Decision(verdict, rule, f"{because}.", **changes)


def reply_to(rule, original, own_host):
    """Return where replies go (None: nothing is changed), and whether that takes the place of a Reply-To that is there."""
    if rule.reply_to == "keep":
        return None, False
    if rule.reply_to == "original":
        return (original if original and original != rule.mailbox and can_be_answered(original, own_host) else None), False
    return ("" if rule.reply_to == "none" else rule.reply_to), True


def header_value(phrase, address):
    """Return the value of a header From."""
    return f"{phrase} <{address}>" if phrase else address


def keeps(decision, value):
    """Tell whether another header that names a sender (Sender, Resent-From ...) may stay beside this decision."""
    author = read_from([value])
    return decision.rule.mode == AS_IS and author.plain and matches(decision.rule.allowed, author.address)
