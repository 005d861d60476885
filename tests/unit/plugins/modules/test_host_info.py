# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has, from what its programs say."""

from __future__ import annotations

import pathlib
import re
import subprocess

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _certificate, _postfix_unit
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError
from ansible_collections.simple_m365.relay.plugins.modules import host_info

DPKG = b"installed postfix 3.10.13-0+deb13u1\ninstalled ssl-cert 1.1.3\nconfig-files exim4 4.98-1\nhalf-installed broken 1\n"
LISTED = b'List of client plugins follows\nPlugin "xoauth2" [loaded], \tAPI version: 4\n\tSASL mechanism: XOAUTH2, best SSF: 60\n'
NOT_LISTED = b"Installed and properly configured SASL (client side) mechanisms are:\n  SCRAM-SHA-1 PLAIN XOAUTH2-NOT\nList of client plugins follows\n"


@pytest.fixture
def host(monkeypatch, tmp_path):
    """Scripted answers of the host's programs: the text, or None for a program that is not installed."""
    answers = {
        "dpkg-query": DPKG,
        "postconf": f"mail_version = 3.10.13\ndefault_database_type = hash\nqueue_directory = {tmp_path}\n".encode(),
        "saslpluginviewer": LISTED,
    }

    def run(argv, check=True):
        if answers[argv[0]] is None:
            raise CommandError(f"{argv[0]} is not installed")
        return subprocess.CompletedProcess(argv, 0, answers[argv[0]], b"")

    monkeypatch.setattr(host_info, "run", run)
    monkeypatch.setattr(host_info._plugin, "run", run)
    monkeypatch.setattr(host_info.platform, "freedesktop_os_release", lambda: {"ID": "debian", "VERSION_CODENAME": "trixie"})
    return answers


def test_a_relay_is_described(host):
    assert host_info.gather(None, None) == {
        "packages": {"postfix": "3.10.13-0+deb13u1", "ssl-cert": "1.1.3"},
        "postfix": {"installed": True, "mail_version": "3.10.13", "default_database_type": "hash", "running": False, "master_pid": None},
        "plugin_loads": True,
        "certificate_problem": None,
        "release": "trixie",
    }


def test_a_bare_host_is_described(host):
    host.update({"dpkg-query": b"installed bash 5.2\n", "postconf": None, "saslpluginviewer": None})
    facts = host_info.gather(None, None)
    assert facts["postfix"] == {"installed": False, "mail_version": None, "default_database_type": None, "running": False, "master_pid": None}
    assert facts["plugin_loads"] is False


def test_a_plugin_that_is_not_loaded_is_not_there(host):
    host["saslpluginviewer"] = NOT_LISTED
    assert host_info.gather(None, None)["plugin_loads"] is False


def test_the_master_is_found_by_its_pid_and_name(tmp_path):
    (tmp_path / "pid").mkdir()
    assert _postfix_unit.master_pid(str(tmp_path)) is None
    with subprocess.Popen(["/bin/sh", "-c", "printf master > /proc/$$/comm; read -r line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        (tmp_path / "pid/master.pid").write_text(f"       {process.pid}\n")
        while pathlib.Path(f"/proc/{process.pid}/comm").read_text(encoding="ascii") != "master\n":
            assert process.poll() is None
        assert _postfix_unit.master_pid(str(tmp_path)) == process.pid
        process.communicate(b"\n")
    assert _postfix_unit.master_pid(str(tmp_path)) is None


def test_another_process_with_the_pid_is_not_the_master(tmp_path):
    (tmp_path / "pid").mkdir()
    (tmp_path / "pid/master.pid").write_text("1\n")
    assert _postfix_unit.master_pid(str(tmp_path)) is None


# --- certificates ---

def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pems")
    for name in ("one", "other"):
        files = "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 1, "-subj", f"/CN={name}", *files)
    openssl("rsa", "-aes128", "-passout", "pass:secret", "-in", folder / "one.key", "-out", folder / "locked.key")
    openssl("x509", "-in", folder / "one.pem", "-signkey", folder / "one.key", "-days", -1, "-out", folder / "expired.pem")
    (folder / "junk.pem").write_text("no certificate\n")
    return folder


@pytest.mark.parametrize("certificate, key, says", [
    ("missing.pem", "one.key", r"The certificate \S+/missing.pem does not exist"),
    ("one.pem", "missing.key", r"The key \S+/missing.key does not exist"),
    (".", "one.key", "is not a file"),
    ("one.pem", "other.key", r"The key \S+/other.key does not belong to the certificate \S+/one.pem"),
    ("one.pem", "locked.key", "protected by a passphrase"),
    ("junk.pem", "one.key", "cannot be loaded"),
    ("one.pem", "junk.pem", "cannot be loaded"),
    ("expired.pem", "one.key", r"The certificate \S+/expired.pem has expired"),
])
def test_a_certificate_that_cannot_be_used_is_a_sentence(pems, certificate, key, says):
    problem = _certificate.certificate_problem(str(pems / certificate), str(pems / key))
    assert problem is not None
    assert re.search(says, problem)


def test_a_good_certificate_has_no_problem(pems, host):
    assert _certificate.certificate_problem(str(pems / "one.pem"), str(pems / "one.key")) is None
    assert host_info.gather(str(pems / "one.pem"), str(pems / "one.key"))["certificate_problem"] is None
    assert "does not belong" in host_info.gather(str(pems / "one.pem"), str(pems / "other.key"))["certificate_problem"]


def test_the_leaf_is_the_first_certificate_of_a_chain(pems, tmp_path):
    chain = tmp_path / "chain.pem"
    chain.write_text("text before\n" + (pems / "one.pem").read_text() + (pems / "other.pem").read_text())
    assert _certificate.leaf(str(chain)) == _certificate.leaf(str(pems / "one.pem")) != _certificate.leaf(str(pems / "other.pem"))
    with pytest.raises(ValueError, match="no PEM certificate"):
        _certificate.leaf(str(pems / "junk.pem"))
