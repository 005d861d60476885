# SPDX-License-Identifier: GPL-3.0-or-later
"""After a run with a changed inventory the running relay does what the new one says, and no more what the old one said."""

from __future__ import annotations

import smtplib
import socket

import pytest
from conftest import PASSWORDS, connect, message


@pytest.fixture
def relay(bed):
    """The relay's IPv4 address."""
    return bed["hosts"]["relay"]["addresses"][0]


def test_a_port_that_was_switched_off_is_closed(relay):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((relay, 465), timeout=10)


def test_the_new_password_counts_and_the_old_one_does_not(relay):
    with connect(relay, 587) as session:
        session.login("scanner", "planted-Pa55word-changed")
    with connect(relay, 587) as session, pytest.raises(smtplib.SMTPAuthenticationError):
        session.login("scanner", PASSWORDS["scanner"])


def test_an_account_that_is_no_longer_listed_is_gone(relay, host):
    with connect(relay, 587) as session, pytest.raises(smtplib.SMTPAuthenticationError):
        session.login("printer", PASSWORDS["printer"])
    assert sorted(host.check_output("sasldblistusers2").split()) == ["newcomer@branch.test:", "scanner@corp.test:", "userPassword", "userPassword"]


def test_a_new_account_in_a_realm_of_its_own_sends(relay, lab):
    mail = message()
    with connect(relay, 587) as session:
        session.login("newcomer@branch.test", "planted-Pa55word-newcomer")
        session.send_message(mail)
    assert len(lab.delivered(mail["Message-ID"])) == 1


def test_the_size_that_is_announced_is_the_new_one(relay):
    with smtplib.SMTP(relay, 25, timeout=10) as session:
        session.ehlo("client.corp.test")
        assert session.esmtp_features["size"] == "1000000"
