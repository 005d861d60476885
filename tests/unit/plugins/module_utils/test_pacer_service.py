# SPDX-License-Identifier: GPL-3.0-or-later
"""Lanes and limits as the role hands them to the pacer, and the pacer's files."""

from __future__ import annotations

import importlib
import json
import re

import pytest
from ansible_collections.simple_m365.relay.plugins.filter.pacer_settings import pacer_settings
from ansible_collections.simple_m365.relay.plugins.module_utils import _pacer_service, _pacer_state

TWO = ["scans@corp.test", "Billing.Dept@corp.test"]


def test_every_mailbox_has_a_prompt_and_a_bulk_lane_and_the_first_is_the_default():
    lanes = pacer_settings(TWO, 30, 10000)["lanes"]
    assert list(lanes) == ["m365-scans_corp_test", "m365-scans_corp_test-bulk", "m365-billing_dept_corp_test", "m365-billing_dept_corp_test-bulk"]
    assert lanes["m365-billing_dept_corp_test-bulk"] == {"mailbox": TWO[1], "bulk": True}


def test_limits_are_the_usual_ones_unless_a_mailbox_has_its_own():
    limits = pacer_settings(TWO, "30", 10000, {"billing.dept@corp.test": {"messages_per_minute": 600}})["limits"]
    assert limits == {
        TWO[0]: {"messages": 30, "seconds": 60, "margin": 2, "recipients_per_day": 10000},
        TWO[1]: {"messages": 600, "seconds": 60, "margin": 2, "recipients_per_day": 10000},
    }


def test_a_relay_without_mailboxes_has_no_lanes():
    assert pacer_settings([], 30, 10000) == {"lanes": {}, "limits": {}}


def test_the_settings_come_first_and_the_pacer_can_use_them():
    settings = pacer_settings(TWO, 30, 10000)
    files = _pacer_service.wanted_files(settings, "[Unit]\n")
    assert files[0].path == "/etc/m365-relay/pacer.json"
    assert json.loads(files[0].content) == settings
    _pacer_state.check_settings(settings)
    assert files[-1].path.endswith(_pacer_service.UNIT)


def test_settings_that_make_no_sense_are_not_written():
    with pytest.raises(ValueError, match="is not a number"):
        _pacer_service.wanted_files({"limits": {TWO[0]: {"messages": -1}}, "lanes": {}}, "")


def test_every_module_that_the_program_imports_is_installed_with_it():
    installed = {module.__name__.rpartition(".")[2] for module in _pacer_service.MODULES}
    for name in installed:
        module = importlib.import_module(f"ansible_collections.simple_m365.relay.plugins.module_utils.{name}")
        source = module.__loader__.get_source(module.__name__)
        lists = [line for line in source.splitlines() if line.startswith("from .")]
        used = {word for line in lists for word in re.findall(r"\b_[a-z_]+\b", line)}
        assert used <= installed, name
