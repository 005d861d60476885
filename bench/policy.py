# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sender policy costs: processor time of its service for each message, and how long it takes to start, with many rules.

Real messages pass the real service on this relay; its processor time is the kernel's count for its control group. Beside it the decision alone.
"""

from __future__ import annotations

import ipaddress
import json

import setups
import shared
import testbed

UNIT = "m365-relay-policy.service"
POLICY = "/etc/m365-relay/sender_policy.json"
SIZES = {"no rules": (0, 0), "10000 logins, 1000 networks": (10_000, 1_000)}
MAIN = "10000 logins, 1000 networks"
MILLISECONDS, START_SECONDS = 1.0, 1.0

USED = f"awk '/^usage_usec/ {{print $2}}' /sys/fs/cgroup/system.slice/{UNIT}/cpu.stat"
START = f"""
for turn in 1 2 3 4 5; do
  systemctl stop {UNIT}
  started=$(date +%s%N); systemctl start {UNIT}
  until [ -S /run/m365-relay-policy/milter.sock ]; do sleep 0.01; done
  echo $(($(date +%s%N) - started))
done
"""
DECISION = """
import importlib, json, sys, time
sys.path.insert(0, "/usr/local/lib")
milter = importlib.import_module("m365-relay._sender_milter")
settings = json.load(open(sys.argv[1]))
started = time.process_time()
policy = milter.compile_policy(settings)
compiled = time.process_time() - started
now, count = milter.email.utils.localtime(), 20000
started = time.process_time()
for number in range(count):
    login, client = (f"login{number % 10000}", "192.0.2.1") if number % 2 else ("", f"10.{number % 1000 // 250}.{number % 250}.7")
    author = [f"Scanner {number} <login{number % 10000}@corp.test>"]
    decision = milter.decide(policy, login, client, f"login{number % 10000}@corp.test", author)
    milter.edits(decision, {"from": author, "date": ["x"], "message-id": ["x"]}, policy.hostname, now)
print(json.dumps({"compiled": compiled, "decision": (time.process_time() - started) / count}))
"""


def rules(bed, logins, networks):
    """Return the variables of a policy with so many rules, those of the client among them; every tenth login keeps its address to itself."""
    names = [*shared.LOGINS, *(f"login{number}" for number in range(logins))][:logins]
    clients = [[network] for network in bed["trusted"]] + [[str(ipaddress.ip_network(f"10.{number // 250}.{number % 250}.0/24"))] for number in range(networks)]
    return {
        "sender_policy_logins": [
            {"logins": [name], "addresses": [f"{name}@corp.test"], "exclusive": True} if number % 10 == 0 else
            {"logins": [name], "addresses": [f"{name}@corp.test", f"*@team{number % 50}.corp.test"]} for number, name in enumerate(names)],
        "sender_policy_networks": [{"networks": one, "addresses": ["*@corp.test"]} for one in clients[:networks]],
    }


def milliseconds_a_message(bed, messages):
    """Send messages that have to be rewritten, from accounts and from a trusted network; return the service's processor time for each, and how many."""
    count = messages // len(shared.LOGINS)
    plans = {name: shared.plan(bed, "relay", f"{name}@corp.test", {name: count}) for name in shared.LOGINS[:5]}
    plans["network"] = {**shared.plan(bed, "relay", "device@corp.test", dict.fromkeys(shared.LOGINS[5:], count)), "password": ""}
    before = int(shared.on_host(bed, "relay", USED))
    sent = sum(one["sent"] for one in shared.send(bed, plans).values())
    if sent != count * len(shared.LOGINS):
        raise SystemExit(f"only {sent} of {count * len(shared.LOGINS)} messages were taken: this measures something else")
    return (int(shared.on_host(bed, "relay", USED)) - before) / 1000 / sent, sent


def measure(bed, name, messages):
    """Return the figures with one size of policy."""
    logins, networks = SIZES[name]
    settings = json.loads(shared.on_host(bed, "relay", f"cat {POLICY}"))
    settings.update(rules(bed, logins, networks))
    shared.on_host(bed, "relay", f"cat > {POLICY}", json.dumps(settings))
    starts = [int(line) / 1e9 for line in shared.on_host(bed, "relay", START).split()]
    milliseconds_a_message(bed, 100)    # warms up
    cost, sent = milliseconds_a_message(bed, messages)
    shared.empty(bed, "relay")
    alone = json.loads(shared.on_host(bed, "relay", f"python3 - {POLICY}", DECISION))
    return {"policy": name, "messages": sent, "service ms a message": cost, "decision and edits ms": alone["decision"] * 1000,
            "compiled s": alone["compiled"], "start s": max(starts)}


def main():
    """Measure and print the table."""
    parser = shared.parser("policy", __doc__)
    parser.add_argument("--messages", type=int, default=2000, help="messages through the service (default: %(default)s)")
    options = parser.parse_args()
    bed = testbed.load(shared.name_of(options.inventory))
    setups.mailboxes(bed)
    shared.deploy(bed)
    rows = [measure(bed, name, options.messages) for name in SIZES]
    shared.table(rows, list(rows[0]))
    main_row = next(row for row in rows if row["policy"] == MAIN)
    cost, start = main_row["service ms a message"], main_row["start s"]
    aims = [{"what": "decision and rewriting, ms of CPU a message", "figure": cost, "aim": f"< {MILLISECONDS}", "met": cost < MILLISECONDS},
            {"what": "start of the service, s", "figure": start, "aim": f"< {START_SECONDS}", "met": start < START_SECONDS}]
    shared.aims(aims)
    shared.keep(options.json, {"rows": rows, "aims": aims})


if __name__ == "__main__":
    main()
