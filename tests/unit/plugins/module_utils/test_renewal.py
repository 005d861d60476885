# SPDX-License-Identifier: GPL-3.0-or-later
"""When a token is renewed, what is remembered of it, and how it waits after a failure."""

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _renewal, _tokens
from ansible_collections.simple_m365.relay.tests.unit.plugins.sign_in_service import DISCOVERY, access_token, failure, success

MAILBOX = "scans@corp.test"
NOW = 1_800_000_000
DAY = 86400
RENEWED = (DISCOVERY, ("token", success(refresh_token="rotated")))


def stored(identity, left=3000, state=None, **claims):
    """Store a token that ends `left` seconds after NOW, and its state."""
    _tokens.store(MAILBOX, _tokens.content(identity, access_token(**claims), "old refresh", NOW + left))
    if state:
        _renewal._remember(identity, **state)


def test_everything_about_a_renewal_is_remembered(relay, identity, microsoft):
    stored(identity, left=0, state={"signed_in_at": NOW - DAY, "rotated_at": NOW - DAY})
    microsoft.expects(*RENEWED)
    found = _renewal.renew(identity, now=NOW)
    assert (found["outcome"], found["expired_at"], found["expires_at"], found["error"]) == ("renewed", NOW, NOW + 3600, None)
    assert json.loads((relay / f"state/{MAILBOX}.json").read_bytes()) == {
        **{key: identity[key] for key in ("mailbox", "sign_in_as", "tenant_id", "client_id", "login_host", "scope", "grant")},
        "signed_in_at": NOW - DAY, "renewed_at": NOW, "corrected_at": 0, "issued_at": NOW, "expires_at": NOW + 3600, "rotated_at": NOW, "last_attempt_at": NOW,
        "next_attempt_at": 0, "failures": 0, "last_error": None, "whose": MAILBOX, "granted": "SMTP.Send", "credential_expires_at": 0,
    }
    assert json.loads((relay / f"tokens/{MAILBOX}").read_bytes())["refresh_token"] == "rotated"


def test_the_day_of_the_last_rotation_stays_when_nothing_rotates(relay, identity, microsoft):
    stored(identity, left=0, state={"rotated_at": NOW - DAY})
    microsoft.expects(DISCOVERY, ("token", success(refresh_token=None)))
    _renewal.renew(identity, now=NOW)
    assert _renewal.known(MAILBOX)["rotated_at"] == NOW - DAY


DUE = {
    "the last attempt failed": (3600, {"failures": 1, "renewed_at": NOW - 60}, {}, True),
    "above the threshold": (1201, {}, {}, False),
    "at the threshold": (1200, {}, {}, True),
    "it does not say whose it is": (3000, {}, {"upn": None}, True),
    "used yesterday": (DAY, {"signed_in_at": NOW - DAY}, {}, True),
    "used within a day": (DAY, {"signed_in_at": NOW - 9 * DAY, "renewed_at": NOW - DAY + 10}, {}, False),
    "the clock was a day ahead when it was issued": (DAY + 3600, {"issued_at": NOW + DAY, "expires_at": NOW + DAY + 3600}, {}, True),
    "as its own claims tell": (DAY + 3600, {}, {"iat": NOW, "exp": NOW + 3600}, True),
    "claims that agree": (3600, {}, {"iat": NOW - 300, "exp": NOW + 3600}, False),
    "claims that are nonsense": (3600, {}, {"iat": "x", "exp": []}, False),
    "renewed in the future": (3000, {"renewed_at": NOW + DAY}, {}, True),
    "a state that is nonsense": (3000, {"renewed_at": "yesterday", "issued_at": None, "expires_at": [], "next_attempt_at": True}, {}, False),
}


@pytest.mark.parametrize(("left", "state", "claims", "due"), DUE.values(), ids=DUE)
def test_when_a_token_is_due(relay, identity, microsoft, left, state, claims, due):
    stored(identity, left, state, **claims)
    assert _renewal.look(identity, NOW, 1200)["due"] is due
    if due:
        microsoft.expects(*RENEWED)
    assert _renewal.renew(identity, now=NOW, threshold=1200)["outcome"] == ("renewed" if due else "fresh")


def test_force(relay, identity, microsoft):
    stored(identity)
    microsoft.expects(*RENEWED)
    assert _renewal.renew(identity, force=True, now=NOW)["outcome"] == "renewed"


def test_pauses_grow_and_have_an_end(relay, identity, microsoft):
    stored(identity, left=0)
    now, pauses = NOW, []
    for _turn in range(10):
        microsoft.expects(DISCOVERY, ("token", (503, "oops")))
        assert _renewal.renew(identity, now=now, threshold=1200)["outcome"] == "failed"
        pauses.append(_renewal.known(MAILBOX)["next_attempt_at"] - now)
        waiting = _renewal.renew(identity, now=now + pauses[-1] - 1, threshold=1200)
        assert (waiting["outcome"], waiting["error"].name) == ("waiting", "service_trouble")
        now += pauses[-1]
    assert 30 <= pauses[0] <= 60 and 60 <= pauses[1] <= 120 and all(900 <= pause <= 1800 for pause in pauses[5:])
    assert len(set(pauses[5:])) > 1
    assert _renewal.known(MAILBOX)["failures"] == 10
    microsoft.expects(*RENEWED)
    assert _renewal.renew(identity, now=now, threshold=1200)["outcome"] == "renewed"
    assert (_renewal.known(MAILBOX)["failures"], _renewal.known(MAILBOX)["last_error"]) == (0, None)


@pytest.mark.parametrize("how", [{"force": True}, {"impatient": True}, {"now": NOW + DAY}, {"now": NOW - DAY}])
def test_what_ends_a_pause(relay, identity, microsoft, how):
    stored(identity, left=-2 * DAY)
    microsoft.expects(DISCOVERY, ("token", (503, "oops")))
    _renewal.renew(identity, now=NOW)
    microsoft.expects(*RENEWED)
    assert _renewal.renew(identity, **{"now": NOW + 1, **how})["outcome"] == "renewed"


def test_last_error_is_told_by_its_name_without_a_token(relay, identity, microsoft):
    stored(identity, left=0)
    microsoft.expects(DISCOVERY, ("token", failure("invalid_grant", 50173, "revoked")))
    found = _renewal.renew(identity, now=NOW)
    assert found["outcome"] == "sign_in_required"
    told = _renewal.known(MAILBOX)["last_error"]
    assert (told["name"], told["at"]) == ("grant_revoked", NOW) and told["happened"] and "sign_in" in told["remedy"]
    assert "old refresh" not in (relay / f"state/{MAILBOX}.json").read_text()


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_clock_that_jumps_and_comes_back(relay, identity, microsoft, jump):
    """Whatever was written down while the clock was wrong, the next look with the right one ends with a good token."""
    stored(identity, left=3000, state={"signed_in_at": NOW - 60, "issued_at": NOW - 600, "expires_at": NOW + 3000})
    microsoft.expects(*RENEWED)
    assert _renewal.renew(identity, now=NOW + jump, threshold=1200)["outcome"] == "renewed"
    microsoft.expects(*RENEWED)
    back = _renewal.renew(identity, now=NOW + 60, threshold=1200)
    assert (back["outcome"], back["expires_at"]) == ("renewed", NOW + 60 + 3600)
    assert _renewal.renew(identity, now=NOW + 120, threshold=1200)["outcome"] == "fresh"


def test_the_plugins_own_temporary_file_is_left_while_it_writes(relay, identity):
    stored(identity)
    fresh = relay / f"tokens/{MAILBOX}.4711.1800000000000"
    fresh.write_bytes(b"")
    _renewal.renew(identity, now=int(time.time()), threshold=0)
    assert fresh.exists()
