# SPDX-License-Identifier: GPL-3.0-or-later
"""`./dev demo`: a bare Debian host becomes a relay, somebody signs it in, and a scanner's message arrives.

Everything is real but Microsoft, for whom the stand-in answers under Microsoft's own names.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import subprocess
import sys
import time

import control
import testbed
from podman import LabError, podman

MAILBOX = "scans@corp.test"
CODE = re.compile(r"\benter\b\W+([A-Z0-9]{4,}(?:-[A-Z0-9]{4,})?)\b", re.IGNORECASE)

NEXT = """
What to type next, for a real tenant (the app registration and the mailbox are described in README.md):

  ansible-galaxy collection install simple_m365.relay
  cp inventory.example inventory.yml        # put in your six values
  ansible-playbook -i inventory.yml simple_m365.relay.site
"""


def inventory(bed, password):
    """Return the inventory an administrator would write: six values and one account."""
    return {"m365_relays": {"vars": {
        "postfix_hostname": "relay.corp.test",
        "postfix_domain": "corp.test",
        "postfix_trusted_networks": bed["trusted"],
        "xoauth2_mailbox": MAILBOX,
        "xoauth2_tenant_id": "11111111-2222-4333-8444-555555555555",
        "xoauth2_client_id": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
        "sasldb_users": [{"name": "scanner", "password": password}],
    }}}


def deploy(bed, folder):
    """Run site.yml; be the person who reads the code in its output and signs in."""
    testbed.tell("ansible-playbook -i inventory simple_m365.relay.site")
    command = ["ansible-playbook", "-i", str(folder / "inventory.json"), "-i", str(folder / "demo.json"), "simple_m365.relay.site"]
    code = signed_in = None
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=testbed.TREE, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environment) as play:
        for line in play.stdout:
            print(f"    {line}", end="", flush=True)
            code = (CODE.search(line) or [None, code])[1]
            if code and not signed_in and line.startswith("+--"):  # the box is complete
                testbed.tell(f"somebody opens the page, enters {code} and signs in as {MAILBOX}")
                control.call(bed["control"], "POST", "/approve", {"code": code, "account": MAILBOX})
                signed_in = code
    if play.returncode != 0:
        raise LabError(f"the play ended with exit code {play.returncode}")
    if not signed_in:
        raise LabError("the play never showed a code to sign in with")


def send(bed, password):
    """Send two messages as devices do: a scanner logs in on port 587, an old printer is trusted on port 25."""
    testbed.tell("a scanner sends a message through port 587 with its account; a printer without one through port 25")
    relay, client = bed["hosts"]["relay"]["addresses"][0], f"{bed['network']}-client"
    mail = ["--server", relay, "--to", "alice@partner.test", "--timeout", "30", "--silent", "2"]
    podman("exec", "--interactive", client, "sh", "-c", "umask 077; cat > /root/.netrc", text=f"machine {relay} login scanner password {password}\n")
    podman("exec", client, "swaks", *mail, "--port", "587", "--tls", "--auth", "PLAIN", "--from", MAILBOX, "--header", "Subject: Scan of page 1")
    podman("exec", client, "swaks", *mail, "--port", "25", "--from", "printer@corp.test", "--header", "Subject: Toner is low")


def arrived(bed, wanted):
    """Wait until the stand-in has accepted this many messages; return them."""
    return testbed.wait_until(f"delivery of {wanted} messages", lambda: [*control.call(bed["control"], "GET", "/inbox")] if len(
        control.call(bed["control"], "GET", "/inbox")) >= wanted else None, seconds=120)


def show_relay(bed):
    """Print the relay's state in a few lines, as its own programs tell it."""
    script = r"""
echo "Debian       $(. /etc/os-release; echo "$PRETTY_NAME"), Postfix $(postconf -h mail_version), $(systemctl is-active postfix)"
echo "listens on   $(ss -ltnH '( sport = :25 or sport = :587 or sport = :465 )' | awk '{print $4}' | sed 's/.*://' | sort -n | uniq | paste -sd' ')"
echo "accounts     $(sasldblistusers2 | sed 's/: .*//' | paste -sd' ')"
echo "signed in    $(ls /var/lib/m365-relay/tokens | paste -sd' ')"
echo "queue        $(postqueue -p | tail -n 1)"
"""
    print("\nThe relay:")
    for line in podman("exec", f"{bed['network']}-relay", "bash", "-c", script).splitlines():
        print(f"  {line}")


def main(arguments):
    """Run the demo; clean up unless told to keep it."""
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave everything running: ./dev lab --testbed demo hosts tells how to reach it")
    keep = parser.parse_args(arguments).keep
    started = time.monotonic()
    try:
        bed = testbed.up("demo", {"relay": "debian14"})
        folder = testbed.TESTBEDS / "demo"
        password = secrets.token_urlsafe(12)
        with open(os.open(folder / "demo.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            json.dump(inventory(bed, password), stream, indent=2)
        deploy(bed, folder)
        send(bed, password)
        messages = arrived(bed, 2)
        print(f"\nWhat Microsoft's stand-in accepted, {time.monotonic() - started:.0f} s after the start:")
        print(control.inbox_for_people(messages))
        show_relay(bed)
        print(NEXT)
    except LabError as error:
        print(f"./dev demo: {error}", file=sys.stderr)
        return 1
    finally:
        if keep:
            testbed.tell("left running: './dev lab --testbed demo hosts' tells how to reach it, './dev lab --testbed demo down' removes it")
        else:
            testbed.tell("removing the test network")
            testbed.down("demo")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
