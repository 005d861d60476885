# SPDX-License-Identifier: GPL-3.0-or-later
"""SMTP submission on port 587 as Exchange Online has it: STARTTLS, XOAUTH2, SendAs, limits; aiosmtpd does the protocol."""
from __future__ import annotations

import asyncio
import base64
import binascii
import collections
import datetime
import email.utils
import functools
import json
import secrets
import threading
import time
from typing import ClassVar

import aiosmtpd.smtp
from aiosmtpd.smtp import MISSING, AuthResult

from . import access, senders
from .smtp_replies import REPLIES
from .web import listen

SIZE = 157286400
# What aiosmtpd says by itself, in Exchange's words.
WORDS = {
    "221 Bye": "221 2.0.0 Service closing transmission channel",
    "220 Ready to start TLS": "220 2.0.0 SMTP server ready",
    "354 End data with <CR><LF>.<CR><LF>": "354 Start mail input; end with <CRLF>.<CRLF>",
    "250 OK": "250 2.0.0 OK",
    "504 5.5.4 Unrecognized authentication type": "504 5.7.4 Unrecognized authentication type",
    "503 Already authenticated": "503 5.5.1 Bad sequence of commands",
    "503 Error: nested MAIL command": "503 5.5.1 Bad sequence of commands",
    "503 Error: need MAIL command": "503 5.5.1 Bad sequence of commands",
    "503 Error: need RCPT command": "503 5.5.1 Bad sequence of commands",
    "552 Error: message size exceeds fixed maximum message size": "552 5.3.4 Message size exceeds fixed maximum message size",
    "552 Error: Too much mail data": "552 5.3.4 Message size exceeds fixed maximum message size",
}
DSN_PARAMETERS = ("RET", "ENVID", "AUTH", "NOTIFY", "ORCPT")


@functools.lru_cache(maxsize=4096)  # parsing is slow, and the same addresses come again and again
def parse_address(text: str):
    return aiosmtpd.smtp.SMTP._getaddr(aiosmtpd.smtp.SMTP, text)


class Submission(aiosmtpd.smtp.SMTP):
    """One connection."""

    line_length_limit = 16384  # access tokens come in one line
    command_size_limits: ClassVar[dict[str, int]] = collections.defaultdict(lambda: 16384)

    def __init__(self, lab) -> None:
        self.lab, self.state = lab, lab.state
        self.mailbox = ""                 # once authenticated
        self.left_out = ""                # what a fault removes from EHLO
        self.stamp: float | None = None   # the place of the open message in the rate window
        self.record: tuple[dict, bytes] | None = None  # what is accepted as soon as its 250 is out
        self.number = next(lab.state.connection_numbers)
        self.exchange = f"AM{self.number % 10}PR02CA{self.number % 10000:04d}.eurprd02.prod.outlook.com"
        super().__init__(self, data_size_limit=SIZE, enable_SMTPUTF8=True, hostname=self.exchange, tls_context=lab.contexts["good"], timeout=600,
                         loop=asyncio.get_running_loop(), auth_exclude_mechanism=[])

    # words

    @property
    def client(self) -> str:
        return self.session.peer[0].removeprefix("::ffff:") if self.session and self.session.peer else ""

    def words(self, reply: str, sender: str = "") -> str:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return reply.format(at=f"[{self.exchange} {now} {secrets.token_hex(8).upper()}]", host=self.exchange, client=self.client,
                            mailbox=self.mailbox, sender=sender)

    def note(self, what: str, **details) -> None:
        self.state.event(f"smtp {what}", client=self.client, connection=self.number, mailbox=self.mailbox, **details)

    def refusal(self, name: str, phase: str, sender: str = "", **details) -> str:
        """One of Exchange's replies by its name, logged."""
        reply = self.words(REPLIES[name][1], sender)
        self.note("refused", phase=phase, result=name, reply=reply, **details)
        return reply

    async def push(self, status) -> None:
        status = WORDS.get(status, status)
        await super().push(status)
        if self.record and isinstance(status, str) and status.startswith("250 "):
            message, data = self.record
            self.record, self.stamp = None, None
            self.state.accept(message, data)
            self.note("message", result="accepted", envelope_from=message["envelope_from"], recipients=len(message["envelope_to"]),
                      header_from=message["header_from"], message_id=message["message_id"], size=message["size"])
        elif isinstance(status, str) and status.startswith("421"):
            self.transport.close()

    # faults and latency

    async def fault(self, phase: str, account: str = "") -> str | None:
        """Waits as long as answers take; gives the reply of a fault, or does what it says."""
        delay = self.state.delay(phase)
        if delay:
            await asyncio.sleep(delay)
        struck = self.state.strike(phase, account=account or self.mailbox or None)
        if not struck:
            return None
        if "reply" in struck:
            reply = self.words(struck["reply"], self.sender())
            self.note("refused", phase=phase, result=struck["name"], reply=reply, fault=struck["name"])
            return reply
        self.note("refused", phase=phase, result=struck["act"], fault=struck["name"])
        if struck["act"].startswith("no_"):
            self.left_out = struck["act"]
            return None
        if struck["act"] == "hang":
            await asyncio.sleep(3600)
        self.transport.abort()
        raise ConnectionResetError(struck["name"])

    def sender(self) -> str:
        return (self.envelope.mail_from or "").strip("<>") if self.envelope else ""

    # the connection

    async def _handle_client(self) -> None:
        self.__ident__ = f"Microsoft ESMTP MAIL Service ready at {email.utils.formatdate()} [{secrets.token_hex(8).upper()}]"
        try:
            reply = await self.fault("connect") or self.too_many_connections()
            if reply:
                await self.push(reply)
                return
        except ConnectionError:
            return
        await super()._handle_client()

    def too_many_connections(self) -> str | None:
        """Model G: nobody knows the mailbox yet, so the connections of one client are counted."""
        with self.state.lock:
            limit, strict = self.state.settings["connection_limit"], self.state.settings["limit_model"] == "G"
        mine = sum(1 for other in self.lab.smtp.connections if other.client == self.client)
        return self.refusal("smtp_too_many_connections", "connect") if strict and limit and mine > limit else None

    def connection_made(self, transport) -> None:
        first = self.transport is None
        super().connection_made(transport)
        if first:
            self.lab.smtp.connections.add(self)
            self.state.counters["most connections"] = max(self.state.counters["most connections"], len(self.lab.smtp.connections))
            self.note("connect", open=len(self.lab.smtp.connections))

    def connection_lost(self, error) -> None:
        self.lab.smtp.connections.discard(self)
        self._set_post_data_state()
        self.note("disconnect")
        super().connection_lost(error)

    async def smtp_EHLO(self, hostname) -> None:
        self.left_out = ""
        reply = await self.fault("ehlo")
        if reply:
            await self.push(reply)
            return
        await super().smtp_EHLO(hostname)

    async def handle_EHLO(self, _server, session, _envelope, hostname, _responses) -> list[str]:
        session.host_name = hostname
        offers = [f"{self.exchange} Hello [{self.client}]", f"SIZE {SIZE}", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES"]
        if session.ssl:
            offers.append("AUTH LOGIN" if self.left_out == "no_xoauth2" else "AUTH LOGIN XOAUTH2")
        elif self.left_out != "no_starttls":
            offers.append("STARTTLS")
        offers += ["8BITMIME", "SMTPUTF8"]
        return [f"250-{offer}" for offer in offers[:-1]] + [f"250 {offers[-1]}"]

    async def smtp_STARTTLS(self, arg) -> None:
        delay = self.state.delay("tls")
        if delay:
            await asyncio.sleep(delay)
        self.tls_context = self.lab.context("smtp")
        await super().smtp_STARTTLS(arg)

    async def handle_exception(self, error: Exception) -> str:
        if isinstance(error, aiosmtpd.smtp.TLSSetupException):
            self.note("tls", result="failed", reason=str(error.__cause__))
        else:
            self.note("error", result=type(error).__name__, reason=str(error))
        return "451 4.3.0 The lab made a mistake, see its log"

    # AUTH

    async def smtp_AUTH(self, arg) -> None:
        mechanism, *rest = (arg or "").split(" ", 1)
        await super().smtp_AUTH(" ".join([mechanism.upper(), *rest]) if arg else arg)

    async def auth_XOAUTH2(self, _server, args) -> AuthResult:
        if len(args) > 1:
            form = "one line"
            try:
                blob = base64.b64decode(args[1], validate=True)
            except binascii.Error:
                return AuthResult(success=False, handled=False, message="501 5.5.2 Cannot decode argument")
        else:
            form, blob = "two lines", await self.challenge_auth("")
            if blob is MISSING:
                return AuthResult(success=False)
        fields = dict(part.partition("=")[::2] for part in blob.decode("utf-8", "replace").split("\x01") if part)
        mailbox = fields.get("user", "").lower()
        reply = await self.fault("auth", account=mailbox)
        if not reply:
            try:
                access.check(self.lab, mailbox, fields.get("auth", ""))
                self.mailbox = mailbox
                self.note("auth", result="ok", form=form)
                return AuthResult(success=True, auth_data=mailbox, message="235 2.7.0 Authentication successful")
            except access.Refused as refused:
                reply = self.refusal(refused.reply, "auth", form=form, user=mailbox, reason=str(refused))
        if self.state.setting("auth_challenge"):
            challenge = json.dumps({"status": "401", "schemes": "Bearer", "scope": "https://outlook.office.com/SMTP.Send"})
            if await self.challenge_auth(challenge) is MISSING:
                return AuthResult(success=False)
        return AuthResult(success=False, handled=False, message=reply)

    async def auth_LOGIN(self, _server, args) -> AuthResult:
        if (len(args) < 2 and await self.challenge_auth("Username:") is MISSING) or await self.challenge_auth("Password:") is MISSING:
            return AuthResult(success=False)
        return await self.refuse_password()

    async def auth_PLAIN(self, _server, args) -> AuthResult:
        if len(args) < 2 and await self.challenge_auth("") is MISSING:
            return AuthResult(success=False)
        return await self.refuse_password()

    async def refuse_password(self) -> AuthResult:
        reply = await self.fault("auth") or self.refusal("smtp_basic_auth_unsupported", "auth")
        return AuthResult(success=False, handled=False, message=reply)

    # the message

    def _getaddr(self, arg):
        return parse_address(arg)

    def _getparams(self, params):
        """aiosmtpd does not know DSN; Exchange takes it, so the lab takes it and leaves it at that."""
        known = super()._getparams(params)
        return known and {name: value for name, value in known.items() if name not in DSN_PARAMETERS}

    async def smtp_MAIL(self, arg) -> None:
        if not self.session.authenticated:
            await self.push(self.refusal("smtp_not_authenticated", "mail"))
            return
        await super().smtp_MAIL(arg)

    async def handle_MAIL(self, _server, _session, envelope, address, options) -> str:
        reply = await self.fault("mail")
        if reply:
            return reply
        with self.state.lock:
            settings, limits, now = self.state.settings, self.state.limits, time.time()
            if settings["limit_model"] == "A" and settings["rate_reject_at"] == "mail":
                if limits.slot(self.mailbox, settings, now) > now:
                    return self.refusal("smtp_server_busy", "mail")
                self.stamp = limits.take(self.mailbox, settings, now)
            limits.transactions[self.mailbox].append(self)
        envelope.mail_from, envelope.mail_options = address, options
        return "250 2.1.0 Sender OK"

    async def handle_RCPT(self, _server, _session, envelope, address, options) -> str:
        reply = await self.fault("rcpt")
        if reply:
            return reply
        limit = self.state.setting("recipients_per_message")
        if limit and len(envelope.rcpt_tos) >= limit:
            return self.refusal("smtp_too_many_recipients", "rcpt")
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Recipient OK"

    async def smtp_DATA(self, arg) -> None:
        reply = await self.fault("data")
        if reply:
            await self.push(reply)
            return
        await super().smtp_DATA(arg)

    async def handle_DATA(self, _server, _session, envelope) -> str:
        reply = await self.fault("end_of_data") or self.sender_refusal(envelope) or await self.limit_refusal(envelope)
        if reply:
            return reply
        data, head = envelope.original_content, senders.headers(envelope.original_content)
        self.record = ({
            "client": self.client, "connection": self.number, "mailbox": self.mailbox, "envelope_from": self.sender(),
            "envelope_to": list(envelope.rcpt_tos), "header_from": senders.header_text(head, "from"), "subject": senders.header_text(head, "subject"),
            "message_id": senders.header_text(head, "message-id"), "size": len(data)}, data)
        return f"250 2.0.0 OK <{secrets.token_hex(16)}@{self.exchange}> [Hostname={self.exchange}]"

    def sender_refusal(self, envelope) -> str | None:
        head = senders.headers(envelope.original_content)
        froms, sender = senders.from_addresses(head), self.sender()
        about = {"envelope_from": sender, "header_from": senders.header_text(head, "from")}
        with self.state.lock:
            limit, denied = self.state.settings["send_as_denied_limit"], self.state.limits.denied
            if limit and denied[self.mailbox] >= limit:
                return self.refusal("smtp_throttled_send_as_denied", "end_of_data", **about)
            if not froms:
                return self.refusal("smtp_not_rfc5322", "end_of_data", **about)
            wrong = senders.denied(self.mailbox, self.state.account(self.mailbox)["send_as"], sender, froms)
            if wrong is None:
                return None
            denied[self.mailbox] += 1
            return self.refusal("smtp_send_as_denied", "end_of_data", wrong, **about)

    async def limit_refusal(self, envelope) -> str | None:
        """The limits at the end of DATA; in the models B and G the message waits here for its turn."""
        with self.state.lock:
            settings, limits, now = self.state.settings, self.state.limits, time.time()
            if limits.too_many_transactions(self.mailbox, self, settings):
                return self.refusal("smtp_sender_thread_limit", "end_of_data")
            if not limits.recipients_left(self.mailbox, settings, now):
                return self.refusal("smtp_submission_quota", "end_of_data")
            if self.stamp is None:
                slot = limits.slot(self.mailbox, settings, now)
                if slot > now and settings["limit_model"] == "A":
                    return self.refusal("smtp_server_busy", "end_of_data")
                self.stamp = limits.take(self.mailbox, settings, slot)
            limits.recipients[self.mailbox].append((now, len(envelope.rcpt_tos)))
        await asyncio.sleep(max(0.0, self.stamp - now))
        return None

    def _set_post_data_state(self) -> None:
        """The transaction is over: accepted, refused, reset or cut off. Only an accepted message has used its place in the rate."""
        super()._set_post_data_state()
        if not self.mailbox:
            return
        with self.state.lock:
            transactions = self.state.limits.transactions[self.mailbox]
            if self in transactions:
                transactions.remove(self)
            if self.stamp is not None and self.record is None:
                self.state.limits.give_back(self.mailbox, self.stamp)
                self.stamp = None


class Service:
    """Opens and closes the port; the event loop runs in a thread of its own."""

    def __init__(self, host: str, port: int, lab) -> None:
        self.host, self.port, self.lab = host, port, lab
        self.connections: set[Submission] = set()
        self.server = None
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def open(self) -> None:
        asyncio.run_coroutine_threadsafe(self._open(), self.loop).result(10)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(10)

    async def _open(self) -> None:
        if self.server is None:
            listener = listen(self.host, self.port)  # asyncio's own would take IPv6 only
            self.port = listener.getsockname()[1]
            self.server = await self.loop.create_server(lambda: Submission(self.lab), sock=listener, backlog=128)

    async def _close(self) -> None:
        if self.server is None:
            return
        server, self.server = self.server, None
        server.close()
        for connection in list(self.connections):
            connection.transport.abort()
