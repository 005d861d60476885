# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft never has to throttle: whatever is handed in at once leaves at the rate that it allows, none lost, none twice, and a lone message at once."""

from __future__ import annotations

import datetime
import json
import time

import pytest
from conftest import MAILBOX, RECIPIENT, submit, wait_for
from pacing import FAST, LIMIT, SLOW, STATE, STATUS, WINDOW, arrived, burst, limits, quiet, refusals, scaled, settings, status, write

__all__ = ["limits", "scaled"]    # fixtures


def seconds_between(first, last):
    """Return the seconds between two times as the lab writes them."""
    return (datetime.datetime.fromisoformat(last) - datetime.datetime.fromisoformat(first)).total_seconds()


@pytest.mark.parametrize(("model", "speed"), [("A", FAST), ("A", SLOW), ("B", FAST), ("G", FAST), ("G", SLOW)],
                         ids=["A-fast", "A-slow", "B-fast", "G-fast", "G-slow"])
def test_a_burst_leaves_at_the_full_rate_without_one_refusal(limits, host, model, speed, record_property):
    lab = limits(model, speed)
    started = time.time()
    sent = burst(host, 150)
    times = arrived(lab, sent, seconds=90)
    assert refusals(lab) == []
    assert not host.check_output("postqueue -j")
    taken = seconds_between(times[0], times[-1])
    used = len(sent) / taken / (LIMIT / WINDOW)
    record_property("rate", f"{used:.2f}")
    assert used >= 0.95, f"{len(sent)} messages took {taken:.1f} s, {used:.0%} of what is allowed, {time.time() - started:.0f} s in all"


def test_a_lone_message_is_not_slowed(limits, bed, host):
    lab = limits("A", FAST)
    began = time.monotonic()
    assert len(lab.delivered(submit(bed["hosts"]["relay"]["addresses"][0]))) == 1
    assert time.monotonic() - began < 3
    assert refusals(lab) == []


def test_killed_in_mid_burst_nothing_is_lost_or_refused(limits, host):
    lab = limits("A", FAST)
    sent = burst(host, 100)
    for _turn in range(3):
        time.sleep(3)
        host.check_output("systemctl kill --signal=SIGKILL m365-relay-pacer")
    times = arrived(lab, sent, seconds=240)
    assert len(times) == len(sent)
    assert refusals(lab) == []


def test_the_null_sender_and_mail_of_the_host_itself_are_paced_too(limits, host):
    lab = limits("A", FAST)
    host.check_output("for n in $(seq 25); do printf 'From: <%s>\\nTo: %s\\nSubject: x\\n\\nhi\\n' | sendmail -f '' %s; "
                      "printf 'To: %s\\nSubject: x\\n\\nhi\\n' | sendmail %s; done", *[MAILBOX, *[RECIPIENT] * 4])
    wait_for("50 messages", lambda: len(lab("GET", "/inbox")) == 50, seconds=90)
    assert refusals(lab) == []
    assert {item["envelope_from"] for item in lab("GET", "/inbox")} <= {"", MAILBOX}


def test_the_daily_budget_holds_back_and_goes_on_when_its_day_is_over(limits, host):
    lab = limits("A", FAST)
    before = wait_for("a status", lambda: status(host))["recipients_today"]
    settings(host, recipients_per_day=before + 10)
    lab("DELETE", "/inbox")
    sent = burst(host, 20)
    wait_for("a mailbox that is held back", lambda: status(host)["held"], seconds=60)
    time.sleep(10)
    assert len(lab("GET", "/inbox")) == 10
    assert "has reached its" in host.check_output("journalctl --unit m365-relay-pacer --output cat --no-pager --since -5min")
    assert len(host.check_output("postqueue -j").splitlines()) == 10
    # The day is over: what was counted lies before it now.
    host.check_output("systemctl stop m365-relay-pacer")
    day = json.loads(host.check_output("cat %s/day.json", STATE))
    day["hours"] = {mailbox: {str(int(hour) - 26): count for hour, count in hours.items()} for mailbox, hours in day["hours"].items()}
    write(host, f"{STATE}/day.json", day)
    host.check_output("chown --reference=%s %s/day.json", STATE, STATE)
    host.check_output("systemctl start m365-relay-pacer")
    wait_for("a mailbox that may send again", lambda: not status(host)["held"], seconds=60)
    host.check_output("postqueue -f")
    arrived(lab, sent, seconds=200)
    assert refusals(lab) == []
    settings(host, recipients_per_day=10000)


def test_what_went_is_remembered_over_a_restart(limits, host):
    lab = limits("A", FAST)
    first = burst(host, LIMIT)
    wait_for("a full window", lambda: len(lab("GET", "/inbox")) == LIMIT, seconds=30)
    host.check_output("systemctl restart m365-relay-pacer")
    second = burst(host, 5)
    arrived(lab, first + second, seconds=150)
    assert refusals(lab) == []


def test_the_status_is_for_everybody_to_read(scaled, host):
    quiet(host)
    assert host.file(STATUS).mode == 0o644
    assert status(host)["recipients_limit"] == 10000
