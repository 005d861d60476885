# SPDX-License-Identifier: GPL-3.0-or-later
"""The error catalogue against the reference, in both directions: all that is listed has its entry, and no entry is without an example."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml
from ansible_collections.simple_m365.relay.plugins.module_utils import _catalogue
from ansible_collections.simple_m365.relay.tests import errors_page
from ansible_collections.simple_m365.relay.tests.unit.plugins.module_utils import reference_microsoft_365 as reference

TREE = pathlib.Path(__file__).resolve().parents[4]
IDENTITY = {
    "mailbox": "scans@corp.test",
    "sign_in_as": "person@corp.test",
    "tenant_id": "TENANT",
    "client_id": "CLIENT",
    "login_host": "login.test",
    "scope": "SCOPE",
    "smtp_host": "smtp.test",
}
LINE = "postfix/smtp[7]: 4abc: to=<generic failure@x>, orig_to=<a@b>, relay=none, delay=1, delays=0/0/1/0, dsn=4.7.0, status={status} ({reason})"


def answer(code):
    """Return an answer with a number, and words that do not help."""
    return {"error": "whatever", "error_codes": [code], "error_description": f"AADSTS{code}: whatever"}


def name(entry):
    """Return the name of an entry, or None."""
    return entry and entry["name"]


NUMBERS = {**reference.CODES, **reference.OTHER_CODES}

# How each example of the reference is looked up: (what is said, how it is found, entry).
EXAMPLES = [
    *((f"AADSTS{code}", lambda code=code: _catalogue.by_signin_answer(answer(code)), entry) for code, entry in NUMBERS.items()),
    *((str(said), lambda said=said: _catalogue.by_signin_answer(said), entry) for said, entry in reference.ANSWERS),
    *((reply, lambda reply=reply, phase=phase: _catalogue.by_smtp_reply(reply, phase), entry) for phase, reply, entry in reference.REPLIES),
    *((text, lambda text=text: _catalogue.by_log_line(text), entry) for text, entry in reference.REASONS + reference.LINES),
]


@pytest.mark.parametrize(("find", "entry"), [row[1:] for row in EXAMPLES], ids=[row[0][:60] for row in EXAMPLES])
def test_example_has_its_entry(find, entry):
    assert name(find()) == entry


@pytest.mark.parametrize(("text", "entry"), reference.REASONS, ids=[row[0][:60] for row in reference.REASONS])
def test_reason_has_its_entry_in_a_line_of_the_log(text, entry):
    for status in ("deferred", "bounced", "undeliverable"):
        assert name(_catalogue.by_log_line(LINE.format(status=status, reason=text))) == entry


@pytest.mark.parametrize("reply", [row[1] for row in reference.REPLIES if row[0] != "auth"], ids=lambda reply: reply[:60])
def test_reply_needs_no_phase(reply):
    entry = next(row[2] for row in reference.REPLIES if row[1] == reply)
    assert name(_catalogue.by_smtp_reply(reply)) == entry


@pytest.mark.parametrize("reply", reference.NO_REFUSALS)
def test_what_is_no_refusal_has_no_entry(reply):
    assert _catalogue.by_smtp_reply(reply, "auth") is None


@pytest.mark.parametrize("line", reference.NO_FAILURES)
def test_line_without_failure_has_no_entry(line):
    assert _catalogue.by_log_line(line) is None


def test_answer_without_error_has_no_entry():
    assert _catalogue.by_signin_answer({"access_token": "x", "error_codes": []}) is None


def test_every_number_of_the_catalogue_is_in_the_reference():
    known = {match["code"] for entry in _catalogue.ENTRIES for match in entry["match"] if "code" in match}
    assert known == {str(code) for code in NUMBERS}


def test_every_match_is_needed_by_an_example_of_its_entry(monkeypatch):
    for rows in ("_SIGNIN", "_SMTP", "_LOG"):
        complete = getattr(_catalogue, rows)
        for index, (_tests, entry) in enumerate(complete):
            monkeypatch.setattr(_catalogue, rows, complete[:index] + complete[index + 1:])
            own = [find for _said, find, wanted in EXAMPLES if wanted == entry["name"]]
            assert [find for find in own if name(find()) != entry["name"]], f"match of {entry['name']} has no example: {entry['match']}"
        monkeypatch.setattr(_catalogue, rows, complete)


def test_order_of_the_entries_decides_nothing(monkeypatch):
    monkeypatch.setattr(_catalogue, "ENTRIES", [dict(entry, match=entry["match"][::-1]) for entry in _catalogue.ENTRIES[::-1]])
    for rows, sources in (("_SIGNIN", ["signin"]), ("_SMTP", ["smtp"]), ("_LOG", ["plugin", "postfix", "host"])):
        monkeypatch.setattr(_catalogue, rows, _catalogue._prepared(sources))
    assert [said for said, find, entry in EXAMPLES if name(find()) != entry] == []


def test_entries_without_a_match_are_those_that_the_programs_name_themselves():
    files = [path for path in (TREE / "plugins/module_utils").glob("_*.py") if not path.name.startswith("_catalogue")]
    code = "".join(path.read_text(encoding="utf-8") for path in files)
    assert [entry["name"] for entry in _catalogue.ENTRIES if not entry["match"] and f'"{entry["name"]}"' not in code] == []


def test_names_are_unique_and_stable_identifiers():
    names = [entry["name"] for entry in _catalogue.ENTRIES]
    assert len(names) == len(set(names)) >= 80
    assert [wrong for wrong in names if not re.fullmatch(r"[a-z][a-z0-9_]{2,39}", wrong)] == []


@pytest.mark.parametrize("entry", _catalogue.ENTRIES, ids=name)
def test_entry_is_complete(entry):
    assert set(entry) == {"name", "source", "match", "meaning", "remedy", "mail", "retry", "certainty"}
    assert entry["mail"] in ("waits", "bounces", "not affected")
    assert entry["retry"] in (True, False)
    assert entry["certainty"] in ("documented", "reported", "measured")
    keys = {"signin": {"code", "error", "suberror"}, "smtp": {"reply", "status", "text", "phase"}}.get(entry["source"], {"text"})
    assert all(set(match) <= keys and match for match in entry["match"])
    for text in (entry["meaning"], entry["remedy"]):
        assert text.endswith(".") and "\n" not in text and "  " not in text
        assert set(re.findall(r"\{(.*?)\}", text)) <= set(IDENTITY)


@pytest.mark.parametrize("entry", _catalogue.ENTRIES, ids=name)
def test_entry_is_explained_for_an_identity(entry):
    told = _catalogue.explain(entry, **IDENTITY, access_token="secret")
    assert set(told) == {"name", "meaning", "remedy", "mail"}
    assert "{" not in told["meaning"] + told["remedy"] and "}" not in told["meaning"] + told["remedy"]


def test_unknown_values_stay_placeholders_and_hosts_are_the_public_ones():
    entry = _catalogue.by_name("smtp_auth_off_mailbox")
    assert 'Set-CASMailbox -Identity "scans@corp.test" -SmtpClientAuthenticationDisabled $false' in _catalogue.explain(entry, **IDENTITY)["remedy"]
    assert 'Set-CASMailbox -Identity "{mailbox}"' in _catalogue.explain(entry, mailbox=None)["remedy"]
    assert "smtp.office365.com port 587" in _catalogue.explain(_catalogue.by_name("smtp_port_closed"))["remedy"]


def test_values_are_not_filled_in_twice():
    told = _catalogue.explain(_catalogue.by_name("login_refused"), mailbox="{client_id}", client_id="CLIENT")
    assert "the token for {client_id}" in told["meaning"]


def test_unknown_name_is_an_error():
    with pytest.raises(KeyError):
        _catalogue.by_name("no_such_name")


def test_remedies_name_playbooks_and_variables_that_exist():
    text = " ".join(entry["meaning"] + " " + entry["remedy"] for entry in _catalogue.ENTRIES)
    playbooks = set(re.findall(r"ansible-playbook -i inventory simple_m365\.relay\.(\w+)", text))
    assert playbooks and playbooks <= {path.stem for path in (TREE / "playbooks").glob("*.yml")}
    specs = [yaml.safe_load((TREE / "roles" / role / "meta/argument_specs.yml").read_text()) for role in ("postfix", "sasldb", "xoauth2")]
    variables = set(re.findall(r"\b(?:postfix|sasldb|xoauth2)_[a-z_]+", text))
    assert variables and variables <= {option for spec in specs for option in spec["argument_specs"]["main"]["options"]}


def test_page_says_what_the_catalogue_says():
    assert errors_page.PAGE.read_text(encoding="utf-8") == errors_page.render(), "write it anew: python tests/errors_page.py"
