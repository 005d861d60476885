# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft's limits in the three models, with a window of less than a second instead of a minute."""
from __future__ import annotations

import contextlib
import smtplib
import time

import pytest
from m365.limits import Limits
from m365.settings import defaults
from tester import MAILBOX, send, until

WINDOW = 0.6


def burst(lab, count: int) -> list[tuple[int, bytes]]:
    with lab.mailbox() as client:
        return [send(client) for _turn in range(count)]


@pytest.mark.parametrize("phase", ["mail", "end_of_data"])
def test_model_a_refuses_what_is_above_the_rate_and_takes_it_later(lab, phase):
    lab.set(limit_model="A", rate_limit=5, rate_window=WINDOW, rate_reject_at=phase)
    replies = burst(lab, 7)
    assert [code for code, _text in replies] == [250] * 5 + [451] * 2 and replies[-1][1].startswith(b"4.7.500 Server busy")
    assert lab.events("smtp refused")[0]["phase"] == phase
    time.sleep(WINDOW)
    assert [code for code, _text in burst(lab, 1)] == [250]


@pytest.mark.parametrize("model", ["B", "G"])
def test_models_b_and_g_let_the_rest_wait_at_the_end_of_data(lab, model):
    lab.set(limit_model=model, rate_limit=5, rate_window=WINDOW)
    begin = time.monotonic()
    assert [code for code, _text in burst(lab, 11)] == [250] * 11
    assert 2 * WINDOW - 0.1 < time.monotonic() - begin < 3 * WINDOW + 0.3
    assert len(lab.inbox()) == 11


def test_the_limit_is_the_mailbox_s_and_not_the_lab_s(lab):
    lab.set(rate_limit=1, rate_window=WINDOW)
    assert [code for code, _text in burst(lab, 2)] == [250, 451]
    with lab.mailbox("billing@corp.test") as client:
        assert send(client, "billing@corp.test")[0] == 250


def test_a_refused_message_does_not_count(lab):
    lab.set(rate_limit=1, rate_window=WINDOW)
    with lab.mailbox() as client:
        assert send(client, header_from="x@corp.test")[0] == 554
        client.mail(MAILBOX)
        client.rset()
        assert send(client)[0] == 250


def test_no_limit(lab):
    lab.set(rate_limit=0)
    assert {code for code, _text in burst(lab, 40)} == {250}


@pytest.mark.parametrize(("fixed", "stamps", "now", "slot"), [
    (False, [], 100.0, 100.0), (False, [99.5], 100.0, 100.0), (False, [99.5, 99.6], 100.0, 109.5), (False, [88.0, 99.6], 100.0, 100.0),
    (False, [99.5, 99.6, 109.5], 100.0, 109.6), (True, [99.5, 99.6], 100.0, 100.0), (True, [100.1, 100.2], 101.0, 110.0),
    (True, [100.1, 100.2, 110.0, 110.0], 101.0, 120.0)])
def test_the_next_free_place_in_the_window(fixed, stamps, now, slot):
    limits, settings = Limits(), {**defaults(), "rate_limit": 2, "rate_window": 10, "rate_window_fixed": fixed}
    for stamp in stamps:
        limits.take(MAILBOX, settings, stamp)
    assert limits.slot(MAILBOX, settings, now) == pytest.approx(slot)


def test_the_fourth_transaction_at_a_time_is_refused_after_data(lab):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(lab.mailbox()) for _turn in range(4)]
        for client in clients[:3]:
            assert client.mail(MAILBOX)[0] == 250
        code, text = send(clients[3])
        assert code == 432 and text.startswith(b"4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded [Hostname=")
        clients[0].rcpt("someone@example.org")
        assert clients[0].data(f"From: {MAILBOX}\r\n\r\nx\r\n")[0] == 250
        assert send(clients[3])[0] == 250


def test_four_connections_are_fine_as_long_as_three_send(lab):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(lab.mailbox()) for _turn in range(4)]
        assert [send(client)[0] for client in clients] == [250] * 4


def test_model_g_refuses_the_fourth_connection_at_the_greeting(lab):
    lab.set(limit_model="G")
    until(lambda: lab.control("GET", "/state")["connections"] == 0)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(lab.mailbox()) for _turn in range(3)]
        with pytest.raises(smtplib.SMTPConnectError, match=r"4\.3\.2 Concurrent connections limit exceeded"):
            stack.enter_context(lab.smtp())
        clients[0].quit()
        until(lambda: lab.control("GET", "/state")["connections"] == 2)
        stack.enter_context(lab.mailbox())


def test_recipients_of_a_message_and_of_a_day(lab):
    lab.set(recipients_per_message=3, recipients_per_day=5)
    people = [f"{number}@example.org" for number in range(4)]
    with lab.mailbox() as client:
        assert send(client, to=people)[0] == 452
        client.rset()
        assert [send(client, to=people[:3])[0] for _turn in range(2)] == [250, 250]
        code, text = send(client, to=people[:1])
    assert code == 554 and text.startswith(b"5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException")
