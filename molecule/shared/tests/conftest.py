# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of a running relay have in common: the test network, the stand-in for Microsoft, and mail."""

from __future__ import annotations

import email.message
import hashlib
import json
import os
import pathlib
import smtplib
import ssl
import subprocess
import time
import uuid

import control
import pytest
import testinfra

TREE = pathlib.Path(__file__).resolve().parents[3]
MAILBOX = "scans@corp.test"
FAMILIES = ["IPv4", "IPv6"]
RECIPIENT = "alice@partner.test"
PASSWORDS = {"scanner": "planted-Pa55word-scanner", "printer": "planted-Pa55word-printer"}
EXPIRE = r"""
import json, os
path = "/var/lib/m365-relay/tokens/%s"
token = json.load(open(path))
token["expiry"] = "1"
with open(path, "r+") as stream:
    stream.truncate(0); json.dump(token, stream)
"""


def pytest_addoption(parser):
    """The name of the running test network, which is the scenario's."""
    parser.addoption("--testbed", required=True)


@pytest.fixture(scope="session")
def bed(request):
    """The test network: addresses of everybody in it."""
    return json.loads((TREE / ".cache" / "testbeds" / request.config.getoption("--testbed") / "testbed.json").read_text(encoding="utf-8"))


class Lab:
    """The stand-in for Microsoft 365, as a test sees it."""

    def __init__(self, url):
        self.url = url

    def __call__(self, method, path, body=None):
        return control.call(self.url, method, path, body)

    def delivered(self, message_id, seconds=60):
        """Wait until the message with this Message-ID was accepted; return all its copies."""
        deadline = time.monotonic() + seconds
        while True:
            found = [message for message in self("GET", "/inbox?data=1") if message["message_id"] == message_id]
            if found or time.monotonic() > deadline:
                return found
            time.sleep(0.2)


@pytest.fixture(scope="session")
def microsoft(bed):
    """The stand-in as it is."""
    return Lab(bed["control"])


@pytest.fixture
def lab(microsoft):
    """The stand-in, with no fault and no limit that another test left behind."""
    microsoft("POST", "/reset")
    microsoft("POST", "/settings", {"rate_limit": 0})
    yield microsoft
    microsoft("POST", "/reset")


@pytest.fixture(scope="session")
def inventories(bed):
    """The inventories that the scenario deploys with."""
    return [str(TREE / ".cache" / "testbeds" / bed["name"] / "inventory.json"), str(TREE / "molecule" / "shared" / "inventory")]


@pytest.fixture
def client(inventories):
    """The machine in the trusted network that has users' mail programs."""
    return testinfra.get_host("ansible://client", ansible_inventory=inventories[0])


@pytest.fixture(scope="session")
def relay_for_module(inventories):
    """The relay, for fixtures that live longer than one test."""
    return testinfra.get_host("ansible://relay", ansible_inventory=inventories[0])


@pytest.fixture(scope="session")
def start_play(inventories):
    """Start a playbook of the collection as an administrator does; give the process, whose output is to be read."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    environment |= {"ANSIBLE_COLLECTIONS_PATH": str(TREE / ".build"), "ANSIBLE_CONFIG": str(TREE / "lab" / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
                    "PYTHONUNBUFFERED": "1"}

    def start(name, *arguments, variables=None):
        command = ["ansible-playbook", *(f"--inventory={inventory}" for inventory in inventories), f"simple_m365.relay.{name}", *arguments]
        if variables:
            command += ["--extra-vars", json.dumps(variables)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, env=environment)
    return start


@pytest.fixture(scope="session")
def play(start_play):
    """Run a playbook of the collection to its end; give the finished process, with all its output."""
    def run(*arguments, **options):
        with start_play(*arguments, **options) as process:
            output = process.communicate()[0]
        return subprocess.CompletedProcess(process.args, process.returncode, output)
    return run


@pytest.fixture(scope="session")
def deploy(microsoft, play):
    """Deploy with these variables beside the inventory's, while Microsoft is as at the start and this person answers every code."""
    def run(variables=None, person=MAILBOX):
        microsoft("POST", "/reset")
        microsoft("POST", "/person", {"account": person})
        done = play("site", variables=variables)
        assert done.returncode == 0, done.stdout
    return run


def token_file(host):
    """Return the content of the relay's token file."""
    return host.check_output("cat /var/lib/m365-relay/tokens/%s", MAILBOX)


def expire(host):
    """Make the relay believe that its access token has run out, as it does every hour, and close its open connections."""
    host.check_output("python3 -c %s", EXPIRE % MAILBOX)
    host.check_output("postfix reload")


def refreshes_by_the_plugin(lab):
    """Return the token requests that came from the plugin itself."""
    return [event for event in lab("GET", "/requests") if event.get("grant") == "refresh_token" and "xoauth2" in event["agent"]]


def fingerprint(host):
    """Return one figure for everything on the host that the collection may write."""
    listing = host.check_output(
        "cd / && find etc var/lib/m365-relay usr/local -xdev '(' -type f -o -type l ')' -printf '%%p %%m %%u %%g %%l\n' -exec sha256sum '{}' + | sort")
    return hashlib.sha256(listing.encode()).hexdigest()


def wait_for(what, ready, seconds=30):
    """Ask until the answer is true; return it, or fail naming what was waited for."""
    deadline = time.monotonic() + seconds
    while not (answer := ready()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} seconds"
        time.sleep(0.2)
    return answer


def unverified():
    """A TLS context for a relay with a self-signed certificate; who answers is not what these tests ask."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def message(sender=MAILBOX, recipient=RECIPIENT, subject="test"):
    """Return a small message with a Message-ID of its own."""
    mail = email.message.EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, recipient, subject
    mail["Message-ID"] = f"<{uuid.uuid4()}@corp.test>"
    mail.set_content("A line of text.\n")
    return mail


def connect(address, port):
    """Open a session as a mail program does: TLS from the start on 465, STARTTLS elsewhere."""
    if port == 465:
        return smtplib.SMTP_SSL(address, port, timeout=20, context=unverified())
    session = smtplib.SMTP(address, port, timeout=20)
    session.starttls(context=unverified())
    return session


def submit(address, port=587, login="scanner", **fields):
    """Hand a message to the relay with SMTP AUTH; return its Message-ID."""
    mail = message(**fields)
    with connect(address, port) as session:
        session.login(login, PASSWORDS[login.partition("@")[0]])
        session.send_message(mail)
    return mail["Message-ID"]
