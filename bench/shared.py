# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks of the mail's way share: hosts, this relay's deployment, the client that sends, Microsoft's log, tables."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys

import control
import testbed
from podman import podman

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent
TENANT = "11111111-2222-4333-8444-555555555555"
CLIENT_ID = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
MAILBOX = "scans@corp.test"
PASSWORD = "bench-Pa55word-of-a-sender"
LOGINS = [f"sender{number}" for number in range(1, 11)]

INVENTORY = {
    "postfix_hostname": "relay.corp.test", "postfix_domain": "corp.test",
    "xoauth2_mailbox": MAILBOX, "xoauth2_tenant_id": TENANT, "xoauth2_client_id": CLIENT_ID,
    "sasldb_users": [{"name": name, "password": PASSWORD} for name in LOGINS],
    # One address of the test network sends for everybody: what keeps strangers from guessing passwords is not measured here.
    "postfix_client_message_rate_limit": 0, "postfix_client_connection_rate_limit": 0, "postfix_client_auth_rate_limit": 0,
}


def parser(name, about):
    """Return the parser of what all benchmarks understand."""
    made = argparse.ArgumentParser(prog=f"./dev bench {name}", description=about.splitlines()[0])
    made.add_argument("--inventory", required=True, help="Ansible inventory of the test network")
    made.add_argument("--json", metavar="FILE", help="keep the figures in this file")
    return made


def on_host(bed, host, script, text=None):
    """Run a shell script on a host of the test network; return what it says."""
    return podman("exec", "--interactive", f"{bed['network']}-{host}", "bash", "-c", script, text=text)


def write_file(bed, host, path, content):
    """Write a file on a host."""
    on_host(bed, host, f"umask 077; mkdir -p \"$(dirname '{path}')\"; cat > '{path}'; chmod 0644 '{path}'", content)


def deploy(bed, more=None):
    """Make the host `relay` this relay, as an administrator does: site.yml and an inventory."""
    control.call(bed["control"], "POST", "/person", {"account": MAILBOX})
    folder = testbed.TESTBEDS / bed["name"]
    variables = {**INVENTORY, "postfix_trusted_networks": bed["trusted"], **(more or {})}
    with open(os.open(folder / "bench.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        json.dump({"m365_relays": {"vars": variables}}, stream, indent=2)
    done = subprocess.run(["ansible-playbook", "-i", str(folder / "inventory.json"), "-i", str(folder / "bench.json"), "--limit", "relay",
                           "simple_m365.relay.site"], cwd=TREE, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    on_host(bed, "relay", "rm -f /etc/m365-relay/pacer.json.deployed")
    if done.returncode != 0:
        sys.exit(f"site.yml failed:\n{done.stdout[-4000:]}{done.stderr[-1000:]}")


def send(bed, plans):
    """Let the client send by these plans (see inject.py) at the same time; return {plan's name: what inject.py says}."""
    return json.loads(podman("exec", "--interactive", f"{bed['network']}-client", "python3", "-c", (HERE / "inject.py").read_text(encoding="utf-8"),
                             text=json.dumps(plans)))


def plan(bed, host, mailbox, senders):
    """Return the plan to send {sender: number of messages} through a host; through this relay with an account for each sender."""
    return {"host": bed["hosts"][host]["addresses"][0], "from": mailbox, "password": PASSWORD if host == "relay" else "", "senders": senders}


def microsofts_log(bed, since):
    """Return the events of Microsoft's stand-in since a moment (seconds), with their time in seconds."""
    events = []
    for line in podman("logs", "--since", str(int(since)), f"{bed['network']}-m365").splitlines():
        if line.startswith('{"time"'):
            event = json.loads(line)
            event["time"] = datetime.datetime.fromisoformat(event["time"]).timestamp()
            if event["time"] >= since:
                events.append(event)
    return events


def name_of(inventory):
    """Return the name of the testbed that an inventory belongs to."""
    return pathlib.Path(inventory).resolve().parent.name


def change_pacer(bed, changes):
    """Change the limits that this relay's pacer keeps: changes(limit of a mailbox, as it was deployed) -> what is different."""
    path = "/etc/m365-relay/pacer.json"
    text = on_host(bed, "relay", f"cat {path}.deployed 2>/dev/null || cat {path} 2>/dev/null || true")
    if not text:
        return
    settings = json.loads(text)
    write_file(bed, "relay", f"{path}.deployed", text)
    for limit in settings["limits"].values():
        limit.update(changes(limit))
    write_file(bed, "relay", path, json.dumps(settings))
    on_host(bed, "relay", "systemctl restart m365-relay-pacer.service")


def queued(bed, host):
    """Return how many messages wait on a host."""
    return int(on_host(bed, host, "find /var/spool/postfix/{incoming,active,deferred,maildrop,hold} -type f | wc -l"))


def waiting(bed, host):
    """Return the Message-IDs of what waits on a host."""
    return set(on_host(bed, host, "cd /var/spool/postfix; grep -arohE '<sender[0-9]+\\.[0-9]+@bench\\.test>' incoming active deferred || true").split())


def microsoft_goes_first(bed):
    """Let nothing on this machine slow Microsoft's stand-in down: the real one has computers of its own."""
    podman("exec", f"{bed['network']}-m365", "sh", "-c", "renice -n -15 -p $(ls /proc/1/task) >/dev/null")


def empty(bed, host):
    """Throw away what is queued on a host, and close its connections."""
    on_host(bed, host, "systemctl stop postfix; postsuper -d ALL >/dev/null 2>&1; systemctl start postfix")


def table(rows, columns):
    """Print rows (dictionaries) under the names of the columns."""
    texts = [list(columns), *[[shown(row.get(name)) for name in columns] for row in rows]]
    widths = [max(len(line[number]) for line in texts) for number in range(len(columns))]
    for line in texts:
        print("  ".join(text.ljust(width) if number == 0 else text.rjust(width) for number, (text, width) in enumerate(zip(line, widths, strict=True))))


def shown(value):
    """Return a figure as people read it."""
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) and value < 100 else str(round(value) if isinstance(value, float) else value)


def aims(found):
    """Print what was aimed at, and whether it is met."""
    for aim in found:
        print(f"{aim['what']:45}{shown(aim['figure']):>8}   aim {aim['aim']:8} {'met' if aim['met'] else 'MISSED'}")


def keep(path, figures):
    """Write the figures to a file, if one is wanted."""
    if path:
        pathlib.Path(path).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
