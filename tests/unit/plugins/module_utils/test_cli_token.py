# SPDX-License-Identifier: GPL-3.0-or-later
"""m365-relay token: what it says, its exit codes, and that it never says a secret."""

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _cli, _relay_settings, _tokens
from ansible_collections.simple_m365.relay.tests.unit.plugins.sign_in_service import ACCESS_MARK, DISCOVERY, REFRESH_MARK, access_token, failure, success

MAILBOX = "scans@corp.test"


@pytest.fixture
def command(relay, identity, tmp_path, monkeypatch, capsys):
    """Run the command on a relay with two identities, of which the second has no token; return exit code and output."""
    settings = {"hostname": "relay.corp.test", "identities": [identity, dict(identity, mailbox="billing@corp.test")]}
    (tmp_path / "relay.json").write_text(json.dumps(settings), encoding="utf-8")
    monkeypatch.setattr(_relay_settings, "PATH", str(tmp_path / "relay.json"))

    def run(*arguments):
        code = _cli.main(["token", *arguments])
        said = capsys.readouterr()
        assert not [mark for mark in (ACCESS_MARK, REFRESH_MARK) if mark in said.out + said.err]
        return code, said.out + said.err

    return run


def stored(identity, left):
    """Store a token that lives for `left` seconds."""
    _tokens.store(MAILBOX, _tokens.content(identity, access_token(), REFRESH_MARK, time.time() + left))


def test_check(command, identity):
    stored(identity, 3000)
    code, said = command("check", "--json")
    assert (code, [(one["good"], one["problem"], one["due"]) for one in json.loads(said)]) == (1, [(True, "", False), (False, "token_missing", True)])
    assert command("check", MAILBOX)[0] == 0
    stored(identity, -1)
    assert json.loads(command("check", "--json", MAILBOX)[1])[0]["problem"] == "token_expired"


def test_show(command, identity, microsoft):
    stored(identity, 0)
    microsoft.expects(DISCOVERY, ("token", success()))
    assert command("renew", MAILBOX)[0] == 0
    code, said = command("show", MAILBOX)
    assert code == 0 and "good" in said and f"of {MAILBOX} by device_code for SMTP.Send" in said
    assert json.loads(command("show", "--json", MAILBOX)[1])[0]["renewed_at"]


def test_renew_tells_each_outcome(command, identity, microsoft):
    stored(identity, 0)
    microsoft.expects(DISCOVERY, ("token", failure("invalid_grant", 50173)))
    code, said = command("renew")
    assert code == 1 and "scans@corp.test: sign_in_required" in said and "(grant_revoked)" in said and "billing@corp.test: sign_in_required" in said
    code, said = command("renew", MAILBOX)
    assert code == 0 and "waiting" in said
    microsoft.expects(DISCOVERY, ("token", success()))
    code, said = command("renew", "--force", "--json", MAILBOX)
    assert (code, json.loads(said)[0]["outcome"]) == (0, "renewed")


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_settings_that_cannot_be_read(command, tmp_path, content):
    (tmp_path / "relay.json").unlink()
    if content is not None:
        (tmp_path / "relay.json").write_text(content, encoding="utf-8")
    code, said = command("check")
    assert code == 3 and "relay.json" in said


def test_tokens_that_only_root_may_read(command, monkeypatch):
    load = _tokens.load

    def refused(path):
        if path.endswith(MAILBOX):
            raise PermissionError(13, "Permission denied", path)
        return load(path)

    monkeypatch.setattr(_tokens, "load", refused)
    code, said = command("check")
    assert code == 3 and "Permission denied" in said and "only root may" in said


def test_a_mailbox_that_is_none_of_the_relays(command):
    assert command("check", "nobody@corp.test")[0] == 3


@pytest.mark.parametrize("arguments", [[], ["delete"], ["renew", "--unknown"]])
def test_a_wrong_command_line(command, arguments):
    with pytest.raises(SystemExit) as raised:
        command(*arguments)
    assert raised.value.code == 2
