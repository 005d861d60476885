# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may send as whom: the truth table. Every row reads as a sentence; `decide` has to agree with each."""

from __future__ import annotations

import email.policy

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _sender_policy as policy

SETTINGS = {
    "mailboxes": ["scans@corp.test", "orders@corp.test"],
    "hostname": "relay.corp.test",
    "sender_policy_realm": "corp.test",
    "sender_policy_default": {},
    "sender_policy_logins": [
        {"logins": ["scanner", "printer"], "addresses": ["scanner@corp.test", "*@plant.test"]},
        {"logins": ["app", "app2"], "mode": "as_is",
         "addresses": ["billing@corp.test", "invoices@corp.test", "*@shop.test", "*@*.shop.test", "x@bücher.test"]},
        {"logins": ["cron"], "mode": "as_is", "addresses": ["billing@corp.test"], "otherwise": "as_mailbox", "fallback_from": "billing@corp.test"},
        {"logins": ["chief"], "mode": "as_is", "addresses": ["ceo@corp.test", "*@board.test", "*@*.board.test"], "exclusive": True},
        {"logins": ["fax"], "display_name": "Fax, 2nd floor", "reply_to": "office@corp.test", "fallback_from": "fax@corp.test"},
        {"logins": ["quiet"], "reply_to": "none"},
        {"logins": ["plain"], "reply_to": "keep"},
        {"logins": ["stopped"], "addresses": []},
        {"logins": ["shop", "guest@other.test"], "mailbox": "orders@corp.test"},
        {"logins": ["simple"], "mode": "as_is"},
        {"logins": ["tidy"], "addresses": ["tidy@corp.test"], "otherwise": "as_mailbox"},
        {"logins": ["named"], "mode": "as_is", "addresses": ["named@corp.test"], "display_name": "Müller GmbH"},
    ],
    "sender_policy_networks": [
        {"networks": ["10.1.0.0/16"], "addresses": ["*@plant.test"]},
        {"networks": ["10.1.2.0/24", "10.7.0.0/16"], "display_name": "Hall 2"},
        {"networks": ["10.1.2.3/32"], "mode": "as_is", "addresses": ["hall@corp.test"]},
        {"networks": ["2001:db8::/32"], "mode": "as_is", "addresses": ["v6@corp.test"]},
    ],
}
POLICY = policy.compile_policy(SETTINGS)
SCANS, ORDERS = "scans@corp.test", "orders@corp.test"


def refused(words):
    """Refused; the reason has these words in it."""
    return {"refused": words}


def leaves(envelope, author, reply_to=None, replaces=False):
    """Accepted; None: that part stays as it is."""
    return {"envelope": envelope, "from": author, "reply_to": reply_to, "replaces": replaces}


AS_IT_IS = leaves(None, None)


def as_scans(author=SCANS, reply_to=None, replaces=False):
    """Everything leaves as the mailbox."""
    return leaves(SCANS, author, reply_to, replaces)


# (a sentence, login, client, envelope sender, values of From, what happens)
NOBODY, LOCAL, HALL, PLANT = "", "127.0.0.1", "10.1.2.9", "10.1.9.9"
TABLE = [
    # A login without a rule, and a client without a login
    ("a new login sends as the mailbox", "new", HALL, SCANS, [SCANS], AS_IT_IS),
    ("a new login may add a name", "new", HALL, SCANS, [f"Scanner <{SCANS}>"], AS_IT_IS),
    ("a new login with the mailbox in capitals leaves in small letters", "new", HALL, "SCANS@Corp.Test", ["Scans@CORP.test"], leaves(None, None)),
    ("a new login that sends as itself leaves as the mailbox and gets the replies", "new", HALL, "new@corp.test", ["New <new@corp.test>"],
     as_scans(f"New <{SCANS}>", "new@corp.test")),
    ("a new login with its realm is the same", "new@corp.test", HALL, "new@corp.test", ["new@corp.test"], as_scans(reply_to="new@corp.test")),
    ("an unknown client of a trusted network leaves as the mailbox", NOBODY, "192.0.2.7", "a@b.test", ["A B <a@b.test>"],
     as_scans(f"A B <{SCANS}>", "a@b.test")),
    ("a client without an address leaves as the mailbox", NOBODY, None, "a@b.test", ["a@b.test"], as_scans(reply_to="a@b.test")),
    ("a client with a broken address leaves as the mailbox", NOBODY, "unknown", "a@b.test", ["a@b.test"], as_scans(reply_to="a@b.test")),
    ("a login in capitals has its rule", "SCANNER", HALL, "scanner@corp.test", ["scanner@corp.test"], as_scans(reply_to="scanner@corp.test")),
    ("a login of another realm has not the rule of the same name", "scanner@other.test", HALL, "x@y.test", ["x@y.test"], as_scans(reply_to="x@y.test")),
    ("a login that is named with its realm has its rule", "guest@other.test", HALL, "x@y.test", ["x@y.test"], leaves(ORDERS, ORDERS, "x@y.test")),

    # As the mailbox, for some addresses
    ("scanner may say that it is scanner", "scanner", HALL, "scanner@corp.test", ["Floor 3 <scanner@corp.test>"],
     as_scans(f"Floor 3 <{SCANS}>", "scanner@corp.test")),
    ("printer owns the same address", "printer", HALL, "scanner@corp.test", ["scanner@corp.test"], as_scans(reply_to="scanner@corp.test")),
    ("scanner may say that it is the mailbox", "scanner", HALL, SCANS, [SCANS], AS_IT_IS),
    ("scanner may use every address of plant.test", "scanner", HALL, "m1@plant.test", ["m1@plant.test"], as_scans(reply_to="m1@plant.test")),
    ("scanner may not use a domain below plant.test", "scanner", HALL, "m1@a.plant.test", ["m1@a.plant.test"], refused("m1@a.plant.test as author")),
    ("scanner may not use a domain that ends alike", "scanner", HALL, "m1@evilplant.test", ["m1@evilplant.test"], refused("m1@evilplant.test as author")),
    ("scanner may not say that it is billing", "scanner", HALL, "billing@corp.test", ["billing@corp.test"], refused("billing@corp.test as author")),
    ("scanner may not say so in the header only", "scanner", HALL, "scanner@corp.test", ["billing@corp.test"], refused("billing@corp.test as author")),
    ("scanner may not say so in the envelope only", "scanner", HALL, "billing@corp.test", ["scanner@corp.test"],
     refused("billing@corp.test as envelope sender")),
    ("scanner may not say so in capitals", "scanner", HALL, "scanner@corp.test", ["BILLING@CORP.TEST"], refused("billing@corp.test as author")),
    ("scanner may not say so with a dot at the end", "scanner", HALL, "scanner@corp.test", ["billing@corp.test."], refused("billing@corp.test as author")),
    ("scanner may not say so in quotes", "scanner", HALL, "scanner@corp.test", ['"billing"@corp.test'], refused("billing@corp.test as author")),
    ("scanner may not say so behind comments", "scanner", HALL, "scanner@corp.test", ["billing(x)@(y)corp.test"], refused("billing@corp.test as author")),
    ("scanner may not say so with a route", "scanner", HALL, "scanner@corp.test", ["<@plant.test:billing@corp.test>"], refused("billing@corp.test as author")),
    ("scanner may not say so in an encoded word", "scanner", HALL, "scanner@corp.test", ["=?utf-8?q?billing=40corp.test?="],
     refused("what the header From says")),
    ("scanner may not add a second address", "scanner", HALL, "scanner@corp.test", ["scanner@corp.test, billing@corp.test"], refused("more than one address")),
    ("scanner may not add a second From", "scanner", HALL, "scanner@corp.test", ["scanner@corp.test", "billing@corp.test"],
     refused("more than one header From")),
    ("scanner may not add a second From that is the same", "scanner", HALL, "scanner@corp.test", ["scanner@corp.test"] * 2,
     refused("more than one header From")),
    ("scanner may not add a second From that is empty", "scanner", HALL, "scanner@corp.test", ["scanner@corp.test", ""], refused("more than one header From")),
    ("scanner may not be a group", "scanner", HALL, "scanner@corp.test", ["team: scanner@corp.test, billing@corp.test;"], refused("names a group")),
    ("scanner may not be a group of one", "scanner", HALL, "scanner@corp.test", ["team: scanner@corp.test;"], refused("names a group")),
    ("scanner may not be an empty group", "scanner", HALL, "scanner@corp.test", ["undisclosed-senders:;"], refused("names a group")),
    ("scanner may not write two addresses in brackets", "scanner", HALL, "scanner@corp.test", ["<scanner@corp.test> <billing@corp.test>"],
     refused("what the header From says")),
    ("scanner may not write an address as plain name", "scanner", HALL, "scanner@corp.test", ["billing@corp.test <scanner@corp.test>"],
     refused("what the header From says")),
    ("scanner loses a name in quotes that is an address", "scanner", HALL, "scanner@corp.test", ['"billing@corp.test" <scanner@corp.test>'],
     as_scans(reply_to="scanner@corp.test")),
    ("scanner loses an encoded name that is an address", "scanner", HALL, "scanner@corp.test", ["=?utf-8?q?billing=40corp.test?= <scanner@corp.test>"],
     as_scans(reply_to="scanner@corp.test")),
    ("scanner loses an encoded name in quotes that is an address", "scanner", HALL, "scanner@corp.test",
     ['"=?utf-8?q?billing=40corp.test?=" <scanner@corp.test>'], as_scans(reply_to="scanner@corp.test")),
    ("scanner loses a name with a broad at sign", "scanner", HALL, "scanner@corp.test", ['"billing\uff20corp.test" <scanner@corp.test>'],
     as_scans(reply_to="scanner@corp.test")),
    ("scanner loses its own address as name, because it leaves as another", "scanner", HALL, "scanner@corp.test", ['"scanner@corp.test" <scanner@corp.test>'],
     as_scans(reply_to="scanner@corp.test")),
    ("scanner loses characters that turn the text round", "scanner", HALL, "scanner@corp.test", ["=?utf-8?q?=E2=80=AEabc?= <scanner@corp.test>"],
     as_scans(f"abc <{SCANS}>", "scanner@corp.test")),
    ("scanner keeps a name in German", "scanner", HALL, "scanner@corp.test", ["=?iso-8859-1?q?B=FCro?= <scanner@corp.test>"],
     as_scans(f"=?iso-8859-1?q?B=FCro?= <{SCANS}>", "scanner@corp.test")),
    ("scanner's name in raw UTF-8 is encoded", "scanner", HALL, "scanner@corp.test", ["Büro <scanner@corp.test>"],
     as_scans(f"=?utf-8?b?QsO8cm8=?= <{SCANS}>", "scanner@corp.test")),
    ("scanner's name in raw Latin 1 is encoded", "scanner", HALL, "scanner@corp.test", ["B\udcfcro <scanner@corp.test>"],
     as_scans(f"=?utf-8?b?QsO8cm8=?= <{SCANS}>", "scanner@corp.test")),
    ("scanner keeps a name with a comma", "scanner", HALL, "scanner@corp.test", ['"Scanner, left" <scanner@corp.test>'],
     as_scans(f'"Scanner, left" <{SCANS}>', "scanner@corp.test")),
    ("scanner keeps a name with a quote in it", "scanner", HALL, "scanner@corp.test", ['"The \\"best\\" one" <scanner@corp.test>'],
     as_scans(f'"The \\"best\\" one" <{SCANS}>', "scanner@corp.test")),
    ("scanner keeps a name in a comment", "scanner", HALL, "scanner@corp.test", ["scanner@corp.test (Floor 3)"],
     as_scans(f"Floor 3 <{SCANS}>", "scanner@corp.test")),
    ("scanner's folded header is read", "scanner", HALL, "scanner@corp.test", ["Floor\n 3\n\t<scanner@corp.test>"],
     as_scans(f"Floor 3 <{SCANS}>", "scanner@corp.test")),
    ("a bare line break makes the header unreadable", "scanner", HALL, "scanner@corp.test", ["scanner@corp.test\rFrom: billing@corp.test"],
     refused("what the header From says")),
    ("a header of 100,000 characters is no author", "scanner", HALL, "scanner@corp.test", ["(" * 100000 + "scanner@corp.test"],
     refused("longer than any author")),
    ("scanner with a plus is another address", "scanner", HALL, "scanner@corp.test", ["scanner+3@corp.test"], refused("scanner+3@corp.test as author")),
    ("scanner without From is who the envelope says", "scanner", HALL, "scanner@corp.test", [], as_scans(reply_to="scanner@corp.test")),
    ("scanner with an empty From has none", "scanner", HALL, "scanner@corp.test", ["  "], as_scans(reply_to="scanner@corp.test")),
    ("scanner without From may not be billing in the envelope", "scanner", HALL, "billing@corp.test", [], refused("billing@corp.test as author")),
    ("scanner may send with the null sender", "scanner", HALL, "<>", ["scanner@corp.test"], leaves(None, SCANS, "scanner@corp.test")),
    ("scanner with the null sender may not be billing", "scanner", HALL, "<>", ["billing@corp.test"], refused("billing@corp.test as author")),
    ("scanner with the null sender and no From is the mailbox", "scanner", HALL, "", [], leaves(None, SCANS)),
    ("scanner's From without a domain is no address", "scanner", HALL, "scanner@corp.test", ["scanner"], refused("what the header From says")),
    ("a From of two addresses and a broken bracket is not believed", "scanner", HALL, "scanner@corp.test", ["scanner@corp.test <billing@corp.test"],
     refused("what the header From says")),
    ("a login cannot send when its list is empty", "stopped", HALL, "stopped@corp.test", ["stopped@corp.test"], refused("stopped@corp.test as author")),
    ("a login with an empty list may say that it is the mailbox", "stopped", HALL, SCANS, [SCANS], AS_IT_IS),
    ("a login with another mailbox leaves as that one", "shop", HALL, "shop@corp.test", ["Shop <shop@corp.test>"],
     leaves(ORDERS, f"Shop <{ORDERS}>", "shop@corp.test")),
    ("a login with another mailbox that sends as the first leaves as its own", "shop", HALL, SCANS, [SCANS], leaves(ORDERS, ORDERS, SCANS)),
    ("tidy's other addresses leave as the mailbox and are forgotten", "tidy", HALL, "x@y.test", ["Boss <x@y.test>"], as_scans()),
    ("tidy's own address is kept for the replies", "tidy", HALL, "tidy@corp.test", ["Tidy <tidy@corp.test>"], as_scans(f"Tidy <{SCANS}>", "tidy@corp.test")),
    ("tidy's two From are replaced by one", "tidy", HALL, "tidy@corp.test", ["tidy@corp.test", "x@y.test"], as_scans()),
    ("tidy's group is replaced", "tidy", HALL, "tidy@corp.test", ["g: tidy@corp.test;"], as_scans()),
    ("tidy's wrong envelope sender does not hurt a right author", "tidy", HALL, "root@host7", ["tidy@corp.test"], as_scans(reply_to="tidy@corp.test")),

    # What devices and cron jobs write
    ("a printer whose From is a word keeps it as name", "new", HALL, "printer", ["Printer"], as_scans(f"Printer <{SCANS}>")),
    ("root of the relay leaves as the mailbox, and nobody answers to it", NOBODY, LOCAL, "root@relay.corp.test", ["root <root@relay.corp.test>"],
     as_scans(f"root <{SCANS}>")),
    ("cron keeps its name", NOBODY, LOCAL, "root@relay.corp.test", ["root (Cron Daemon)"], as_scans(f"Cron Daemon <{SCANS}>")),
    ("nobody answers to root@localhost", "new", HALL, "root@localhost", ["root@localhost"], as_scans()),
    ("nobody answers to a .local address", "new", HALL, "ups@ups.local", ["UPS <ups@ups.local>"], as_scans(f"UPS <{SCANS}>")),
    ("nobody answers to an address literal", "new", HALL, "a@[192.0.2.1]", ["a@[192.0.2.1]"], as_scans()),
    ("nobody answers to a forged route", "new", HALL, "a%b.test@corp.test", ["a%b.test@corp.test"], as_scans()),
    ("an envelope sender without a domain is replaced", "new", HALL, "root", ["new@corp.test"], as_scans(reply_to="new@corp.test")),
    ("a route in the envelope is replaced", "new", HALL, "<@a.test,@b.test:new@corp.test>", ["new@corp.test"], as_scans(reply_to="new@corp.test")),
    ("a new login's unreadable From is replaced without a trace", "new", HALL, "new@corp.test", ["<a@b.test> <c@d.test>"], as_scans()),
    ("a new login's two From are refused", "new", HALL, "new@corp.test", ["new@corp.test", "x@y.test"], refused("more than one header From")),
    ("a new login's group is refused", "new", HALL, "new@corp.test", ["g: new@corp.test;"], refused("names a group")),
    ("a new login's two addresses are refused", "new", HALL, "new@corp.test", ["new@corp.test, x@y.test"], refused("more than one address")),
    ("an author in another script is answered in ASCII", "new", HALL, SCANS, ["Bücher <a@bücher.test>"],
     leaves(None, f"=?utf-8?q?B=C3=BCcher?= <{SCANS}>", "a@xn--bcher-kva.test")),
    ("an author in letters that Microsoft has not gets no replies", "new", HALL, SCANS, ["jörg@corp.test"], leaves(None, SCANS)),
    ("an encoded line break in a name adds no header", "new", HALL, SCANS, ["=?utf-8?q?a=0D=0ABcc:_x=40y.test?= <new@corp.test>"], leaves(None, SCANS)),

    # Fixed names and answers
    ("fax has the name and the answers that its rule says", "fax", HALL, "fax@corp.test", ["Whatever <fax@corp.test>"],
     as_scans(f'"Fax, 2nd floor" <{SCANS}>', "office@corp.test", replaces=True)),
    ("fax without From has them too", "fax", HALL, "x@y.test", [], as_scans(f'"Fax, 2nd floor" <{SCANS}>', "office@corp.test", replaces=True)),
    ("fax as the mailbox itself has them too", "fax", HALL, SCANS, [SCANS], leaves(None, f'"Fax, 2nd floor" <{SCANS}>', "office@corp.test", replaces=True)),
    ("quiet is never answered", "quiet", HALL, "quiet@corp.test", ["quiet@corp.test"], as_scans(SCANS, "", replaces=True)),
    ("plain's Reply-To is left alone", "plain", HALL, "plain@corp.test", ["plain@corp.test"], as_scans(SCANS)),

    # As it is
    ("app sends as billing", "app", HALL, "billing@corp.test", ["Billing <billing@corp.test>"], AS_IT_IS),
    ("app2 owns billing too", "app2", HALL, "billing@corp.test", ["billing@corp.test"], AS_IT_IS),
    ("app may differ between envelope and header within its list", "app", HALL, "invoices@corp.test", ["billing@corp.test"], AS_IT_IS),
    ("app sends as everybody at shop.test", "app", HALL, "any@shop.test", ["any@shop.test"], AS_IT_IS),
    ("app sends as everybody below shop.test", "app", HALL, "any@eu.west.shop.test", ["any@eu.west.shop.test"], AS_IT_IS),
    ("app may not send as the mailbox, which is not in its list", "app", HALL, SCANS, [SCANS], refused(f"{SCANS} as author")),
    ("app may not send as scanner", "app", HALL, "billing@corp.test", ["scanner@corp.test"], refused("scanner@corp.test as author")),
    ("app may not have another envelope sender", "app", HALL, "scanner@corp.test", ["billing@corp.test"], refused("scanner@corp.test as envelope sender")),
    ("app may not have an envelope sender without a domain", "app", HALL, "billing", ["billing@corp.test"], refused("billing as envelope sender")),
    ("app in capitals stays, because Microsoft compares without case", "app", HALL, "Billing@Corp.Test", ["Billing@CORP.test"], AS_IT_IS),
    ("app with a dot at the end is written without", "app", HALL, "billing@corp.test.", ["Billing <billing@corp.test.>"],
     leaves("billing@corp.test", "Billing <billing@corp.test>")),
    ("app in quotes is written without", "app", HALL, '"billing"@corp.test', ['"billing"@corp.test'], leaves("billing@corp.test", "billing@corp.test")),
    ("app with a comment is written plainly", "app", HALL, "billing@corp.test", ["billing@corp.test (Billing)"], leaves(None, "Billing <billing@corp.test>")),
    ("app with a plus is another address", "app", HALL, "billing+1@corp.test", ["billing@corp.test"], refused("billing+1@corp.test as envelope sender")),
    ("app at a U-label is the A-label", "app", HALL, "x@bücher.test", ["x@bücher.test"], leaves("x@xn--bcher-kva.test", "x@xn--bcher-kva.test")),
    ("app at the A-label stays", "app", HALL, "x@xn--bcher-kva.test", ["x@XN--BCHER-KVA.test"], AS_IT_IS),
    ("app with a full-width letter is compared as DNS does", "app", HALL, "billing@corp.test", ["billing@\uff43orp.test"], leaves(None, "billing@corp.test")),
    ("a Cyrillic letter is another domain", "app", HALL, "billing@corp.test", ["billing@\u0441orp.test"], refused("as author")),
    ("a domain that two standards read differently is none", "app", HALL, "billing@corp.test", ["a@straße.shop.test"], refused("what the header From says")),
    ("app keeps its own address as name", "app", HALL, "billing@corp.test", ['"billing@corp.test" <billing@corp.test>'], AS_IT_IS),
    ("app loses a name that is another address", "app", HALL, "billing@corp.test", ['"ceo@x.test" <billing@corp.test>'], leaves(None, "billing@corp.test")),
    ("app without From is who the envelope says", "app", HALL, "billing@corp.test", [], leaves(None, "billing@corp.test")),
    ("app without From and envelope sender is refused", "app", HALL, "<>", [], refused(f"{SCANS} as author")),
    ("app with the null sender stays", "app", HALL, "<>", ["billing@corp.test"], AS_IT_IS),
    ("app with the null sender may not be scanner", "app", HALL, "<>", ["scanner@corp.test"], refused("scanner@corp.test as author")),
    ("app's raw UTF-8 name stays", "app", HALL, "billing@corp.test", ["Büro <billing@corp.test>"], AS_IT_IS),
    ("simple without a list sends as the mailbox", "simple", HALL, SCANS, [SCANS], AS_IT_IS),
    ("simple without a list sends as nobody else", "simple", HALL, SCANS, ["simple@corp.test"], refused("simple@corp.test as author")),
    ("named always has its name", "named", HALL, "named@corp.test", ["X <named@corp.test>"], leaves(None, "=?utf-8?q?M=C3=BCller_GmbH?= <named@corp.test>")),
    ("cron sends as billing", "cron", HALL, "billing@corp.test", ["billing@corp.test"], AS_IT_IS),
    ("cron as anybody else leaves as the mailbox, and billing gets the replies", "cron", HALL, "root@host7", ["root@host7"],
     as_scans(reply_to="billing@corp.test")),
    ("cron as billing with another envelope sender gets the bounces itself", "cron", HALL, "root@host7", ["billing@corp.test"],
     leaves("billing@corp.test", None)),
    ("cron without From is billing", "cron", HALL, "root@host7", [], leaves("billing@corp.test", "billing@corp.test")),
    ("cron's two From are replaced", "cron", HALL, "billing@corp.test", ["billing@corp.test"] * 2, as_scans(reply_to="billing@corp.test")),

    # Addresses that one rule owns alone
    ("chief sends as ceo", "chief", HALL, "ceo@corp.test", ["ceo@corp.test"], AS_IT_IS),
    ("a new login may not say that it is ceo", "new", HALL, "new@corp.test", ["ceo@corp.test"], refused("belongs to sender_policy_logins, rule 4 alone")),
    ("a new login may not say so in the envelope", "new", HALL, "ceo@corp.test", ["new@corp.test"], refused("belongs to")),
    ("a new login may not say so in the name", "new", HALL, "new@corp.test", ['"ceo@corp.test" <new@corp.test>'], refused("belongs to")),
    ("a new login may not say so in an encoded name", "new", HALL, "new@corp.test", ["=?utf-8?b?Y2VvQGNvcnAudGVzdA==?= <new@corp.test>"],
     refused("belongs to")),
    ("a new login may not say so in a comment", "new", HALL, "new@corp.test", ["new@corp.test (ceo@corp.test)"], refused("belongs to")),
    ("a new login may not say so in a broken header", "new", HALL, "new@corp.test", ["<ceo@corp.test> <new@corp.test"], refused("belongs to")),
    ("a new login may not say so in capitals with a dot", "new", HALL, "CEO@CORP.TEST.", ["new@corp.test"], refused("belongs to")),
    ("nobody else uses a domain that is owned", "new", HALL, "new@corp.test", ["x@board.test"], refused("belongs to")),
    ("nobody else uses a domain below one that is owned", "new", HALL, "new@corp.test", ["x@a.b.board.test"], refused("belongs to")),
    ("tidy, whose other senders are replaced, may not say that it is ceo", "tidy", HALL, "tidy@corp.test", ["ceo@corp.test"], refused("belongs to")),
    ("a client of a network may not say that it is ceo", NOBODY, PLANT, "ceo@corp.test", ["ceo@corp.test"], refused("belongs to")),
    ("local mail may not say that it is ceo", NOBODY, LOCAL, "root@relay.corp.test", ["ceo@corp.test"], refused("belongs to")),

    # Networks
    ("the plant may use plant.test", NOBODY, PLANT, "m@plant.test", ["m@plant.test"], as_scans(reply_to="m@plant.test")),
    ("the plant may use nothing else", NOBODY, PLANT, "m@corp.test", ["m@corp.test"], refused("sender_policy_networks, rule 1 does not allow")),
    ("the smaller network decides", NOBODY, HALL, "m@corp.test", ["m@corp.test"], as_scans(f'Hall 2 <{SCANS}>', "m@corp.test")),
    ("the second network of a rule counts too", NOBODY, "10.7.1.1", "m@corp.test", ["m@corp.test"], as_scans(f'Hall 2 <{SCANS}>', "m@corp.test")),
    ("a single host decides first", NOBODY, "10.1.2.3", "hall@corp.test", ["hall@corp.test"], AS_IT_IS),
    ("a single host may nothing more than its rule says", NOBODY, "10.1.2.3", "m@plant.test", ["m@plant.test"], refused("sender_policy_networks, rule 3")),
    ("an IPv4 client of an IPv6 socket is an IPv4 client", NOBODY, "::ffff:10.1.2.3", "hall@corp.test", ["hall@corp.test"], AS_IT_IS),
    ("an IPv6 network has its rule", NOBODY, "2001:db8::7", "v6@corp.test", ["v6@corp.test"], AS_IT_IS),
    ("an IPv6 network allows no more than its rule", NOBODY, "2001:db8::7", "x@corp.test", ["x@corp.test"], refused("sender_policy_networks, rule 4")),
    ("the host beside a network has the default", NOBODY, "10.2.0.1", "x@corp.test", ["x@corp.test"], as_scans(reply_to="x@corp.test")),
    ("a login stands above its network", "app", "10.1.2.3", "billing@corp.test", ["billing@corp.test"], AS_IT_IS),
    ("a login without a rule does not get the network's rights", "new", "10.1.2.3", "hall@corp.test", ["hall@corp.test"], as_scans(reply_to="hall@corp.test")),

    # The relay's own mail
    ("a bounce leaves as the mailbox, with the null sender", NOBODY, LOCAL, "<>", ["MAILER-DAEMON@relay.corp.test (Mail Delivery System)"],
     leaves(None, f"Mail Delivery System <{SCANS}>")),
    ("Postfix's notice keeps the sender by which Postfix knows it", NOBODY, LOCAL, "double-bounce@corp.test",
     ["Mail Delivery System <MAILER-DAEMON@corp.test>"],
     leaves(None, f"Mail Delivery System <{SCANS}>")),
    ("a bounce about ceo's mail is not refused", NOBODY, "::1", "", ["ceo@corp.test"], leaves(None, SCANS)),
    ("another host's bounce follows its rule", NOBODY, PLANT, "<>", ["MAILER-DAEMON@plant.test"], leaves(None, SCANS)),
    ("another host's notice is not the relay's own", NOBODY, PLANT, "double-bounce@corp.test", ["x@plant.test"],
     refused("double-bounce@corp.test as envelope sender")),
]


@pytest.mark.parametrize(("login", "client", "envelope", "author", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_truth_table(login, client, envelope, author, expected):
    decision = policy.decide(POLICY, login, client, envelope, author)
    if "refused" in expected:
        assert decision.verdict == "refuse", decision
        assert expected["refused"] in decision.because
        assert decision.because.endswith(".")
        return
    changes = {"envelope": decision.envelope_sender, "from": decision.header_from, "reply_to": decision.reply_to, "replaces": decision.reply_to_replaces}
    assert changes == expected, decision
    assert decision.verdict == ("as_is" if expected == AS_IT_IS else "as")


def test_the_table_is_as_long_as_it_should_be_and_says_nothing_twice():
    assert len(TABLE) >= 120
    assert len({row[0] for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("row", [row for row in TABLE if "refused" not in row[5]], ids=lambda row: row[0])
def test_what_leaves_has_one_author_that_the_rule_allows(row):
    """Whatever was written, the result is read by the email package as exactly one address: the mailbox or one of the rule's."""
    decision = policy.decide(POLICY, *row[1:5])
    value = decision.header_from if decision.header_from is not None else row[4][0]
    addresses = email.policy.default.header_factory("From", " ".join(value.split())).addresses
    assert len(addresses) == 1
    address = policy.canonical(addresses[0].addr_spec)
    assert address == decision.rule.mailbox or (decision.rule.mode == "as_is" and policy.matches(decision.rule.allowed, address))


def test_a_wildcard_for_everything_is_for_what_leaves_as_the_mailbox_only():
    rule = policy.rule_for(POLICY, "new", None)
    assert policy.matches(rule.allowed, None)
    assert rule.mode == "as_mailbox"
