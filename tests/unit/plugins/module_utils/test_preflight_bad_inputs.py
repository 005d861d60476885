# SPDX-License-Identifier: GPL-3.0-or-later
"""Every bad input ends in one sentence that names the variable and says what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.simple_m365.relay.plugins.module_utils import _preflight_postfix, _preflight_sasldb, _preflight_xoauth2

ROOT = Path(__file__).parents[4]
ROLES = {"postfix": _preflight_postfix, "sasldb": _preflight_sasldb, "xoauth2": _preflight_xoauth2}
ROWS = yaml.safe_load((ROOT / "tests" / "bad_inputs.yml").read_text(encoding="utf-8"))
SECRET = "hunter2"

GOOD = {
    "postfix_hostname": "relay.corp.test",
    "postfix_domain": "corp.test",
    "postfix_trusted_networks": ["10.0.0.0/8"],
    "xoauth2_mailbox": "scans@corp.test",
    "xoauth2_tenant_id": "11111111-2222-4333-8444-555555555555",
    "xoauth2_client_id": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
}


def declared(role):
    """The public variables of a role, as its argument specs say."""
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    return set(specs["argument_specs"]["main"]["options"])


def problems_of(row):
    """What the preflights of the roles say whose variables the row sets."""
    settings = {**GOOD, **row["variables"]}
    role = next(iter(row["variables"])).split("_")[0]
    return ROLES[role].problems(settings)


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_a_bad_input_is_named(row):
    found = problems_of(row)
    variable = next(iter(row["variables"]))
    told = [sentence for sentence in found if sentence.startswith(f"{variable}: ") and all(word in sentence for word in row["expect"])]
    assert told, found
    assert len(found) == row.get("problems", 1), found


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_a_sentence_says_what_to_write_and_shows_no_secret_and_fits_on_one_line(row):
    for sentence in problems_of(row):
        assert "Write " in sentence or "Leave it out" in sentence
        assert sentence.endswith(".")
        assert sentence.isprintable()
        assert SECRET not in sentence


def test_rows_have_different_names():
    names = [row["name"] for row in ROWS]
    assert len(names) == len(set(names))


def test_secrets_are_planted():
    assert sum(SECRET in str(row["variables"]) for row in ROWS) > 20


@pytest.mark.parametrize("role", ROLES)
def test_the_checked_variables_are_the_declared_ones(role):
    assert set(ROLES[role].CHECKS) == declared(role)


@pytest.mark.parametrize("role", ROLES)
def test_every_declared_variable_has_a_bad_input(role):
    assert declared(role) <= {next(iter(row["variables"])) for row in ROWS}
