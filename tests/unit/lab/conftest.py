# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab for all tests, with its real servers on loopback; each test begins with everything reset."""
from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "lab"))

from m365.lab import Lab
from tester import LabClient


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    lab = Lab({"M365_DATA": str(tmp_path_factory.mktemp("lab") / "data"), "M365_BIND": "127.0.0.1",
               "M365_SIGNIN_PORT": "0", "M365_SMTP_PORT": "0", "M365_CONTROL_PORT": "0"})
    lab.start()
    yield LabClient(lab)
    lab.stop()


@pytest.fixture
def lab(running):
    running.control("POST", "/reset")
    running.set(interval=1, slow_down=False)
    return running
