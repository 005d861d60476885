# SPDX-License-Identifier: GPL-3.0-or-later
"""A source package of a newer suite is built for this host's release, kept on the controller, and installed; nothing of the build remains."""

from __future__ import annotations

import re
import subprocess

import pytest
from conftest import TREE

PLAY = TREE / "molecule" / "shared" / "backport.yml"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The directory on the controller that keeps the packages; empty, so that this run builds."""
    return tmp_path_factory.mktemp("packages")


def build(inventories, source, kept):
    """Run the role; return the finished process, with all its output."""
    argv = ["ansible-playbook", *(f"--inventory={inventory}" for inventory in inventories), "--extra-vars", f"source={source} kept={kept}", str(PLAY)]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


@pytest.fixture(scope="module")
def built(inventories, kept):
    """The run that builds."""
    done = build(inventories, "hello", kept)
    assert done.returncode == 0, done.stdout
    return done


@pytest.fixture
def release(host):
    """The number of the host's release."""
    return host.check_output(". /etc/os-release; echo $VERSION_ID")


@pytest.mark.usefixtures("built")
def test_the_package_is_installed_with_the_version_of_a_backport(host, release):
    assert host.package("hello").version.endswith(f"~bpo{release}+1")
    assert host.check_output("hello --greeting=built") == "built"


def test_the_package_is_kept_by_release_and_architecture(host, built, kept, release):
    target = host.check_output(". /etc/os-release; echo $VERSION_CODENAME-$(dpkg --print-architecture)")
    names = sorted(path.name for path in (kept / target / "hello").iterdir())
    assert names[0] == "SHA256SUMS"
    assert [name for name in names[1:] if not re.fullmatch(rf"hello_.*~bpo{release}\+1_\w+\.deb", name)] == []
    assert len(names) > 1
    assert "TASK [simple_m365.relay.backport : The tool that makes a clean environment is there]" in built.stdout


@pytest.mark.usefixtures("built")
def test_nothing_of_the_build_remains_on_the_host(host):
    assert host.check_output("find /var/tmp /tmp -maxdepth 1 -name '*m365-relay-backport*' -o -maxdepth 1 -name 'mmdebstrap.*'") == ""
    assert not host.package("build-essential").is_installed
    assert not host.package("debhelper").is_installed
    assert "deb-src" not in host.check_output("cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null; true")


@pytest.mark.usefixtures("built")
def test_a_second_run_builds_nothing_and_changes_nothing(inventories, kept):
    done = build(inventories, "hello", kept)
    assert done.returncode == 0, done.stdout
    assert set(re.findall(r"changed=(\d+)", done.stdout)) == {"0"}, done.stdout
    assert "clean environment" not in done.stdout


def test_a_source_that_no_suite_has_is_an_error_that_names_it_and_leaves_nothing(host, inventories, kept):
    done = build(inventories, "no-such-source", kept)
    assert done.returncode == 2, done.stdout
    assert "no-such-source of Debian's suite sid cannot be built for" in done.stdout
    assert "Unable to find a source package for no-such-source" in done.stdout
    assert host.check_output("find /var/tmp /tmp -maxdepth 1 -name '*m365-relay-backport*'") == ""
    assert not list(kept.glob("*/no-such-source/*"))
