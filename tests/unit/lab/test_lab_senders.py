# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose name a message carries: tricks with From are seen."""
from __future__ import annotations

import pytest
from m365 import senders

ME = "scans@corp.test"


@pytest.mark.parametrize("header", [
    f"From: {ME}", f"from: <{ME}>", f"FROM: Scanner <{ME}>", f'From: "Scanner, 2nd floor" <{ME}>', f"From: =?utf-8?q?Sc=C3=A4nner?= <{ME}>",
    "From: Scanner <SCANS@Corp.Test>", f"From: {ME} (the scanner)", f"From: Scanner\r\n <{ME}>", f"From: Scänner <{ME}>",
    f'From: "boss@corp.test" <{ME}>', f"Subject: x\r\nFrom: {ME}\r\nTo: boss@corp.test"])
def test_these_are_the_mailbox(header):
    assert senders.from_addresses(senders.headers(f"{header}\r\n\r\nbody\r\n".encode())) == [ME]


@pytest.mark.parametrize("header", [
    "From: boss@corp.test", f"From: {ME}, boss@corp.test", f"From: {ME}\r\nFrom: boss@corp.test", f"From: boss@corp.test\r\nFROM: {ME}",
    f"From: {ME} <boss@corp.test>", f"From: Group: {ME}, boss@corp.test;", "From: Group: ;", "From:", "From: scans", f"From: {ME}.evil.test",
    f"From: {ME}\rFrom: boss@corp.test", f"From: {ME}\nFrom: boss@corp.test", f"From : boss@corp.test\r\nFrom: {ME}", f"From: <{ME}> <boss@corp.test>",
    f"From: =?utf-8?q?{ME}?=", f"From: boss@corp.test ({ME})", "From: scans@[192.0.2.1]", "From: scans@corp.test.", f"From: {ME}\0",
    f"From: @boss.test:{ME}x", f"From: {ME}; boss@corp.test", "From: \"scans@corp.test\"@evil.test"])
def test_these_are_not(header):
    assert senders.denied(ME, [], ME, senders.from_addresses(senders.headers(f"{header}\r\n\r\nbody\r\n".encode()))) is not None


@pytest.mark.parametrize(("envelope", "froms", "denied"), [
    (ME, [ME], None), ("", [ME], None), ("SCANS@corp.test", [ME], None), ("sales@corp.test", ["sales@corp.test"], None),
    (ME, ["boss@corp.test"], "boss@corp.test"),
    ("boss@corp.test", [ME], "boss@corp.test"), ("", ["boss@corp.test"], "boss@corp.test"), (ME, ["?"], "?"), (ME, [ME, ME], f"{ME}, {ME}")])
def test_who_is_denied(envelope, froms, denied):
    assert senders.denied(ME, ["sales@corp.test"], envelope, froms) == denied
