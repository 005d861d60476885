# SPDX-License-Identifier: GPL-3.0-or-later
"""The service that applies the sender policy: Postfix asks it about every message (private to the collection).

It speaks the milter protocol through libmilter (Debian's python3-milter) on a local socket, reads headers and no bodies, and
looks at its policy's file before every decision: a new policy counts from the next message on, and a broken one never.

On a host: python3 -m m365-relay._sender_milter (see the unit m365-relay-policy.service).
"""

from __future__ import annotations

import email.utils
import json
import os
import signal
import socket
import sys
import threading

from ._sender_policy import REFUSE, compile_policy, decide, keeps

POLICY = "/etc/m365-relay/sender_policy.json"
SOCKET = "/run/m365-relay-policy/milter.sock"

# Headers beside From that name a sender. They go, unless the rule allows the address that is in them.
OTHER_SENDERS = ("sender", "resent-from", "resent-sender", "resent-reply-to")
READ = frozenset(("from", "reply-to", "date", "message-id", *OTHER_SENDERS))
SPELLING = {"from": "From", "reply-to": "Reply-To", "date": "Date", "message-id": "Message-ID"}
LONGEST_SHOWN = 120


class Source:
    """The policy in its file, compiled anew when the file is another one."""

    def __init__(self, path):
        """Read the file; raise OSError or ValueError when there is no policy in it."""
        self.path, self.lock = path, threading.Lock()
        self.seen = self.state()
        self.policy = load(path)

    def state(self):
        """Return what differs when the file is another one, or None when there is none."""
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def current(self):
        """Return the policy; while one thread compiles a new one, all others go on with the old one."""
        state = self.state()
        if state != self.seen and self.lock.acquire(blocking=False):
            try:
                self.policy, self.seen = load(self.path), state
                tell("the policy was read again")
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                self.seen = state
                tell(f"{self.path} cannot be used, the old policy stays: {type(error).__name__}: {error}")
            finally:
                self.lock.release()
        return self.policy


def load(path):
    """Return the compiled policy in a file."""
    with open(path, encoding="utf-8") as stream:
        return compile_policy(json.load(stream))


def tell(text):
    """Write one line to the journal."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def shown(text):
    """Return text of a stranger for a log: one line, ASCII, not long."""
    return ascii(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}...")


def edits(decision, headers, domain, now):
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
    return changes


def replaced(name, how_many, value):
    """Return the changes that leave one header of this name, with this value; none when the value is empty."""
    surplus = [(SPELLING[name], number, "") for number in range(how_many, 1, -1)]
    return [*surplus, (SPELLING[name], 1, value)] if value or how_many else surplus


class Message:
    """What is known about a message while it comes in; one connection has one message after the other."""

    def __init__(self, client):
        """Begin with the client's address."""
        self.client = client
        self.begin("", "")

    def begin(self, login, envelope_sender):
        """Forget the message before."""
        self.login, self.envelope_sender, self.headers = login, envelope_sender, {}


def text(value):
    """Return text of the bytes that libmilter gives."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def callbacks(milter, source):
    """Return the functions that libmilter calls."""

    def negotiate(ctx, options):
        """Ask for nothing but connection, sender and headers, and answer only at the end: everything else costs time."""
        options[1] &= (
            milter.P_NOHELO | milter.P_NORCPT | milter.P_NOBODY | milter.P_NOUNKNOWN | milter.P_NODATA | milter.P_NOEOH
            | milter.P_NR_CONN | milter.P_NR_MAIL | milter.P_NR_HDR
        )
        options[2] = options[3] = 0
        for stage, macros in ((milter.M_CONNECT, "j"), (milter.M_ENVFROM, "{auth_authen}"), (milter.M_EOM, "i")):
            ctx.setsymlist(stage, macros)
        return milter.CONTINUE

    def connect(ctx, _name, _family, address):
        ctx.setpriv(Message(text(address[0]) if isinstance(address, tuple) else None))
        return milter.NOREPLY

    def envelope_sender(ctx, sender, *_parameters):
        ctx.getpriv().begin(text(ctx.getsymval("{auth_authen}") or ""), text(sender))
        return milter.NOREPLY

    def header(ctx, name, value):
        name = text(name).strip().lower()
        if name in READ:
            ctx.getpriv().headers.setdefault(name, []).append(text(value))
        return milter.NOREPLY

    def end_of_message(ctx):
        message, policy = ctx.getpriv(), source.current()
        author = message.headers.get("from", [])
        decision = decide(policy, message.login, message.client, message.envelope_sender, author)
        tell(f"{ctx.getsymval('i') or '-'}: login {shown(message.login)}, client {message.client}, envelope sender {shown(message.envelope_sender)}, "
             f"From {' and '.join(map(shown, author)) or 'missing'}: {decision.verdict}, {ascii(decision.because)[1:-1]}")
        if decision.verdict == REFUSE:
            ctx.setreply("550", "5.7.1", ascii(decision.because)[1:-1].replace("%", "%%")[:400])
            return milter.REJECT
        if decision.envelope_sender is not None:
            ctx.chgfrom(f"<{decision.envelope_sender}>")
        for name, number, value in edits(decision, message.headers, policy.hostname, email.utils.localtime()):
            ctx.chgheader(name, number, value)
        return milter.CONTINUE

    def close(ctx):
        ctx.setpriv(None)
        return milter.CONTINUE

    return {"negotiate": negotiate, "connect": connect, "envfrom": envelope_sender, "header": header, "eom": end_of_message, "close": close}


def ready():
    """Tell systemd that the socket is open."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(b"READY=1", address.replace("@", "\0", 1) if address.startswith("@") else address)


def main():
    """Serve until systemd says stop."""
    import milter  # noqa: PLC0415 (libmilter is on relay hosts only; everything above works without it)

    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.umask(0o007)    # the socket is for the group, which is Postfix's
    functions = callbacks(milter, Source(POLICY))
    milter.set_flags(milter.CHGHDRS | milter.ADDHDRS | milter.CHGFROM | milter.SETSYMLIST)
    milter.set_exception_policy(milter.TEMPFAIL)
    for name in ("connect", "envfrom", "header", "eom", "close"):
        getattr(milter, f"set_{name}_callback")(functions[name])
    milter.setconn(f"unix:{SOCKET}")
    milter.register("m365-relay-policy", negotiate=functions["negotiate"])
    milter.opensocket(True)
    ready()
    milter.main()


if __name__ == "__main__":
    main()
