# SPDX-License-Identifier: GPL-3.0-or-later
"""A burst of mail from five senders, through this relay and beside it through the set-ups of setups.py, in each model of Microsoft's limits.

Every set-up has a host and a mailbox of its own, so all of them meet the same limits at the same time. Scaled runs have windows, latencies
and Postfix's retry times ten times shorter; one run is in real time. What is not done when this relay is done is cut off then: it may need hours.

rate:    what was accepted, by what the allowed rate gives in the same time; the first window's worth may go at once, so it can be above 100
best:    the shortest time that the limits allow for what was accepted, by the time it took
small:   when the sender with ten messages was done, as a share of the drain
"""

from __future__ import annotations

import collections
import math
import time

import control
import setups
import shared
import testbed

# Seconds that Microsoft takes for its answers: what shaping.md calls the fast and the slow server.
SERVERS = {
    "fast": {"connect": 0.05, "ehlo": 0.1, "tls": 0.1, "auth": 0.2, "mail": 0.03, "rcpt": 0.02, "data": 0, "end_of_data": 0.4},
    "slow": {"connect": 0.15, "ehlo": 0.2, "tls": 0.25, "auth": 0.4, "mail": 0.1, "rcpt": 0.1, "data": 0.1, "end_of_data": 1.4},
}
LIMIT, WINDOW, CONNECTIONS = 30, 60.0, 3
SCALE = 10
# Postfix's retry times as each set-up has them in real time, seconds. Postfix knows no fractions of a second.
TIMERS = {"minimal_backoff_time": 300, "maximal_backoff_time": 4000, "queue_run_delay": 300}
OUR_TIMERS = {"minimal_backoff_time": 60, "maximal_backoff_time": 120, "queue_run_delay": 30}
OTHERS = ["guide", "original", "proxy"]
SMALL = "sender5"
LONE = "sender6"
SHARES = {"sender1": 0.5, "sender2": 0.3, "sender3": 0.15, "sender4": 0.04, SMALL: 0.01}

SCENARIOS = [{"model": model, "server": server, "scale": SCALE} for server in SERVERS for model in "ABG"] + [{"model": "A", "server": "fast", "scale": 1}]
# Aims: percent of the allowed rate that is used, and of the drain after which the small sender is done.
SHARE, TENTH = 95, 10
NEVER = ["refused", "lost", "twice", "bounced", "throttled"]
COLUMNS = ["set-up", "accepted", "refused", "lost", "twice", "bounced", "throttled", "rate %", "best %", "small %", "drain s", "connections", "AUTHs", "lone s"]


def senders(count):
    """Return {sender: messages}: the one with ten comes last."""
    small = min(10, count // 5)
    wanted = {name: int(count * share) for name, share in SHARES.items() if name != SMALL}
    wanted["sender1"] += count - small - sum(wanted.values())
    return {**wanted, SMALL: small}


def limits(bed, scenario):
    """Set Microsoft's limits and answering times; everything else is as at the start."""
    scale = scenario["scale"]
    control.call(bed["control"], "POST", "/reset")
    setups.mailboxes(bed)
    control.call(bed["control"], "POST", "/settings", {
        "limit_model": scenario["model"], "rate_limit": LIMIT, "rate_window": WINDOW / scale, "connection_limit": CONNECTIONS,
        **{f"latency_{phase}": seconds / scale for phase, seconds in SERVERS[scenario["server"]].items()}})


def timers(bed, host, scale):
    """Scale the retry times of a host's Postfix; of this relay the window that its pacer keeps, too."""
    wanted = OUR_TIMERS if host == "relay" else TIMERS
    shared.on_host(bed, host, "postconf -e " + " ".join(f"{name}={max(1, seconds // scale)}s" for name, seconds in wanted.items()))
    if host == "relay":
        # A day's recipients would be used up by so many runs; Microsoft's stand-in forgets them before each.
        shared.change_pacer(bed, lambda limit: {"seconds": limit["seconds"] / scale, "margin": limit["margin"] / scale, "recipients_per_day": 0})
    shared.empty(bed, host)


def fastest(count, window):
    """Return the seconds that the limits ask for, from the first of so many messages to the last."""
    return (max(count, 1) - 1) // LIMIT * window


def measure(bed, hosts, count, scenario, during=None):
    """Run one scenario; return a row for each host. `during(bed)` is called in mid-burst."""
    window = WINDOW / scenario["scale"]
    limit = fastest(count, window) * 1.3 + 2 * window
    for host in hosts:
        timers(bed, host, scenario["scale"])
    shared.microsoft_goes_first(bed)
    limits(bed, scenario)
    mailboxes = {host: shared.MAILBOX if host == "relay" else setups.SETUPS[host]["mailbox"] for host in hosts}
    time.sleep(window * 1.1 + 2)    # nothing of the run before is in anybody's window
    lone = shared.send(bed, {host: shared.plan(bed, host, mailbox, {LONE: 1}) for host, mailbox in mailboxes.items()})
    time.sleep(window * 1.1 + 2)
    sent = shared.send(bed, {host: shared.plan(bed, host, mailbox, senders(count)) for host, mailbox in mailboxes.items()})
    if during:
        during(bed)
    started = min(one["started"] for one in sent.values())
    drained = wait_until_drained(bed, hosts, started, limit)
    waiting = {host: shared.waiting(bed, host) for host in hosts}    # before the log: what leaves the queue meanwhile is in the log
    log = shared.microsofts_log(bed, min(one["started"] for one in lone.values()))
    rows = [row(bed, host, log, lone[host], sent[host], waiting[host], host in drained, window) for host in hosts]
    return [{**one, "refused": count - one["sent"]} for one in rows]


def wait_until_drained(bed, hosts, started, limit):
    """Wait until this relay's queue is empty (all are, where it takes no part) or the time is up; return the hosts whose queue is empty.

    It looks seldom, because that takes processor time away from what is measured; how long it took, Microsoft's log says.
    """
    awaited = [host for host in hosts if host == "relay"] or hosts
    while time.time() < started + limit and any(shared.queued(bed, host) for host in awaited):
        time.sleep(5)
    return {host for host in hosts if not shared.queued(bed, host)}


def row(bed, host, log, lone, sent, waiting, drained, window):
    """Return the figures of one set-up."""
    address = bed["hosts"][host]["addresses"]
    mine = [event for event in log if event.get("client") in address]
    burst = [event for event in mine if event["time"] >= sent["started"]]
    accepted = [event for event in burst if event["what"] == "smtp message" and f"<{LONE}." not in event["message_id"]]
    times = collections.Counter(event["message_id"] for event in accepted)
    bounced = bounces(bed, host, sent["started"])
    took = (max((event["time"] for event in accepted), default=sent["started"]) if drained else time.time()) - sent["started"]
    small = [event["time"] - sent["started"] for event in accepted if event["message_id"].startswith(f"<{SMALL}.")]
    lone_done = [event["time"] - lone["started"] for event in mine if event["what"] == "smtp message" and f"<{LONE}." in event["message_id"]]
    throttled = collections.Counter(event["result"] for event in burst if event["what"] == "smtp refused")
    return {
        "set-up": host, "sent": sent["sent"], "refused at the door": sent["refused"], "accepted": len(times), "waiting": len(waiting - set(times)),
        "lost": sent["sent"] - len(waiting | set(times)) - bounced, "twice": sum(count - 1 for count in times.values()), "bounced": bounced,
        "throttled": sum(throttled.values()), "throttling replies": dict(throttled),
        "rate %": 100 * len(times) / (LIMIT / window * took) if took else None, "best %": 100 * fastest(len(times), window) / took if took else None,
        "small %": 100 * max(small) / took if drained and small else None, "small s": max(small) if small and len(small) == sent_small(sent) else None,
        "drain s": took if drained else f"cut off at {took:.0f}", "sending s": sent["ended"] - sent["started"],
        "connections": sum(event["what"] == "smtp connect" for event in burst), "AUTHs": sum(event["what"] == "smtp auth" for event in burst),
        "lone s": min(lone_done, default=None),
    }


def sent_small(sent):
    """Return how many messages the small sender had."""
    return senders(sent["sent"])[SMALL]


def bounces(bed, host, since):
    """Return how many messages a host has bounced."""
    return int(shared.on_host(bed, host, f"journalctl --quiet --since @{math.floor(since)} --grep 'status=bounced' | wc -l"))


def kill_pacer(bed):
    """Kill the pacer in mid-burst, and again when it is back."""
    for _turn in range(2):
        time.sleep(5)
        shared.on_host(bed, "relay", "systemctl kill --signal KILL m365-relay-pacer.service")


def main():
    """Measure and print one table for each scenario."""
    parser = shared.parser("burst", __doc__)
    parser.add_argument("--messages", type=int, default=1000, help="messages of a scaled run; the run in real time has a fifth of them")
    parser.add_argument("--only", metavar="TEXT", action="append", help="only scenarios with this in their name, as 'A fast, 10' or 'real time' or 'killed'")
    parser.add_argument("--set-ups", default=",".join(["relay", *OTHERS]), help="which of them (default: %(default)s)")
    options = parser.parse_args()
    bed, hosts, figures = testbed.load(shared.name_of(options.inventory)), options.set_ups.split(","), []
    setups.prepare(bed, [host for host in hosts if host != "relay"], testbed.tell)
    if "relay" in hosts:
        shared.deploy(bed)
    every = scenarios(hosts)
    for name, scenario, taking_part, during in [one for text in options.only or [""] for one in every if text in one[0]]:
        count = options.messages if scenario["scale"] > 1 else options.messages // 5
        print(f"\n{count} messages, {name}", flush=True)
        rows = measure(bed, taking_part, count, scenario, during)
        shared.table(rows, COLUMNS)
        found = [aim for one in rows if one["set-up"] == "relay" for aim in aims(one)]
        shared.aims(found)
        figures.append({"scenario": name, "messages": count, "rows": rows, "aims": found})
        shared.keep(options.json, figures)


def aims(row):
    """Return what is aimed at with this relay's row."""
    share, small = row["rate %"] if isinstance(row["drain s"], float) else 0.0, row["small %"]
    return [
        *({"what": f"this relay: {name}", "figure": row[name], "aim": "0", "met": row[name] == 0} for name in NEVER),
        {"what": "this relay: share of the allowed rate, %", "figure": share, "aim": f">= {SHARE}", "met": share >= SHARE},
        {"what": "this relay: the small sender is done, %", "figure": small, "aim": f"<= {TENTH}", "met": small is not None and small <= TENTH},
    ]


def scenarios(hosts):
    """Return (name, scenario, hosts that take part, what happens in mid-burst)."""
    found = [(f"model {one['model']} {one['server']}, {'real time' if one['scale'] == 1 else f'{SCALE} times faster'}", one, hosts, None) for one in SCENARIOS]
    if "relay" in hosts:
        found.append(("model A fast, pacer killed twice", SCENARIOS[0], ["relay"], kill_pacer))
    return found


if __name__ == "__main__":
    main()
