# SPDX-License-Identifier: GPL-3.0-or-later
"""While something is broken mail waits; when it is mended every message arrives, once. Nothing bounces."""

from __future__ import annotations

import collections
import json

import pytest
from conftest import MAILBOX, RECIPIENT, connect, expire, message, refreshes_by_the_plugin, submit, token_file, wait_for


def queue(host):
    """Return the messages that wait on the relay."""
    return [json.loads(line) for line in host.check_output("postqueue -j").splitlines()]


def hand_over(bed, count):
    """Give the relay this many messages over a few sessions; return their Message-IDs."""
    sent = []
    for start in range(0, count, 100):
        with connect(bed["hosts"]["relay"]["addresses"][0], 587) as session:
            session.login("scanner", "planted-Pa55word-scanner")
            for _turn in range(start, min(start + 100, count)):
                mail = message()
                session.send_message(mail)
                sent.append(mail["Message-ID"])
    return sent


def all_deferred(host, count):
    """Return the queue once all its messages have been tried in vain."""
    waiting = queue(host)
    tried = [item for item in waiting if item["queue_name"] == "deferred" and any(recipient.get("delay_reason") for recipient in item["recipients"])]
    return tried if len(tried) == count else None


def assert_all_arrive_once(lab, host, sent):
    """Wait until the queue is empty; every message was accepted exactly once, and nothing else."""
    host.check_output("postqueue -f")
    wait_for("an empty queue", lambda: not queue(host), seconds=90)
    copies = collections.Counter(item["message_id"] for item in lab("GET", "/inbox"))
    assert copies == collections.Counter(sent)


@pytest.fixture(scope="module", autouse=True)
def signed_in(deploy):
    """Begin with a relay that is as the inventory says, and leave one."""
    deploy()
    yield
    deploy()


def test_an_expired_access_token_is_renewed_once_and_mail_flows(bed, lab, host):
    expire(host)
    assert len(lab.delivered(submit(bed["hosts"]["relay"]["addresses"][0]))) == 1
    assert len(lab.delivered(submit(bed["hosts"]["relay"]["addresses"][0]))) == 1
    assert len(refreshes_by_the_plugin(lab)) == 1


OUTAGES = ["down_smtp", "wrong_name_smtp", "expired_smtp", "untrusted_smtp", "no_starttls", "dns_gone", "dns_servfail",
           "down_signin", "wrong_name_signin", "expired_signin", "untrusted_signin", "http_500"]


@pytest.mark.parametrize("fault", OUTAGES)
def test_mail_waits_while_microsoft_cannot_be_reached_and_arrives_afterwards(bed, lab, host, fault):
    expire(host)  # so that the sign-in service is needed too
    lab("POST", "/faults", {"name": fault})
    sent = hand_over(bed, 5)
    wait_for("five deferred messages", lambda: all_deferred(host, 5))
    assert lab("GET", "/inbox") == []
    lab("DELETE", "/faults")
    assert_all_arrive_once(lab, host, sent)


def test_a_batch_of_500_messages_handed_over_during_an_outage_arrives_complete(bed, lab, host):
    host.check_output("postfix reload")
    lab("POST", "/faults", {"name": "down_smtp"})
    sent = hand_over(bed, 500)
    wait_for("500 deferred messages", lambda: all_deferred(host, 500))
    lab("DELETE", "/faults")
    assert_all_arrive_once(lab, host, sent)


def test_with_a_revoked_refresh_token_mail_waits_until_somebody_signs_in_again(bed, lab, host, play):
    before = token_file(host)
    expire(host)
    lab("POST", "/revoke", {"account": MAILBOX})
    sent = hand_over(bed, 5)
    wait_for("five deferred messages", lambda: all_deferred(host, 5))
    assert RECIPIENT in host.check_output("postqueue -p")
    lab("POST", "/person", {"account": MAILBOX})
    done = play("site")
    assert done.returncode == 0, done.stdout
    assert token_file(host) != before
    assert_all_arrive_once(lab, host, sent)
