# SPDX-License-Identifier: GPL-3.0-or-later
"""inventory.example shows every public variable with its default, and works as it stands but for the two ids."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.simple_m365.relay.plugins.module_utils import _preflight_postfix, _preflight_sasldb, _preflight_sender_policy, _preflight_xoauth2

ROOT = Path(__file__).parents[2]
ROLES = {"postfix": _preflight_postfix, "sasldb": _preflight_sasldb, "sender_policy": _preflight_sender_policy, "xoauth2": _preflight_xoauth2}
SIX = ["postfix_hostname", "postfix_domain", "postfix_trusted_networks", "xoauth2_mailbox", "xoauth2_tenant_id", "xoauth2_client_id"]
LINES = (ROOT / "inventory.example").read_text(encoding="utf-8").splitlines()
VARIABLE = re.compile(r"    # ((?:postfix|sasldb|sender_policy|xoauth2)_[a-z_]+: .*)")


def variables(lines):
    """The variables of all relays in the inventory."""
    return yaml.safe_load("\n".join(lines))["m365_relays"]["vars"]


def of_role(role, path):
    """A YAML file of a role."""
    return yaml.safe_load((ROOT / "roles" / role / path).read_text(encoding="utf-8"))


def test_six_values_stand_first_and_alone():
    assert list(variables(LINES)) == SIX


def test_every_other_variable_stands_there_with_its_default():
    uncommented = variables([VARIABLE.sub(r"    \1", line) for line in LINES])
    shown = {name: value for name, value in uncommented.items() if name not in SIX}
    defaults = {name: value for role in ROLES for name, value in of_role(role, "defaults/main.yml").items()}
    assert shown == {name: value for name, value in defaults.items() if name not in SIX}


def test_every_declared_variable_stands_there():
    uncommented = variables([VARIABLE.sub(r"    \1", line) for line in LINES])
    assert set(uncommented) == {name for role in ROLES for name in of_role(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]}


def test_every_variable_has_its_meaning_above_it():
    for above, line in itertools.pairwise(LINES):
        if VARIABLE.fullmatch(line) or line.strip().split(":")[0] in SIX:
            assert re.fullmatch(r"    # [^-].*", above), line
            assert not VARIABLE.fullmatch(above), line


@pytest.mark.parametrize(("role", "named"), [("postfix", []), ("sasldb", []), ("xoauth2", ["xoauth2_tenant_id", "xoauth2_client_id"])])
def test_only_the_two_ids_are_asked_for(role, named):
    problems = ROLES[role].problems(variables(LINES))
    assert [problem.split(":")[0] for problem in problems] == named
    assert all("placeholder" in problem for problem in problems)
