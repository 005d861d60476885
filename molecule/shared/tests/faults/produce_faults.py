# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the relay: switches faults of the stand-in on, one by one, and tells as JSON how the relay's own command names each.

argv[1]: {"control": URL, "doctor": [fault], "renew": [fault], "messages": [fault]}
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request

ASKED = json.loads(sys.argv[1])
MESSAGE = "From: scans@corp.test\nTo: {}\nSubject: fault\n\nA line of text.\n"


def control(method, path, body=None):
    """Talk to the stand-in."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(ASKED["control"] + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def doctor(*options):
    """Return stage and name of the first failure of an identity that the doctor finds, or None."""
    said = subprocess.run(["m365-relay", "doctor", "--json", *options], capture_output=True, text=True, check=False)
    failed = [finding for finding in json.loads(said.stdout)["findings"] if finding["status"] == "failed" and finding["identity"]]
    return f"{failed[0]['name']} ({failed[0]['stage']})" if failed else None


def by_doctor(fault, *options):
    """Return what the doctor says under a fault."""
    control("POST", "/faults", {"name": fault})
    try:
        return doctor(*options)
    finally:
        control("DELETE", "/faults")


def by_message(fault):
    """Send a message into a fault; return the cause that the log names for it, or None."""
    recipient = f"{fault}.{time.time_ns()}@partner.test"    # the log remembers earlier runs
    control("POST", "/faults", {"name": fault})
    try:
        subprocess.run(["sendmail", "-f", "scans@corp.test", recipient], input=MESSAGE.format(recipient), text=True, check=True)
        return cause(recipient)
    finally:
        control("DELETE", "/faults")


def cause(recipient):
    """Wait until the log tells what became of the message to somebody; return the cause."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = subprocess.run(["m365-relay", "log", "--json", "--since=-2min"], capture_output=True, text=True, check=False).stdout.splitlines()
        for row in map(json.loads, lines):
            if recipient in row["recipients"]:
                return row["cause"]
    return None


before = doctor("--renew")
named = {fault: by_doctor(fault) for fault in ASKED["doctor"]}
named |= {fault: by_message(fault) for fault in ASKED["messages"]}
status = json.loads(subprocess.run(["m365-relay", "status", "--json"], capture_output=True, text=True, check=False).stdout)
named |= {fault: by_doctor(fault, "--renew") for fault in ASKED["renew"]}
print(json.dumps({"before": before, "named": named, "afterwards": doctor("--renew"), "status": status}))
