# SPDX-License-Identifier: GPL-3.0-or-later
"""The milter protocol, packet by packet. That Postfix understands it is shown on real hosts."""

from __future__ import annotations

import struct

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _milter_protocol as protocol

EVERYTHING = struct.pack("!III", 6, 0x1FF, 0x1FFFFF)


class Transport:
    """What Postfix gets."""

    def __init__(self):
        self.sent, self.closed = b"", False

    def write(self, data):
        self.sent += data

    def close(self):
        self.closed = True

    abort = close


class Conversation:
    """Remembers what it is told."""

    def __init__(self):
        self.told = []

    def wants_recipients(self):
        return False

    def __getattr__(self, name):
        return lambda *arguments: self.told.append((name, *arguments))

    def end_of_message(self, queue_id):
        self.told.append(("end", queue_id))
        return [protocol.change_sender("a@b.test"), protocol.CONTINUE]


@pytest.fixture
def session():
    """A session that has been agreed on."""
    begun = protocol.Session(Conversation())
    begun.connection_made(Transport())
    begun.data_received(protocol.packet(b"O", EVERYTHING))
    begun.transport.sent = b""
    return begun


MESSAGE = [
    (b"D", b"Cj\0relay.corp.test\0"), (b"C", b"host\0" + b"4\x01\x02192.0.2.1\0"), (b"D", b"M{auth_authen}\0scanner@corp.test\0"),
    (b"M", b"<a@b.test>\0SIZE=1\0"), (b"L", b"From\0a@b.test\0"), (b"D", b"Ei\x004XYZ\0"), (b"E", b""),
]
TOLD = [("connect", "192.0.2.1"), ("sender", "scanner@corp.test", "<a@b.test>"), ("header", b"From", b"a@b.test"), ("end", "4XYZ")]


@pytest.mark.parametrize("at_once", [1, 2, 7, 1000])
def test_a_message_however_it_is_cut_gets_one_answer_at_its_end(session, at_once):
    data = b"".join(protocol.packet(*step) for step in MESSAGE)
    for start in range(0, len(data), at_once):
        session.data_received(data[start:start + at_once])
    assert session.conversation.told == TOLD
    assert session.transport.sent == protocol.packet(b"e", b"<a@b.test>\0") + protocol.packet(b"c")


def test_the_login_of_one_message_is_not_that_of_the_next(session):
    for step in [*MESSAGE, (b"M", b"<c@d.test>\0")]:
        session.data_received(protocol.packet(*step))
    assert session.conversation.told[-1] == ("sender", "", "<c@d.test>")


def test_what_postfix_does_not_offer_is_not_taken():
    answer, unanswered = protocol.options(struct.pack("!III", 6, 0x11, 0x1F), recipients=True)
    assert struct.unpack("!III", answer[5:]) == (6, 0x11, 0x12)
    assert unanswered == 0x12


def test_recipients_are_asked_for_only_when_they_count():
    for recipients in (True, False):
        steps = struct.unpack_from("!III", protocol.options(EVERYTHING, recipients)[0], 5)[2]
        assert bool(steps & protocol.NO_RECIPIENT) is not recipients


def test_a_postfix_that_wants_answers_gets_them():
    session = protocol.Session(Conversation())
    session.connection_made(Transport())
    session.data_received(protocol.packet(b"O", struct.pack("!III", 6, 0x1FF, 0)))
    session.transport.sent = b""
    for letter, content in MESSAGE[:-1]:
        session.data_received(protocol.packet(letter, content))
    assert session.transport.sent == protocol.packet(b"c") * 3


def test_a_mistake_defers_the_message_and_ends_the_session(session, capsys):
    session.data_received(protocol.packet(b"L", b"no value"))
    assert session.transport.sent == protocol.packet(b"t")
    assert session.transport.closed
    assert "ValueError in answer" in capsys.readouterr().err


@pytest.mark.parametrize("data", [b"\0\0\0\0x", b"\xff\xff\xff\xffx", struct.pack("!I", protocol.LONGEST_PACKET + 1) + b"L"])
def test_nonsense_ends_the_session(session, data):
    session.data_received(data)
    assert session.transport.closed
    assert not session.transport.sent


def test_a_quit_ends_the_session_and_an_abort_the_message(session):
    session.data_received(protocol.packet(b"A"))
    assert not session.transport.closed
    session.data_received(protocol.packet(b"Q"))
    assert session.transport.closed
    assert not session.transport.sent


@pytest.mark.parametrize(("data", "address"), [
    (b"h\x004\x00\x19192.0.2.1\0", "192.0.2.1"), (b"h\x006\x00\x19IPv6:2001:db8::1\0", "2001:db8::1"), (b"h\x006\x00\x192001:db8::1\0", "2001:db8::1"),
    (b"h\0U", None), (b"h\0L\x00\x00/a\0", None),
])
def test_the_address_of_a_client(data, address):
    assert protocol.client_address(data) == address


def test_a_percent_sign_is_doubled_and_a_zero_is_dropped():
    assert protocol.reply("550", "5.7.1", "100% a\0b") == protocol.packet(b"y", b"550 5.7.1 100%% ab\0")


def test_bytes_that_are_no_utf_8_stay_what_they_are():
    assert protocol.coded(protocol.text(b"B\xfcro")) == b"B\xfcro\0"
