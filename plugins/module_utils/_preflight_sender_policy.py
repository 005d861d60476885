# SPDX-License-Identifier: GPL-3.0-or-later
"""The input checks of role sender_policy (private to the collection, used on the controller)."""

from __future__ import annotations

import ipaddress
from functools import partial

from ._preflight import CONTROL, Wrong, before, choice, collect, each, keys, list_of, mail_address, passes, plain, realm, shown, truth_value, whole_number
from ._preflight_sasldb import check_name
from ._sender_headers import canonical, contains_address, plain_domain
from ._sender_policy import AS_IS, AS_MAILBOX, REFUSE, compile_patterns, compile_rule, full_login, is_exclusive, matches, rules

MILTER = "unix:/run/m365-relay-policy/milter.sock"
SAYS = (
    "mailbox", "mode", "addresses", "otherwise", "exclusive", "fallback_from", "display_name", "reply_to", "recipients_per_day", "messages_per_hour",
)
EXAMPLES = {
    "logins": "[{logins: [scanner], addresses: [scanner@example.org]}]",
    "networks": "[{networks: [192.0.2.0/24], display_name: Hall 2}]",
}
REPLY_TO = ("original", "keep", "none")
PATTERN_REMEDY = "Write an address, *@example.org for a domain, *@*.example.org for the domains below it, or * for everybody."
LONGEST_NAME = 78


def problems(settings):
    """Return what is wrong with the variables of role sender_policy, as sentences; an empty list when nothing is.

    settings: the variables, and `mailboxes`: those of the identities, the default first.
    """
    settings = plain(settings)
    found = collect(CHECKS, {name: value for name, value in settings.items() if name != "mailboxes"})
    return found or contradictions(settings)


def check_rules(value, who):
    """A list of rules for logins or for networks."""
    list_of(value, "a list of rules", EXAMPLES[who])
    each(enumerate(value, start=1), lambda numbered: before(f"rule {numbered[0]}:", check_rule, numbered[1], who))


def check_rule(rule, who):
    """One rule: whom it is about, and what it says."""
    if not isinstance(rule, dict):
        raise Wrong(f"it is not a dictionary. Write for example {EXAMPLES[who]}.")
    before("it", keys, rule, (who,), SAYS)
    before(f"{who}", list_of, rule[who], f"a list of {who}", EXAMPLES[who])
    if not rule[who]:
        raise Wrong(f"{who} is empty, so the rule is about nobody. Write at least one, for example {EXAMPLES[who]}.")
    each(rule[who], lambda item: before(f"{who}:", check_login if who == "logins" else check_network, item))
    check_says(rule)


def check_default(value):
    """What holds for everybody without a rule."""
    if not isinstance(value, dict):
        raise Wrong(f"must be a dictionary and is {shown(value) if not isinstance(value, str) else 'text'}. Write {{mode: as_mailbox}}, or {{}} for the usual.")
    keys(value, (), SAYS)
    if is_exclusive(value):
        raise Wrong("exclusive makes no sense for everybody. Write it in a rule for logins or networks.")
    check_says(value)


def check_says(rule):
    """What a rule says; every part may be missing."""
    checks = {
        "mailbox": mail_address,
        "mode": partial(choice, choices=(AS_MAILBOX, AS_IS)),
        "otherwise": partial(choice, choices=(REFUSE, AS_MAILBOX)),
        "exclusive": truth_value,
        "addresses": check_addresses,
        "fallback_from": check_address,
        "display_name": check_display_name,
        "reply_to": check_reply_to,
        "recipients_per_day": partial(whole_number, low=1, high=1000000, meaning="how many recipients each of these clients may write to in 24 hours"),
        "messages_per_hour": partial(whole_number, low=1, high=1000000, meaning="how many messages each of these clients may hand in in an hour"),
    }
    each(checks.items(), lambda check: before(f"{check[0]}:", check[1], rule[check[0]]) if check[0] in rule else None)


def check_login(login):
    """The name of an account, perhaps with its realm."""
    check_name(login, None)


def check_network(network):
    """A network in CIDR notation, or one address."""
    remedy = "Write for example 192.0.2.0/24, 192.0.2.7 or 2001:db8::/32."
    if not isinstance(network, str):
        raise Wrong(f"{shown(network)} is not text. {remedy}")
    try:
        ipaddress.ip_network(network)
    except ValueError as error:
        raise Wrong(f"{shown(network)} is not a network ({error}). {remedy}") from None


def check_address(address):
    """One address, as mail headers have them."""
    remedy = "Write one address, for example scanner@example.org."
    if not isinstance(address, str) or CONTROL.search(address) or canonical(address) is None:
        raise Wrong(f"{shown(address)} is not a mail address. {remedy}")


def check_addresses(patterns):
    """Addresses and wildcards."""
    list_of(patterns, "a list of addresses and wildcards", "[scanner@example.org, '*@plant.example.org']")
    each(patterns, check_pattern)


def check_pattern(pattern):
    """An address or a wildcard."""
    if not isinstance(pattern, str) or CONTROL.search(pattern):
        raise Wrong(f"{shown(pattern)} is not text on one line. {PATTERN_REMEDY}")
    if pattern == "*":
        return
    local, _at, domain = pattern.rpartition("@")
    if "*" not in pattern:
        if canonical(pattern) is None:
            raise Wrong(f"{shown(pattern)} is not a mail address. {PATTERN_REMEDY}")
    elif local != "*" or "*" in domain.removeprefix("*.") or plain_domain(domain.removeprefix("*.")) is None:
        raise Wrong(f"{shown(pattern)} has its * in a place that means nothing. {PATTERN_REMEDY}")
    elif plain_domain(domain.removeprefix("*.")) != domain.removeprefix("*.").lower():
        known = f"{'*@*.' if domain.startswith('*.') else '*@'}{plain_domain(domain.removeprefix('*.'))}"
        raise Wrong(f"{shown(pattern)} is not the name that DNS has. Write {known}.")


def check_display_name(name):
    """The name in front of the address."""
    if not isinstance(name, str) or CONTROL.search(name) or len(name) > LONGEST_NAME:
        raise Wrong(f"{shown(name)} is not text on one line of at most {LONGEST_NAME} characters. Write for example Scanner, hall 2.")
    if contains_address(name):
        raise Wrong(f"{shown(name)} holds an @, and people would take it for the sender's address. Write a name, for example Scanner, hall 2.")


def check_reply_to(value):
    """Where replies go."""
    if value not in REPLY_TO and not passes(check_address, value):
        raise Wrong(f"{shown(value)} is not a choice. Write one of {', '.join(REPLY_TO)}, or an address, for example office@example.org.")


def check_milter(value):
    """Where Postfix asks."""
    if value not in (MILTER, ""):
        raise Wrong(f"{shown(value)} is not where the service listens. Write {MILTER}, or '' so that Postfix does not ask.")


def contradictions(settings):
    """Return what is wrong between rules that are each right."""
    entries = list(rules({"sender_policy_logins": [], "sender_policy_networks": [], **settings}))
    entries.append(("sender_policy_default", settings.get("sender_policy_default") or {}))
    mailboxes = [str(mailbox).lower() for mailbox in settings.get("mailboxes") or []]
    return [
        *twice(entries, settings.get("sender_policy_realm") or ""), *owned_twice(entries),
        *(sentence for place, entry in entries for sentence in within_one(place, entry, mailboxes)), *unchecked(settings, entries),
    ]


def twice(entries, default_realm):
    """Logins and networks that stand in two rules: the second would count, and nobody would know."""
    seen = {}
    for place, entry in entries:
        subjects = [full_login(login, default_realm) for login in entry.get("logins", [])]
        subjects += [str(ipaddress.ip_network(network)) for network in entry.get("networks", [])]
        for subject in subjects:
            if subject in seen:
                where = f"{seen[subject]} and in {place}" if seen[subject] != place else f"{place}, twice"
                yield f"{place.partition(',')[0]}: {subject} stands in {where}. Write it once."
            seen[subject] = place


def owned_twice(entries):
    """Addresses that one rule has alone, and another one lists too."""
    alone = {}
    for place, entry in entries:
        if is_exclusive(entry):
            if not entry.get("addresses"):
                yield f"{place.partition(',')[0]}: {place} is exclusive and lists no addresses. Write in addresses what nobody else may use."
            elif "*" in entry["addresses"]:
                yield f"{place.partition(',')[0]}: {place} is exclusive and lists *, so nobody else could send anything. Write the addresses that it owns."
            else:
                alone[place] = compile_patterns(entry["addresses"])
    for place, entry in entries:
        for owner, patterns in alone.items():
            if place == owner:
                continue
            taken = [pattern for pattern in entry.get("addresses") or [] if pattern != "*" and overlaps(patterns, pattern)]
            if taken:
                yield f"{place.partition(',')[0]}: {place} lists {taken[0]}, which {owner} owns alone. Write it in one of them, or leave out exclusive."


def overlaps(patterns, pattern):
    """Tell whether an address or wildcard means an address that the patterns mean too."""
    if "*" not in pattern:
        return matches(patterns, canonical(pattern))
    other = compile_patterns([pattern])
    return (
        any(matches(other, address) for address in patterns.addresses)
        or any(matches(other, f"x@{domain}") for domain in patterns.domains) or any(matches(patterns, f"x@{domain}") for domain in other.domains)
        or any(matches(other, f"x@x.{domain}") for domain in patterns.parents) or any(matches(patterns, f"x@x.{domain}") for domain in other.parents)
    )


def within_one(place, entry, mailboxes):
    """What is wrong within one rule."""
    variable = place.partition(",")[0]
    if mailboxes and (entry.get("mailbox") or mailboxes[0]).lower() not in mailboxes:
        yield f"{variable}: {place} sends through {shown(entry['mailbox'])}, which is no identity. Write one of {', '.join(mailboxes)}."
    if entry.get("mode") == AS_IS and "*" in (entry.get("addresses") or []):
        yield (
            f"{variable}: {place} lets everything leave as it is, and Microsoft blocks the mailbox for what it may not send as. "
            f"Write the addresses that it may, or mode: {AS_MAILBOX}."
        )
    if mailboxes and entry.get("fallback_from"):
        rule = compile_rule(place, entry, mailboxes[0])
        if not matches(rule.allowed, rule.fallback_from) and (rule.mode == AS_IS or rule.fallback_from != rule.mailbox):
            yield (
                f"{variable}: {place} has the fallback_from {entry['fallback_from']}, which its own addresses do not allow. "
                "Write one of its addresses, or add it to them."
            )
    if entry.get("otherwise") == AS_MAILBOX and entry.get("mode", AS_MAILBOX) == AS_MAILBOX and entry.get("addresses") is None:
        yield f"{variable}: {place} says otherwise, but allows every address, so there is no other one. Write addresses too, or leave out otherwise."


def unchecked(settings, entries):
    """What passes while the service is down must be right without it."""
    if settings.get("sender_policy_when_down") == "global_rewrite":
        as_is = [place for place, entry in entries if entry.get("mode") == AS_IS]
        if as_is:
            yield (
                f"sender_policy_when_down: global_rewrite makes the mailbox the sender of everything, and {as_is[0]} lets mail leave as it is. "
                f"Write defer, or mode: {AS_MAILBOX} in every rule."
            )


CHECKS = {
    "sender_policy_logins": partial(check_rules, who="logins"),
    "sender_policy_networks": partial(check_rules, who="networks"),
    "sender_policy_default": check_default,
    "sender_policy_realm": realm,
    "sender_policy_when_down": partial(choice, choices=("defer", "global_rewrite")),
    "sender_policy_milter": check_milter,
}
