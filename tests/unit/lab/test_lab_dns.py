# SPDX-License-Identifier: GPL-3.0-or-later
"""What dnsmasq is told, and the answer SERVFAIL; that names really resolve is seen on real hosts."""
from __future__ import annotations

import socket
import struct

from m365 import dns

QUERY = struct.pack("!HHHHHH", 0x1234, 0x0120, 1, 0, 0, 0) + b"\x04smtp\x09office365\x03com\x00" + struct.pack("!HH", 28, 1)


def test_every_name_has_both_addresses_and_is_never_asked_elsewhere():
    made = dns.arguments(53, ["192.0.2.1", "2001:db8::1"], "192.0.2.53")
    assert "--host-record=smtp.office365.com,192.0.2.1,2001:db8::1" in made and "--host-record=login.microsoftonline.com,192.0.2.1,2001:db8::1" in made
    assert "--local=/smtp.office365.com/" in made and "--server=192.0.2.53" in made and "--no-resolv" in made


def test_names_that_are_gone_have_no_record_but_are_still_local():
    made = dns.arguments(53, ["192.0.2.1"], "192.0.2.53", "dns_gone")
    assert not [argument for argument in made if argument.startswith("--host-record")] and "--local=/smtp.office365.com/" in made


def test_names_that_cannot_be_looked_up_are_sent_to_the_one_who_says_servfail():
    made = dns.arguments(53, ["192.0.2.1"], "192.0.2.53", "dns_servfail")
    assert f"--server=/smtp.office365.com/127.0.0.1#{dns.SERVFAIL_PORT}" in made and "--local=/smtp.office365.com/" not in made


def test_servfail_is_an_answer_to_the_question():
    listener = dns.answer_servfail(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.sendto(QUERY, listener.getsockname())
        answer = client.recv(512)
    ident, flags, questions, answers, _authority, _additional = struct.unpack("!HHHHHH", answer[:12])
    assert ident == 0x1234 and flags & 0x8000 and flags & 0xF == 2 and (questions, answers) == (1, 0) and answer[12:] == QUERY[12:]
