# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a module's main()."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args


@pytest.fixture
def run_module(capsys):
    """A function that runs a module's main() with options and returns its result."""

    def run(main, **options):
        with patch_module_args(options), pytest.raises(SystemExit):
            main()
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def options(identity):
    """The options of the modules that sign in."""
    return {name: identity[name] for name in ("mailbox", "tenant_id", "client_id", "login_host", "ca_file")}
