# SPDX-License-Identifier: GPL-3.0-or-later
"""What role backport is asked to build is checked before anything is touched."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.simple_m365.relay.plugins.module_utils import _preflight_backport as preflight

ROLE = Path(__file__).parents[4] / "roles" / "backport"
GOOD = {"backport_source": "hello", "backport_packages": ["hello"], "backport_suite": "sid", "backport_cache": "/srv/packages", "backport_host": ""}

BAD = {
    "no source": ({"backport_source": ""}, "is required"),
    "a source with a version": ({"backport_source": "hello=2.12"}, "is not the name of a package"),
    "a source that is a command": ({"backport_source": "hello; id"}, "is not the name of a package"),
    "a source that is an option": ({"backport_source": "-ohello"}, "is not the name of a package"),
    "no packages": ({"backport_packages": []}, "is an empty list"),
    "packages that are text": ({"backport_packages": "hello"}, "must be a list"),
    "a package with a blank": ({"backport_packages": ["hello", "a b"]}, "'a b' is not the name of a package"),
    "a suite of two words": ({"backport_suite": "sid main"}, "is not the name of a suite"),
    "a suite with a line break": ({"backport_suite": "sid\nTrusted: yes"}, "line break"),
    "a relative directory": ({"backport_cache": "packages"}, "not an absolute path"),
    "the root directory": ({"backport_cache": "/"}, "not the plain path"),
    "a host with a blank": ({"backport_host": "relay one"}, "is not the name of a host"),
}


@pytest.mark.parametrize(("changes", "said"), BAD.values(), ids=BAD)
def test_a_bad_input_is_named(changes, said):
    found = preflight.problems({**GOOD, **changes})
    assert len(found) == 1
    assert found[0].startswith(f"{next(iter(changes))}: ")
    assert said in found[0]
    assert "Write " in found[0]


@pytest.mark.parametrize("changes", [
    {}, {"backport_source": "libstdc++6.x"}, {"backport_suite": "trixie-backports"}, {"backport_suite": "experimental"}, {"backport_host": "relay_1.corp.test"},
])
def test_good_inputs_give_no_problem(changes):
    assert preflight.problems({**GOOD, **changes}) == []


def test_the_source_alone_is_enough():
    assert preflight.problems({"backport_source": "hello"}) == []
    assert [problem.partition(":")[0] for problem in preflight.problems({})] == ["backport_source"]


def test_the_checked_variables_are_the_declared_ones_and_those_with_defaults():
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
    options = specs["argument_specs"]["main"]["options"]
    assert set(preflight.CHECKS) == set(options) == {*defaults, "backport_source"}
