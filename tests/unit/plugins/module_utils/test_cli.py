# SPDX-License-Identifier: GPL-3.0-or-later
"""The command m365-relay: help that teaches, exit codes, --json everywhere."""

from __future__ import annotations

import json
import pathlib
import sys

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import (
    _cli,
    _cli_common,
    _cli_doctor,
    _cli_explain,
    _cli_log,
    _cli_queue,
    _cli_status,
    _doctor,
    _mail_log,
    _queue,
    _sender_milter,
    _status,
)
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError
from ansible_collections.simple_m365.relay.tests.unit.plugins.module_utils.test_queue import message
from ansible_collections.simple_m365.relay.tests.unit.plugins.module_utils.test_sender_policy import SETTINGS
from ansible_collections.simple_m365.relay.tests.unit.plugins.module_utils.test_status import found

__all__ = ["found"]    # a fixture
MANUAL = (pathlib.Path(__file__).parents[4] / "docs" / "command.md").read_text(encoding="utf-8")
OK = {"stage": "plugin", "identity": None, "status": "ok", "seen": ""}


@pytest.fixture(autouse=True)
def root(monkeypatch):
    """As root."""
    monkeypatch.setattr(_cli.os, "geteuid", lambda: 0)


@pytest.mark.parametrize("command", [[], ["doctor"], ["status"], ["log"], ["queue"], ["explain"], ["token"]], ids=" ".join)
def test_help_teaches_with_examples_and_exit_codes(capsys, command):
    with pytest.raises(SystemExit) as ended:
        _cli.main([*command, "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert "example" in told and "exit code" in told
    assert "--json" in told or command in (["queue"], ["token"])    # these have it in each action


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["doctor", "--nonsense"], ["queue"], ["queue", "hold"], ["queue", "delete", "--yes"],
                                       ["log", "--follow", "--until", "now"], ["explain"], ["queue", "list", "--age", "soon"]])
def test_a_wrong_command_line_ends_with_2(arguments):
    with pytest.raises(SystemExit) as ended:
        _cli.main(arguments)
    assert ended.value.code == 2


def test_who_is_not_root_is_told(monkeypatch, capsys):
    monkeypatch.setattr(_cli.os, "geteuid", lambda: 1000)
    assert _cli.main(["status"]) == 3
    assert "sudo" in capsys.readouterr().err


def test_every_command_and_stage_stands_in_the_manual():
    for command in _cli.COMMANDS:
        assert f"| `{command}" in MANUAL
    for stage, (number, _words) in _doctor.STAGES.items():
        assert f"| {number} | `{stage}` |" in MANUAL


def test_what_cannot_be_found_out_ends_with_3(monkeypatch, capsys):
    def fail():
        raise CommandError("postconf is not installed")
    monkeypatch.setattr(_status, "gather", fail)
    assert _cli.main(["status"]) == 3
    assert "postconf is not installed" in capsys.readouterr().err


@pytest.mark.parametrize(("problems", "code"), [([], 0), (["x is wrong"], 1)])
def test_status_tells_by_its_exit_code(monkeypatch, capsys, found, problems, code):
    monkeypatch.setattr(_status, "gather", lambda: dict(found, problems=problems))
    assert _cli_status.main([]) == code
    assert "relay.corp.test" in capsys.readouterr().out
    assert _cli_status.main(["--json"]) == code
    assert json.loads(capsys.readouterr().out)["problems"] == problems


def test_doctor_tells_by_its_exit_code_and_gets_its_options(monkeypatch, capsys):
    asked = []
    failed = dict(OK, stage="login", status="failed", identity="a@corp.test", name="login_refused", meaning="m", remedy="r", mail="waits")
    monkeypatch.setattr(_doctor, "examine", lambda mailbox, renew: asked.append((mailbox, renew)) or [OK, failed])
    assert _cli_doctor.main(["--json", "--identity", "a@corp.test", "--renew"]) == 20
    assert json.loads(capsys.readouterr().out)["first_failure"]["name"] == "login_refused"
    assert _cli_doctor.main([]) == 20
    assert "What to do: r" in capsys.readouterr().out
    assert asked == [("a@corp.test", True), (None, False)]


ROW = {"at": 0, "queue_id": "A1", "who": "scanner@corp.test", "sender": "scans@corp.test", "recipients": [f"{name}@partner.test" for name in "abcde"],
       "lane": "", "result": "deferred", "cause": "server_busy", "reply": "451 for a@partner.test"}


@pytest.fixture
def log(monkeypatch):
    """A log of one message."""
    monkeypatch.setattr(_mail_log, "entries", lambda *_arguments: [])
    monkeypatch.setattr(_mail_log, "messages", lambda _lines: [ROW])


def test_log_is_a_line_a_message(log, capsys):
    assert _cli_log.main([]) == 0
    line = capsys.readouterr().out
    assert "deferred  A1" in line and "<scans@corp.test> -> a@partner.test, b@partner.test, c@partner.test and 2 more: server_busy, mail waits" in line


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_log_hides_who_wrote_to_whom(log, capsys, form):
    assert _cli_log.main(["--redact-addresses", *form]) == 0
    line = capsys.readouterr().out
    assert "...@partner.test" in line and "a@partner" not in line and "scan" not in line


def test_log_without_a_message_ends_with_1(log, monkeypatch):
    monkeypatch.setattr(_mail_log, "messages", lambda _lines: [])
    assert _cli_log.main([]) == 1


@pytest.fixture
def queue(monkeypatch):
    """A queue of three messages; returns what was done with them."""
    done = []
    messages = [message("AAAAAA"), message("BBBBBB", queue="hold", reason=None), message("CCCCCC", sender="x@y.test")]
    monkeypatch.setattr(_queue, "read", lambda: messages)
    monkeypatch.setattr(_queue, "act", lambda action, chosen: done.append((action, [item["queue_id"] for item in chosen])) or len(chosen))
    monkeypatch.setattr(_queue, "flush_all", lambda: done.append(("flush", "all")))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    return done


DONE = {
    "hold": (["hold", "--sender", "scans@*"], [("hold", ["AAAAAA", "BBBBBB"])], 0),
    "release": (["release", "--all"], [("release", ["BBBBBB"])], 0),
    "flush everything": (["flush"], [("flush", "all")], 0),
    "flush a cause": (["flush", "--cause", "smtp_port_closed"], [("flush", ["AAAAAA", "CCCCCC"])], 0),
    "delete without a terminal": (["delete", "--all"], [], 1),
    "delete": (["delete", "--id", "CCCCCC", "--yes"], [("delete", ["CCCCCC"])], 0),
    "nothing fits": (["delete", "--sender", "nobody@*", "--yes"], [], 1),
}


@pytest.mark.parametrize(("arguments", "expected", "code"), DONE.values(), ids=DONE)
def test_queue_does_what_it_is_told_to(queue, capsys, arguments, expected, code):
    assert _cli_queue.main(arguments) == code
    assert queue == expected
    capsys.readouterr()
    assert _cli_queue.main([*arguments, "--json"]) == code
    assert json.loads(capsys.readouterr().out)["done"]


@pytest.mark.parametrize(("answer", "expected"), [("yes", [("delete", ["AAAAAA", "BBBBBB", "CCCCCC"])]), ("y", []), ("", [])])
def test_deleting_asks_first(queue, monkeypatch, answer, expected):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _words: answer)
    assert _cli_queue.main(["delete", "--all"]) == (0 if expected else 1)
    assert queue == expected


def test_queue_is_listed_with_its_causes(queue, capsys):
    assert _cli_queue.main(["list", "--cause", "smtp_port_closed"]) == 0
    assert "<x@y.test> -> alice@partner.test: smtp_port_closed" in capsys.readouterr().out
    assert _cli_queue.main(["list", "--json"]) == 0
    assert [row["queue_id"] for row in json.loads(capsys.readouterr().out)] == ["AAAAAA", "BBBBBB", "CCCCCC"]


def test_a_message_is_shown_without_secrets(monkeypatch, capsys):
    monkeypatch.setattr(_queue, "show", lambda _queue_id: "Subject: x\nX: password=planted\n")
    assert _cli_queue.main(["show", "AAAAAA"]) == 0
    told = capsys.readouterr().out
    assert "Subject: x" in told and "planted" not in told


@pytest.mark.parametrize(("text", "seconds"), [("30", 30), ("30s", 30), ("10m", 600), ("2h", 7200), ("5d", 432000)])
def test_spans_are_read(text, seconds):
    assert _cli_common.age(text) == seconds


@pytest.fixture
def policy(monkeypatch, tmp_path):
    """The policy of the host."""
    (tmp_path / "policy.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    monkeypatch.setattr(_sender_milter, "POLICY", str(tmp_path / "policy.json"))


EXPLAINED = {
    "taken": (["--login", "scanner", "--client", "192.0.2.7", "--sender", "scanner@corp.test"], 0, "scans@corp.test"),
    "refused": (["--login", "stopped", "--client", "192.0.2.7", "--sender", "ceo@corp.test"], 1, "refuse"),
    "the table": (["--table"], 0, "scanner@corp.test"),
}


@pytest.mark.parametrize(("arguments", "code", "words"), EXPLAINED.values(), ids=EXPLAINED)
def test_the_policy_of_the_host_is_explained(policy, capsys, arguments, code, words):
    assert _cli_explain.main(arguments) == code
    assert words in capsys.readouterr().out
    assert _cli_explain.main([*arguments, "--json"]) == code
    assert json.loads(capsys.readouterr().out)


def test_without_a_policy_explain_ends_with_3(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(_sender_milter, "POLICY", str(tmp_path / "none"))
    assert _cli_explain.main(["--table"]) == 3
    assert "none" in capsys.readouterr().err
