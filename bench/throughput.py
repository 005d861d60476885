# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages a second, end to end, with no limits: from the first one that the client sends until the last one is accepted.

The same messages go through port 25 of this relay (policy, pacer, tokens), of the same Postfix with TLS alone, and of Postfix with
email-oauth2-proxy behind it; one after the other, round by round, because all share the machine. A light server takes them (see sink.py).
"""

from __future__ import annotations

import json
import socket
import statistics
import time

import control
import setups
import shared
import testbed
from podman import podman

CONCURRENCY, SENDERS, COUNTER, STAND_IN_PORT = 10, 10, 8026, 587
HOSTS = ["relay", "plain", "proxy"]
# Aims: how much of plain Postfix is left, how many times the proxy, MiB of memory that this relay adds to Postfix.
OF_PLAIN, TIMES_PROXY, ADDED = 0.8, 3, 60
UNITS = ["m365-relay-policy.service", "m365-relay-pacer.service"]
TIMER = "m365-relay-token.service"
# The role lets nobody open more connections than Microsoft takes, so the concurrency is written behind its back.
OPEN = r"""
postconf -n | sed -n 's/^\([^ ]*_destination_concurrency_limit\) =.*/\1=%d/p; s/^\([^ ]*_rate_delay\) =.*/\1=0s/p' | xargs -r postconf -e
postconf -M | awk '/^m365-/ {print $1 "/" $2 "/process_limit=%d"}' | xargs -r postconf -F
"""

PSS = r"""
for unit in %s; do
  total=0
  for pid in $(cat /sys/fs/cgroup/system.slice/$unit/cgroup.procs 2>/dev/null); do
    total=$((total + $(awk '/^Pss:/ {print $2}' /proc/$pid/smaps_rollup)))
  done
  echo "$unit $total"
done
"""


def count(bed):
    """Return {accepted, last} of the light server since it was asked last."""
    with socket.create_connection((bed["lab"][0], COUNTER), timeout=10) as channel:
        return json.loads(channel.makefile().read())


def start_sink(bed, delay):
    """Let the light server stand where Microsoft's stand-in stood."""
    control.call(bed["control"], "POST", "/faults", {"name": "down_smtp"})
    write = (shared.HERE / "sink.py").read_text(encoding="utf-8")
    podman("exec", "--interactive", f"{bed['network']}-m365", "sh", "-c", "cat > /tmp/sink.py", text=write)
    podman("exec", "--detach", f"{bed['network']}-m365", "python3", "/tmp/sink.py", str(STAND_IN_PORT), str(COUNTER), str(delay))
    testbed.wait_until("the light SMTP server", lambda: answers(bed), 20)


def answers(bed):
    """Tell whether the light server is there."""
    try:
        return count(bed)
    except OSError:
        return None


def stop_sink(bed):
    """Give the port back to Microsoft's stand-in."""
    podman("exec", f"{bed['network']}-m365", "pkill", "-f", "/tmp/sink.py", check=False)
    control.call(bed["control"], "DELETE", "/faults/down_smtp")


def one_round(bed, host, messages):
    """Return the messages a second of one round."""
    count(bed)
    mailbox = setups.SETUPS[host]["mailbox"] if host in setups.SETUPS and setups.SETUPS[host]["mailbox"] else shared.MAILBOX
    plan = {**shared.plan(bed, host, mailbox, {f"sender{number}": messages // SENDERS for number in range(1, SENDERS + 1)}), "password": ""}
    sent = shared.send(bed, {host: plan})[host]
    accepted, last, deadline = 0, 0.0, time.time() + 300
    while accepted < messages:
        time.sleep(0.2)
        more = count(bed)
        accepted, last = accepted + more["accepted"], max(last, more["last"])
        if time.time() > deadline:
            raise SystemExit(f"{host}: {accepted} of {messages} messages after 300 s; the door said {sent['refused']}")
    return messages / (last - sent["started"])


def memory(bed):
    """Return {unit: MiB}: the memory that each service of this relay has for itself, and the most that a run of the timer takes."""
    found = {}
    for line in shared.on_host(bed, "relay", PSS % " ".join(UNITS)).splitlines():
        unit, kilobytes = line.split()
        found[unit] = int(kilobytes) / 1024
    peak = shared.on_host(bed, "relay", f"systemctl start {TIMER} 2>/dev/null && systemctl show -p MemoryPeak --value {TIMER} || true")
    found[f"{TIMER}, peak"] = int(peak) / 2**20 if peak.isdigit() else 0.0
    return found


def prepare(bed):
    """Bring the hosts to the same concurrency, without limits."""
    setups.prepare(bed, ["plain", "proxy"], testbed.tell)
    shared.deploy(bed)
    shared.on_host(bed, "relay", OPEN % (CONCURRENCY, CONCURRENCY))
    shared.change_pacer(bed, lambda limit: {"messages": 0, "recipients_per_day": 0})
    setups.configure(bed, "plain", {"smtp_destination_concurrency_limit": CONCURRENCY})
    setups.configure(bed, "proxy", {"smtp_destination_concurrency_limit": CONCURRENCY})
    shared.on_host(bed, "plain", "postconf -F '*/*/chroot=n'; postconf -M 'tlsproxy/unix=tlsproxy unix - - n - 0 tlsproxy'")
    for host in HOSTS:
        shared.empty(bed, host)


def main():
    """Measure and print the medians."""
    parser = shared.parser("throughput", __doc__)
    parser.add_argument("--messages", type=int, default=2000, help="messages of a round; email-oauth2-proxy gets a fifth (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that the server takes for the end of a message (default: %(default)s)")
    options = parser.parse_args()
    bed = testbed.load(shared.name_of(options.inventory))
    prepare(bed)
    start_sink(bed, options.delay)
    rounds = []
    try:
        for number in range(options.rounds + 1):    # the first one warms up: connections, caches, tokens
            rounds.append({host: one_round(bed, host, options.messages // (5 if host == "proxy" else 1)) for host in HOSTS})
            testbed.tell(f"round {number}: " + ", ".join(f"{host} {rate:.1f}/s" for host, rate in rounds[-1].items()))
        added = memory(bed)
    finally:
        stop_sink(bed)
    report(rounds[1:], added, options)


def report(rounds, added, options):
    """Print the table and what was aimed at."""
    shared.table([{"set-up": host, "messages/s": statistics.median(one[host] for one in rounds), "lowest": min(one[host] for one in rounds),
                   "highest": max(one[host] for one in rounds)} for host in HOSTS], ["set-up", "messages/s", "lowest", "highest"])
    shared.table([{"memory": unit, "MiB": size} for unit, size in added.items()], ["memory", "MiB"])
    of_plain = statistics.median(one["relay"] / one["plain"] for one in rounds)
    times_proxy = statistics.median(one["relay"] / one["proxy"] for one in rounds)
    aims = [
        {"what": "this relay / Postfix with TLS alone", "figure": of_plain, "aim": f">= {OF_PLAIN}", "met": of_plain >= OF_PLAIN},
        {"what": "this relay / email-oauth2-proxy", "figure": times_proxy, "aim": f">= {TIMES_PROXY}", "met": times_proxy >= TIMES_PROXY},
        {"what": "memory added to Postfix, MiB", "figure": sum(added.values()), "aim": f"< {ADDED}", "met": sum(added.values()) < ADDED},
    ]
    shared.aims(aims)
    shared.keep(options.json, {"rounds": rounds, "messages": options.messages, "delay": options.delay, "memory, MiB": added, "aims": aims})


if __name__ == "__main__":
    main()
