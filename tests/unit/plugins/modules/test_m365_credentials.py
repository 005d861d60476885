# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that writes credentials tells paths and reasons, and nothing that is in them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _clouds, _credentials
from ansible_collections.simple_m365.relay.plugins.modules import m365_credentials

SECRET = "planted-client-secret"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The directory of credentials."""
    for module, name in ((_credentials, "FOLDER"), (_clouds, "CREDENTIALS")):
        monkeypatch.setattr(module, name, str(tmp_path / "credentials"))
    return tmp_path / "credentials"


def test_a_secret_is_written_once(folder, run_module):
    options = {"identities": [{"mailbox": "scans@corp.test", "grant": "client_secret", "client_secret": SECRET}, {"mailbox": "person@corp.test"}]}
    first = run_module(m365_credentials.main, **options)
    assert first["changed"] and first["files"] == [str(folder / "scans@corp.test.secret")] and SECRET not in repr(first)
    assert run_module(m365_credentials.main, **options)["changed"] is False


def test_a_certificate_that_cannot_be_used_is_told_and_nothing_is_written(folder, run_module, certificate):
    content = base64.b64encode(Path(certificate[0]).read_bytes()).decode()
    one = {"mailbox": "scans@corp.test", "grant": "client_certificate", "client_certificate": "/srv/app.pem", "content": content}
    result = run_module(m365_credentials.main, identities=[one], _ansible_check_mode=True)
    assert "scans@corp.test" in result["problem"] and "no private key" in result["problem"] and not result["changed"]
    assert not folder.exists()
