# SPDX-License-Identifier: GPL-3.0-or-later
"""Renewals that meet each other, a sign-in, a kill or a full disk: one valid token file, and no request too many."""

from __future__ import annotations

import contextlib
import fcntl
import json
import multiprocessing
import os
import signal
import time

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _identity, _renewal, _signin, _tokens
from ansible_collections.simple_m365.relay.tests.unit.plugins.sign_in_service import CODE, DISCOVERY, access_token, success

MAILBOX = "scans@corp.test"
ROUNDS = 200
RENEWED = (DISCOVERY, ("token", success(refresh_token="rotated")))
STEPS = (
    (os, "open"), (os, "close"), (os, "lstat"), (os, "scandir"), (os, "fchown"), (os, "fchmod"), (os, "fsync"), (os, "rename"), (os, "unlink"),
    (fcntl, "flock"), (_signin, "refresh"),
)


def expired(identity):
    """Store a token that has ended; return it."""
    content = _tokens.content(identity, access_token(), "old refresh", time.time() - 1)
    _tokens.store(MAILBOX, content)
    return content


def valid(relay, identity):
    """Return the token in the file, which has to be whole and this identity's."""
    token = json.loads((relay / f"tokens/{MAILBOX}").read_bytes())
    assert _tokens.why_not_good(token, identity) is None
    return token


def temporary_files(relay):
    """Return what was left half written."""
    return [path.name for path in relay.rglob("*.new")]


# --- Two renewals and a sign-in at the same moment ---

def work(what, identity, barrier, trouble):
    """Do one thing in every round, at the same moment as the others."""
    for _turn in range(ROUNDS):
        barrier.wait(60)    # the token has expired, and a sign-in was started
        try:
            what(identity)
        except Exception as error:
            trouble.put(f"{what.__name__}: {error!r}")
        barrier.wait(60)    # all are done


def test_two_renewals_and_a_sign_in_at_the_same_moment(relay, identity, microsoft, monkeypatch):
    """A renewal asks once, by whichever process; none when the sign-in came first."""
    answers = {"discovery": "good discovery", "devicecode": (200, CODE)}

    def answer(what, form):
        microsoft.requests.append((what, form.get("grant_type", "").rpartition(":")[2]))
        return answers.get(what) or success(refresh_token=f"refresh {len(microsoft.requests)}")

    monkeypatch.setattr(microsoft, "answer", answer)
    context = multiprocessing.get_context("fork")
    barrier, trouble = context.Barrier(4), context.Queue()
    tasks = (_renewal.renew, _renewal.renew, _identity.finish_sign_in)
    workers = [context.Process(target=work, args=(what, identity, barrier, trouble), daemon=True) for what in tasks]
    for worker in workers:
        worker.start()
    asked = []
    for _turn in range(ROUNDS):
        expired(identity)
        _identity.start_sign_in(identity)
        microsoft.requests.clear()
        barrier.wait(60)
        barrier.wait(60)
        token = valid(relay, identity)
        assert token["refresh_token"] != "old refresh" and int(token["expiry"]) > time.time() + 3000
        asked.append([grant for what, grant in microsoft.requests if what == "token"])
    for worker in workers:
        worker.join(30)
    assert trouble.empty(), trouble.get()
    assert max(grants.count("refresh_token") for grants in asked) <= 1
    assert all(grants.count("device_code") == 1 for grants in asked)
    assert temporary_files(relay) == []


# --- A kill, and a full disk, at any step ---

def with_steps(number, identity, at_step):
    """Renew; before the step `number`, call at_step. Return whether it came to an end without that."""
    left, whole = [number], {(holder, name): getattr(holder, name) for holder, name in STEPS}

    def counted(function, name):
        def step(*arguments, **options):
            if left[0] == 0:
                at_step(name)
            left[0] -= 1
            return function(*arguments, **options)
        return step

    for (holder, name), function in whole.items():
        setattr(holder, name, counted(function, name))
    try:
        _renewal.renew(identity)
    finally:
        for (holder, name), function in whole.items():
            setattr(holder, name, function)
    return left[0] >= 0


def killed(number, identity):
    """Renew in a child that kills itself before a step; return whether it ended before that."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            with_steps(number, identity, lambda _name: os.kill(os.getpid(), signal.SIGKILL))
            os._exit(0)
        os._exit(1)
    _pid, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


def everything_asked(microsoft, monkeypatch):
    """Let the service answer every renewal, however often it is asked."""
    monkeypatch.setattr(microsoft, "answer", lambda what, _form: dict([RENEWED[0], RENEWED[1]])[what])


def test_a_kill_at_any_step_leaves_the_old_token_or_the_new_one(relay, identity, microsoft, monkeypatch):
    everything_asked(microsoft, monkeypatch)
    steps = 0
    while True:
        old = expired(identity)
        (relay / f"state/{MAILBOX}.json").unlink(missing_ok=True)
        ended = killed(steps, identity)
        new = (relay / f"tokens/{MAILBOX}").read_bytes()
        assert new == old or valid(relay, identity)["refresh_token"] == "rotated"
        assert _renewal.renew(identity)["outcome"] == ("fresh" if new != old else "renewed")
        assert temporary_files(relay) == [] and valid(relay, identity)["refresh_token"] == "rotated"
        if ended:
            break
        steps += 1
    assert steps > 20


@pytest.mark.parametrize("step", ["open", "fsync", "rename"])
def test_a_full_disk_at_any_step_leaves_the_old_token_or_the_new_one(relay, identity, microsoft, monkeypatch, step):
    everything_asked(microsoft, monkeypatch)
    met = 0

    def full(name):
        nonlocal met
        if name == step:
            met += 1
            raise OSError(28, "No space left on device")

    for number in range(60):
        old = expired(identity)
        with contextlib.suppress(OSError):
            with_steps(number, identity, full)
        new = (relay / f"tokens/{MAILBOX}").read_bytes()
        assert new == old or valid(relay, identity)["refresh_token"] == "rotated"
        assert _renewal.renew(identity)["outcome"] in ("fresh", "renewed")
        assert temporary_files(relay) == [] and valid(relay, identity)["refresh_token"] == "rotated"
    assert met


def test_a_disk_that_is_full_is_seen_before_microsoft_is_asked(relay, identity, microsoft, monkeypatch):
    expired(identity)

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        _renewal.renew(identity)
    assert microsoft.requests == []
