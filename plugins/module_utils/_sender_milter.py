# SPDX-License-Identifier: GPL-3.0-or-later
"""The service that applies the sender policy: Postfix asks it about every message (private to the collection).

It speaks the milter protocol on a local socket, reads headers and no bodies, and looks at its policy's file before every
decision: a new policy counts from the next message on, and a broken one never. It also says as which identity a message leaves and
by which lane, in a header that Postfix reads and takes away again.

On a host: python3 -m m365-relay._sender_milter (see the unit m365-relay-policy.service).
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import os
import signal
import time

from ._daemon import file_state, ready, tell
from ._milter_protocol import CONTINUE, Session, change_header, change_sender, reply, text
from ._sender_lanes import is_bulk
from ._sender_policy import REFUSE, compile_policy, decide, full_login, keeps
from ._sender_quotas import Ledger

POLICY = "/etc/m365-relay/sender_policy.json"
SOCKET = "/run/m365-relay-policy/milter.sock"
USAGE = "/var/lib/m365-relay-policy/usage"

# Headers beside From that name a sender. They go, unless the rule allows the address that is in them.
OTHER_SENDERS = ("sender", "resent-from", "resent-sender", "resent-reply-to")
# Where Postfix is told which identity sends a message; a client has no say in that.
ROUTE = "X-M365-Relay-Route"
READ = frozenset(("from", "reply-to", "date", "message-id", ROUTE.lower(), *OTHER_SENDERS))
SPELLING = {"from": "From", "reply-to": "Reply-To", "date": "Date", "message-id": "Message-ID"}
LONGEST_SHOWN = 120


class Source:
    """The policy in its file, compiled anew when the file is another one."""

    def __init__(self, path):
        """Read the file; raise OSError or ValueError when there is no policy in it."""
        self.path, self.seen = path, file_state(path)
        self.policy = load(path)

    def current(self):
        """Return the policy."""
        now = file_state(self.path)
        if now != self.seen:
            self.seen = now
            try:
                self.policy = load(self.path)
                tell("the policy was read again")
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                tell(f"{self.path} cannot be used, the old policy stays: {type(error).__name__}: {error}")
        return self.policy


def load(path):
    """Return the compiled policy in a file."""
    with open(path, encoding="utf-8") as stream:
        return compile_policy(json.load(stream))


def shown(value):
    """Return text of a stranger for a log: one line, ASCII, not long."""
    return ascii(value if len(value) <= LONGEST_SHOWN else f"{value[:LONGEST_SHOWN]}...")


def edits(decision, headers, domain, now, route=""):
    """Return the changes to the header as (name, which one of that name, new value; "" removes it), in the order in which they have to be made.

    headers: name in small letters -> the values of that name, as they came.
    """
    changes = []
    if decision.header_from is not None:
        changes += replaced("from", len(headers.get("from", [])), decision.header_from)
    if decision.reply_to is not None and (decision.reply_to_replaces or not any(map(str.strip, headers.get("reply-to", [])))):
        changes += replaced("reply-to", len(headers.get("reply-to", [])), decision.reply_to)
    for name in OTHER_SENDERS:
        values = headers.get(name, [])
        changes += [(name, number, "") for number in range(len(values), 0, -1) if not keeps(decision, values[number - 1])]
    if not headers.get("date"):
        changes += replaced("date", 0, email.utils.format_datetime(now))
    if not headers.get("message-id"):
        changes += replaced("message-id", 0, email.utils.make_msgid(domain=domain))
    changes += [(ROUTE, number, "") for number in range(len(headers.get(ROUTE.lower(), [])), 0, -1)]
    return [*changes, (ROUTE, 1, route)] if route else changes


def replaced(name, how_many, value):
    """Return the changes that leave one header of this name, with this value; none when the value is empty."""
    surplus = [(SPELLING[name], number, "") for number in range(how_many, 1, -1)]
    return [*surplus, (SPELLING[name], 1, value)] if value or how_many else surplus


def route_of(policy, lines, mailbox, sender, now):
    """Return where a message goes, as Postfix has to be told; "" when everything goes one way."""
    routes = policy.routes.get(mailbox)
    if not routes:
        return ""
    return routes["bulk" if is_bulk(lines, mailbox, sender, policy.messages_per_minute[mailbox], now) else "prompt"]


class Conversation:
    """What Postfix tells in one connection: a client, and one message after the other."""

    def __init__(self, source, lines, ledger):
        """source: the policy. lines, ledger: what senders have handed in, for all connections."""
        self.source, self.lines, self.ledger, self.client = source, lines, ledger, None
        self.sender("", "")

    def wants_recipients(self):
        """Recipients are counted only if a rule limits them."""
        return self.source.current().counts_recipients

    def connect(self, address):
        """The client's address."""
        self.client = address

    def sender(self, login, address):
        """A message begins."""
        self.login, self.envelope_sender, self.headers, self.recipients = login, address, {}, 0

    def recipient(self):
        """One more recipient."""
        self.recipients += 1

    def header(self, name, value):
        """A header field."""
        name = text(name).strip().lower()
        if name in READ:
            self.headers.setdefault(name, []).append(text(value))

    def end_of_message(self, queue_id):
        """Decide, and return what Postfix has to do."""
        policy, author = self.source.current(), self.headers.get("from", [])
        decision = decide(policy, self.login, self.client, self.envelope_sender, author)
        sender = full_login(self.login, policy.realm) if self.login else str(self.client)
        against = decision.verdict != REFUSE and self.ledger.claim(decision.rule, sender, max(self.recipients, 1), int(time.time()) // 60)
        verdict, because = ("quota", against[1]) if against else (decision.verdict, decision.because)
        tell(f"{queue_id}: login {shown(self.login)}, client {self.client}, envelope sender {shown(self.envelope_sender)}, "
             f"From {' and '.join(map(shown, author)) or 'missing'}: {verdict}, {ascii(because)[1:-1]}")
        if verdict == REFUSE or against:
            waiting_helps = against and against[0]
            return [reply(*(("452", "4.7.1") if waiting_helps else ("550", "5.7.1")), ascii(because)[1:-1][:400])]
        route = route_of(policy, self.lines, decision.rule.mailbox, sender, time.monotonic())
        changes = edits(decision, self.headers, policy.hostname, email.utils.localtime(), route)
        packets = [] if decision.envelope_sender is None else [change_sender(decision.envelope_sender)]
        return [*packets, *(change_header(*change) for change in changes), CONTINUE]


async def keep(ledger):
    """Write what was counted, once a second."""
    while True:
        await asyncio.sleep(1)
        try:
            ledger.write()
        except OSError as error:
            tell(f"{USAGE} cannot be written, a restart would forget what was counted: {error}")


async def serve():
    """Answer Postfix until systemd says stop."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    source, lines, ledger = Source(POLICY), {}, Ledger(USAGE, int(time.time()) // 60)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    os.umask(0o007)    # the socket is for the group, which is Postfix's
    server = await loop.create_unix_server(lambda: Session(Conversation(source, lines, ledger)), SOCKET, backlog=1024)
    keeper = loop.create_task(keep(ledger))
    ready()
    await stop.wait()
    server.close()
    keeper.cancel()
    ledger.write()


if __name__ == "__main__":
    asyncio.run(serve())
