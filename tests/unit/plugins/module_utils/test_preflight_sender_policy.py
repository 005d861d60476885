# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the sender policy are checked when the inventory is read: one sentence for each mistake and each contradiction."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.simple_m365.relay.plugins.module_utils import _preflight_sender_policy as preflight
from ansible_collections.simple_m365.relay.plugins.module_utils import _sender_policy

ROLE = Path(__file__).parents[4] / "roles" / "sender_policy"
GOOD = {
    "sender_policy_logins": [], "sender_policy_networks": [], "sender_policy_default": {}, "sender_policy_realm": "corp.test",
    "sender_policy_when_down": "defer", "sender_policy_milter": "unix:/run/m365-relay-policy/milter.sock", "mailboxes": ["scans@corp.test", "orders@corp.test"],
}


def logins(*rules):
    """Rules for logins; each has a login of its own unless it names one."""
    return {"sender_policy_logins": [{"logins": [f"login{number}"], **rule} for number, rule in enumerate(rules)]}


def networks(*rules):
    """Rules for networks."""
    return {"sender_policy_networks": list(rules)}


BAD = {
    "rules that are no list": ({"sender_policy_logins": {"logins": ["a"]}}, "must be a list"),
    "a rule that is text": ({"sender_policy_logins": ["scanner"]}, "rule 1: it is not a dictionary"),
    "a rule about nobody": (logins({"logins": []}), "is about nobody"),
    "a rule without logins": ({"sender_policy_logins": [{"mode": "as_is"}]}, "has no logins"),
    "logins that are text": (logins({"logins": "scanner"}), "must be a list"),
    "a login with a blank": (logins({"logins": ["a b"]}), "holds a blank"),
    "a login that is a number": (logins({"logins": [7]}), "is not text"),
    "a key that nothing reads": (logins({"adresses": ["a@b.test"]}), "Write addresses"),
    "a mode that is none": (logins({"mode": "as_user"}), "Write one of as_mailbox, as_is"),
    "an end that is none": (logins({"otherwise": "drop"}), "Write one of refuse, as_mailbox"),
    "addresses that are text": (logins({"addresses": "a@b.test"}), "must be a list"),
    "an address without @": (logins({"addresses": ["scanner"]}), "'scanner' is not a mail address"),
    "an address with a name": (logins({"addresses": ["A <a@b.test>"]}), "is not a mail address"),
    "an address with a line break": (logins({"addresses": ["a@b.test\n"]}), "is not text on one line"),
    "an address in a domain that two standards read differently": (logins({"addresses": ["a@straße.test"]}), "is not a mail address"),
    "a wildcard in the middle of a name": (logins({"addresses": ["a*@b.test"]}), "means nothing"),
    "a wildcard in the middle of a domain": (logins({"addresses": ["*@a.*.test"]}), "means nothing"),
    "a wildcard without a domain": (logins({"addresses": ["*@"]}), "means nothing"),
    "a wildcard in another script": (logins({"addresses": ["*@bücher.test"]}), "Write *@xn--bcher-kva.test"),
    "a mailbox without @": (logins({"mailbox": "scans"}), "has no @"),
    "a name with a line break": (logins({"display_name": "a\nBcc: x@y.test"}), "is not text on one line"),
    "a name with an address": (logins({"display_name": "ceo@corp.test"}), "holds an @"),
    "a Reply-To that is none": (logins({"reply_to": "yes"}), "Write one of original, keep, none"),
    "a fallback that is none": (logins({"fallback_from": "scanner"}), "is not a mail address"),
    "exclusive that is neither true nor false": (logins({"exclusive": "perhaps"}), "neither true nor false"),
    "a network that is none": (networks({"networks": ["10.0.0.0/33"]}), "is not a network"),
    "a network with bits behind its length": (networks({"networks": ["10.0.0.1/8"]}), "is not a network"),
    "a network that is a number": (networks({"networks": [10]}), "is not text"),
    "a default that is a list": ({"sender_policy_default": []}, "must be a dictionary"),
    "a default that is exclusive": ({"sender_policy_default": {"exclusive": True, "addresses": ["a@b.test"]}}, "makes no sense for everybody"),
    "a realm with a blank": ({"sender_policy_realm": "a b"}, "is not a realm"),
    "a way out that is none": ({"sender_policy_when_down": "accept"}, "Write one of defer, global_rewrite"),
    "a socket elsewhere": ({"sender_policy_milter": "inet:127.0.0.1:1"}, "is not where the service listens"),
    "no recipients at all": (logins({"recipients_per_day": 0}), "recipients_per_day: 0 is out of range"),
    "recipients as text": (networks({"networks": ["10.0.0.0/8"], "recipients_per_day": "many"}), "recipients_per_day: 'many' is not a whole number"),
    "half a message": ({"sender_policy_default": {"messages_per_hour": 0.5}}, "messages_per_hour: the number 0.5"),
    # Between rules that are each right
    "a login in two rules": (logins({"logins": ["a"]}, {"logins": ["a"]}),
                             "a@corp.test stands in sender_policy_logins, rule 1 and in sender_policy_logins, rule 2"),
    "a login in two rules, once with its realm and in capitals": (logins({"logins": ["a"]}, {"logins": ["A@corp.test"]}), "a@corp.test stands in"),
    "a login twice in one rule": (logins({"logins": ["a", "a"]}), "rule 1, twice"),
    "a network in two rules": (networks({"networks": ["10.0.0.0/8"]}, {"networks": ["10.0.0.0/8"], "mode": "as_is"}), "10.0.0.0/8 stands in"),
    "an address owned alone by two": (logins(*[{"addresses": ["a@b.test"], "exclusive": True}] * 2), "owns alone"),
    "an address owned alone and listed by another": (logins({"addresses": ["a@b.test"], "exclusive": True}, {"addresses": ["A@B.test"]}),
                                                     "lists A@B.test, which"),
    "an address within a domain owned alone": (logins({"addresses": ["*@b.test"], "exclusive": True}, {"addresses": ["a@b.test"]}), "lists a@b.test, which"),
    "a domain around an address owned alone": (logins({"addresses": ["a@b.test"], "exclusive": True}, {"addresses": ["*@b.test"]}), "lists *@b.test, which"),
    "a domain below domains owned alone": (logins({"addresses": ["*@*.b.test"], "exclusive": True}, {"addresses": ["*@x.b.test"]}), "lists *@x.b.test, which"),
    "the fallback in another rule's own domain": (networks({"networks": ["10.0.0.0/8"], "addresses": ["*@*.b.test"], "exclusive": True},
                                                           {"networks": ["10.1.0.0/16"], "addresses": ["*@*.c.b.test"]}), "owns alone"),
    "exclusive without addresses": (logins({"exclusive": True}), "is exclusive and lists no addresses"),
    "exclusive for everybody": (logins({"exclusive": True, "addresses": ["*"]}), "nobody else could send"),
    "a mailbox that is no identity": (logins({"mailbox": "x@corp.test"}), "which is no identity. Write one of scans@corp.test, orders@corp.test"),
    "everything as it is": (logins({"mode": "as_is", "addresses": ["*"]}), "Microsoft blocks the mailbox"),
    "a fallback outside the identity": (logins({"mode": "as_is", "fallback_from": "a@b.test"}), "which its own addresses do not allow"),
    "a fallback outside the addresses": (logins({"addresses": ["a@b.test"], "fallback_from": "c@b.test"}), "which its own addresses do not allow"),
    "otherwise without an other": (logins({"otherwise": "as_mailbox"}), "there is no other one"),
    "as it is, with a rewrite of everything": (dict(logins({"mode": "as_is"}), sender_policy_when_down="global_rewrite"), "lets mail leave as it is"),
}

FINE = {
    "nothing": {},
    "two owners of one address": logins({"addresses": ["a@b.test"]}, {"addresses": ["a@b.test"]}),
    "two owners of one address, as it is": logins(*[{"mode": "as_is", "addresses": ["a@b.test"]}] * 2),
    "two logins that own it alone together": logins({"logins": ["a", "b"], "addresses": ["a@b.test"], "exclusive": True}),
    "exclusive as text": logins({"addresses": ["a@b.test"], "exclusive": "false"}, {"addresses": ["a@b.test"], "exclusive": "no"}),
    "a network within a network": networks({"networks": ["10.0.0.0/8"]}, {"networks": ["10.1.0.0/16", "2001:db8::/32", "192.0.2.1"]}),
    "the mailbox as fallback": logins({"addresses": ["a@b.test"], "fallback_from": "scans@corp.test"}),
    "a second identity": logins({"mailbox": "Orders@corp.test", "mode": "as_is"}),
    "an empty list": logins({"addresses": []}),
    "a name in another script": logins({"display_name": "Büro, 2. Stock"}),
    "an address in another script": logins({"addresses": ["x@bücher.test", "*@xn--bcher-kva.test"]}),
    "domains beside each other": logins({"addresses": ["*@b.test"], "exclusive": True}, {"addresses": ["*@*.b.test", "*@ab.test"]}),
    "no milter": {"sender_policy_milter": ""},
    "one address through two mailboxes": logins({"mode": "as_is", "addresses": ["a@b.test"]},
                                                {"mode": "as_is", "addresses": ["a@b.test"], "mailbox": "orders@corp.test"}),
    "limits": {**logins({"recipients_per_day": 100, "messages_per_hour": 10}), "sender_policy_default": {"recipients_per_day": 1}},
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_named_once(name):
    settings, words = BAD[name]
    found = preflight.problems({**GOOD, **settings})
    assert len([sentence for sentence in found if words in sentence]) >= 1, found
    assert all(sentence.startswith("sender_policy_") and sentence.endswith(".") and "Write " in sentence for sentence in found), found
    assert all(sentence.isprintable() for sentence in found)
    assert len(found) <= (2 if "two" in name else 1), found


@pytest.mark.parametrize("name", FINE)
def test_what_is_right_is_accepted_and_can_be_compiled(name):
    settings = {**GOOD, **FINE[name]}
    assert preflight.problems(settings) == []
    assert _sender_policy.compile_policy({**settings, "hostname": "relay.corp.test"})


def test_every_variable_of_the_role_is_checked():
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
    assert set(specs) == set(defaults) == set(preflight.CHECKS)
    assert set(specs["sender_policy_logins"]["options"]) == {"logins", *preflight.SAYS}
    assert set(specs["sender_policy_networks"]["options"]) == {"networks", *preflight.SAYS}
    assert set(specs["sender_policy_default"]["options"]) == {*preflight.SAYS} - {"exclusive"}
