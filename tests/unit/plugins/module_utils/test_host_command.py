# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands on a host for the command and the timer, and what goes away with an identity."""

from __future__ import annotations

import json
import pkgutil
import re
import subprocess
import sys

import pytest
from ansible_collections.simple_m365.relay.plugins import module_utils
from ansible_collections.simple_m365.relay.plugins.module_utils import _credentials, _host_command, _relay_settings, _services, _tokens

UNITS = {_host_command.TIMER: "[Timer]\n", _host_command.SERVICE: "[Service]\n"}


@pytest.fixture
def settings(identity):
    """The settings of a relay with two identities."""
    return {"hostname": "relay.corp.test", "identities": [identity, dict(identity, mailbox="billing@corp.test", grant="client_secret")]}


def by_path(settings):
    """The wanted files by their paths."""
    return {wanted.path: wanted for wanted in _host_command.wanted_files(settings, UNITS)}


def test_units_come_last_and_the_settings_before_the_program(settings):
    paths = list(by_path(settings))
    assert paths[1] == "/etc/m365-relay/relay.json" and paths[-2:] == [f"/etc/systemd/system/{name}" for name in UNITS]
    assert by_path(settings)["/usr/local/sbin/m365-relay"].mode == 0o755
    assert by_path(settings)["/etc/sasl-xoauth2.conf"].mode == 0o600


def test_settings_are_whole_and_come_back_as_they_were(settings, tmp_path, monkeypatch):
    path = tmp_path / "relay.json"
    path.write_bytes(by_path(settings)["/etc/m365-relay/relay.json"].content)
    monkeypatch.setattr(_relay_settings, "PATH", str(path))
    assert _relay_settings.load() == {**settings, "renewal": {"threshold": 1200, "timeout": 60}}
    assert [one["mailbox"] for one in _relay_settings.chosen(_relay_settings.load(), ["BILLING@corp.test"])] == ["billing@corp.test"]
    with pytest.raises(_relay_settings.UnusableError, match="there are: scans@corp.test, billing@corp.test"):
        _relay_settings.chosen(_relay_settings.load(), ["nobody@corp.test"])


def test_plugin_knows_the_proxy_and_the_authorities(settings):
    settings["identities"][0].update(proxy="http://proxy.test:3128", ca_file="/etc/ssl/own.pem")
    values = json.loads(by_path(settings)["/etc/sasl-xoauth2.conf"].content)
    assert (values["proxy"], values["ca_bundle_file"], values["client_secret"]) == ("http://proxy.test:3128", "/etc/ssl/own.pem", "")


def test_the_program_has_every_module_that_it_imports(settings):
    names = {path.rpartition("/")[2].removesuffix(".py") for path in by_path(settings) if path.startswith(_services.PROGRAM)}
    known = {module.name for module in pkgutil.iter_modules(module_utils.__path__)}
    for wanted in by_path(settings).values():
        if wanted.path.startswith(_services.PROGRAM):
            text = wanted.content.decode()
            used = set(re.findall(r"^from \.(_\w+) import", text, re.MULTILINE))
            used |= set(re.findall(r"_\w+", " ".join(re.findall(r"^from \. import (.*)", text, re.MULTILINE))))
            assert used & known <= names, wanted.path


def test_the_program_runs_as_it_is_installed(settings, tmp_path):
    for wanted in by_path(settings).values():
        if wanted.path.startswith(_services.PROGRAM):
            path = tmp_path / "m365-relay" / wanted.path.rpartition("/")[2]
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(wanted.content)
    done = subprocess.run([sys.executable, "-B", "-m", "m365-relay._cli", "token", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "exit codes" in done.stdout, done.stderr


@pytest.fixture
def gone(relay, settings, tmp_path, monkeypatch):
    """Files of identities that are there, and of one that is gone; returns what may be removed."""
    monkeypatch.setattr(_credentials, "FOLDER", str(tmp_path / "credentials"))
    (tmp_path / "credentials").mkdir()
    settings["identities"][1]["credential"] = str(tmp_path / "credentials/billing@corp.test.secret")
    kept = ["tokens/scans@corp.test", "tokens/billing@corp.test", "tokens/scans@corp.test.12.34", "state/scans@corp.test.json", "state/scans@corp.test.lock",
            "state/billing@corp.test.pending", "tokens/.scans@corp.test.0011223344556677.new", "../credentials/billing@corp.test.secret"]
    lost = ["tokens/old@corp.test", "state/old@corp.test.json", "state/old@corp.test.lock", "../credentials/old@corp.test.pem",
            "../credentials/old@corp.test.passphrase", "../credentials/scans@corp.test.secret"]
    for name in [*kept, *lost]:
        (relay / name).write_bytes(b"x")
    return {str((relay / name).resolve()) for name in lost}, [relay / name for name in kept]


def test_only_what_belongs_to_no_identity_is_removed(settings, gone):
    lost, kept = gone
    found = _host_command.leftovers(settings)
    assert set(found) == lost
    _host_command._remove(found)
    assert all(path.exists() for path in kept) and _host_command.leftovers(settings) == []


def test_an_authority_that_is_not_on_the_host_is_named(settings):
    settings["identities"][0]["ca_file"] = "/nonexistent/own.pem"
    with pytest.raises(ValueError, match=r"xoauth2_ca_file: there is no file /nonexistent/own\.pem"):
        _host_command.apply(settings, UNITS, check_only=True)


def test_a_lock_holds_a_removal_back_until_it_is_free(relay, settings, gone):
    with _tokens.locked("old@corp.test"):
        assert _tokens.state_path("old@corp.test", "lock") in _host_command.leftovers(settings)
