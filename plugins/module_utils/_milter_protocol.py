# SPDX-License-Identifier: GPL-3.0-or-later
"""The milter protocol, version 6, as Postfix speaks it: what a service that reads envelopes and headers needs (private to the collection).

Debian's python3-milter keeps some kilobytes for every session for ever, and has crashed with Debian 14's Python; so this is written here.

A packet is its length (four bytes), a letter, and data. Postfix sends the parts of a message one after the other and wants an answer at
the end only, when the session has asked for that. A session's conversation is an object with these methods:

    wants_recipients()           whether recipient() is to be called at all
    connect(address)             the client's IP address, or None
    sender(login, address)       a message begins
    recipient()                  one more recipient
    header(name, value)          a header field, bytes
    end_of_message(queue_id)     returns the answer: a list of packets, of which the last one is CONTINUE or a reply()
"""

from __future__ import annotations

import asyncio
import struct
import sys
import traceback

VERSION = 6
LONGEST_PACKET = 1024 * 1024

# What the service may do (add headers, change them, change the sender), and that it names the macros that it wants.
MAY = 0x01 | 0x10 | 0x40
MAY_NAME_MACROS = 0x100
# What Postfix need not send (HELO, body, unknown commands, DATA, end of header, recipients), and where it need not wait for an answer.
NO_HELO, NO_RECIPIENT, NO_BODY, NO_END_OF_HEADER, NO_UNKNOWN, NO_DATA = 0x02, 0x08, 0x10, 0x40, 0x100, 0x200
UNANSWERED = {b"C": 0x1000, b"M": 0x4000, b"R": 0x8000, b"L": 0x80}
# Stage -> macros: at CONNECT one that is always there, because an empty list would mean all of them; at MAIL; at the end of the message.
MACROS = {0: b"j", 2: b"{auth_authen}", 3: b"j", 5: b"i"}

CONTINUE = struct.pack("!I", 1) + b"c"


def packet(letter, data=b""):
    """Return a packet."""
    return struct.pack("!I", len(data) + 1) + letter + data


def text(value):
    """Return text of bytes; what is no UTF-8 is kept as surrogates."""
    return value.decode("utf-8", "surrogateescape")


def coded(value):
    """Return text as the bytes that it came from, with the zero that ends it."""
    return value.encode("utf-8", "surrogateescape").replace(b"\0", b"") + b"\0"


def change_sender(address):
    """Return the packet that gives the message another envelope sender."""
    return packet(b"e", coded(f"<{address}>"))


def change_header(name, number, value):
    """Return the packet that changes the header field of this name and number; it is added when it is not there, and an empty value removes it."""
    return packet(b"m", struct.pack("!I", number) + coded(name) + coded(value))


def reply(code, status, words):
    """Return the packet that refuses a message, for now or for good. Percent signs are doubled, as everybody who speaks this protocol expects."""
    return packet(b"y", coded(f"{code} {status} {words.replace('%', '%%')}"))


def options(data, recipients):
    """Return (the answer to Postfix's offer, what it need not wait for)."""
    _version, actions, steps = struct.unpack_from("!III", data)
    wanted = NO_HELO | NO_BODY | NO_END_OF_HEADER | NO_UNKNOWN | NO_DATA | sum(UNANSWERED.values()) | (0 if recipients else NO_RECIPIENT)
    answer = struct.pack("!III", VERSION, (MAY | MAY_NAME_MACROS) & actions, wanted & steps)
    if actions & MAY_NAME_MACROS:
        answer += b"".join(struct.pack("!I", stage) + names + b"\0" for stage, names in MACROS.items())
    return packet(b"O", answer), wanted & steps


def client_address(data):
    """Return the IP address in what Postfix says about a client, or None."""
    _name, _end, rest = data.partition(b"\0")
    return text(rest[3:].partition(b"\0")[0]).removeprefix("IPv6:") if rest[:1] in (b"4", b"6") else None


def macros(data):
    """Return the macros in a packet, as a dict; the first letter tells for which step they are."""
    parts = data[1:].split(b"\0")
    return dict(zip(parts[0::2], parts[1::2], strict=False))


class Session(asyncio.Protocol):
    """One connection of Postfix: takes packets apart and tells the conversation what is in them."""

    def __init__(self, conversation):
        self.conversation, self.buffer, self.known, self.unanswered, self.transport = conversation, bytearray(), {}, 0, None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        start = 0
        while len(self.buffer) - start >= 5:
            length = int.from_bytes(self.buffer[start:start + 4], "big")
            if not 1 <= length <= LONGEST_PACKET:
                self.transport.abort()
                return
            if len(self.buffer) - start < 4 + length:
                break
            letter, content = bytes(self.buffer[start + 4:start + 5]), bytes(self.buffer[start + 5:start + 4 + length])
            start += 4 + length
            if not self.understood(letter, content):
                return
        del self.buffer[:start]

    def understood(self, letter, content):
        """Answer one packet; return whether the session goes on. A mistake in the service defers the message."""
        if letter in (b"Q", b"K"):
            self.transport.close()
            return False
        try:
            answer = self.answer(letter, content)
        except Exception as error:    # pylint: disable=broad-exception-caught
            sys.stderr.write(f"{type(error).__name__} in {traceback.extract_tb(error.__traceback__)[-1].name}: {str(error)!a}\n")
            self.transport.write(packet(b"t"))
            self.transport.close()
            return False
        if answer:
            self.transport.write(answer)
        return True

    def answer(self, letter, content):
        """Tell the conversation; return what Postfix waits for."""
        if letter == b"L":
            name, value = content.split(b"\0")[:2]
            self.conversation.header(name, value)
        elif letter == b"D":
            self.known[content[:1]] = macros(content)
            return b""
        elif letter == b"R":
            self.conversation.recipient()
        elif letter == b"M":
            self.conversation.sender(text(self.known.pop(b"M", {}).get(b"{auth_authen}", b"")), text(content.partition(b"\0")[0]))
        elif letter == b"E":
            queue_id = self.known.pop(b"E", {}).get(b"i", b"-")
            return b"".join(self.conversation.end_of_message(text(queue_id)))
        elif letter == b"C":
            self.conversation.connect(client_address(content))
        elif letter == b"O":
            packed, self.unanswered = options(content, self.conversation.wants_recipients())
            return packed
        elif letter == b"A":    # this message is over; the next one begins with its sender
            return b""
        return b"" if UNANSWERED.get(letter, 0) & self.unanswered else CONTINUE
