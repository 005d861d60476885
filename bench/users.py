# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast SMTP AUTH accounts are loaded: sasldb2_users beside saslpasswd2 started once for each account.

Everything is measured on one host over SSH, in one run, with databases of its own in a directory that is removed afterwards:

- the task: seconds on the controller, from the start of the task to its end (templating, SSH, module, result);
- the module: seconds from its first line to its last on the host, imports and argument handling included; processor time and peak
  memory of its whole process. "nothing (ping)" is a module that does nothing: what Ansible itself takes of all that.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

TREE = pathlib.Path(__file__).resolve().parent.parent
DIRECTORY = "/root/m365-relay-bench"
MAIN = 10_000
SIZES = (1_000, MAIN, 100_000)
LOOP = 200
# What is aimed at, for MAIN accounts if nothing else is said.
LOAD_SECONDS, UNCHANGED_SECONDS, TIMES_FASTER, LARGEST_LOAD_SECONDS = 1.0, 0.5, 200, 10.0

# Python on the host imports it at its start: notes the seconds that a module takes, its processor time and the most memory
# that it or one of its programs had. Ansible starts a module with runpy.
SITE_CUSTOMIZE = f"""
import json, resource, runpy, time
run_module = runpy.run_module
def measured(*arguments, **options):
    started = time.monotonic()
    try:
        return run_module(*arguments, **options)
    finally:
        seconds = time.monotonic() - started
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        with open("{DIRECTORY}/measured", "a") as stream:
            stream.write(json.dumps([seconds, sum(one.ru_utime + one.ru_stime for one in used), max(one.ru_maxrss for one in used) / 1024]) + "\\n")
runpy.run_module = measured
"""

LOOP_SCRIPT = f"""
set -e
start=$(date +%s%N)
for number in $(seq {LOOP}); do
  printf 'secret-password-%06d' "$number" | saslpasswd2 -p -c -f {DIRECTORY}/loop -u bench.test "user$number"
done
echo $(($(date +%s%N) - start))
"""

CHANGED_LIST = "{{ (accounts[:-1] + [accounts[-1] | combine({'password': 'another'})]) | to_json }}"


def now(name):
    return {"name": f"Time is taken ({name})", "ansible.builtin.set_fact": {name: "{{ now().timestamp() }}"}}


def measured(label, task):
    """Return tasks that run `task` and note how long it took; its process is measured by SITE_CUSTOMIZE."""
    note = {"label": label, "task": "{{ ended | float - started | float }}", "changed": "{{ done.changed }}"}
    return [
        now("started"),
        {**task, "name": label, "register": "done", "environment": {"PYTHONPATH": DIRECTORY}},
        now("ended"),
        {"name": f"The measurement is noted ({label})", "ansible.builtin.set_fact": {"notes": "{{ notes | default([]) + [note] }}"}, "vars": {"note": note}},
    ]


def users(count, accounts="{{ accounts | to_json }}"):
    return {"simple_m365.relay.sasldb2_users": {"path": f"{DIRECTORY}/{count}", "realm": "bench.test", "users": accounts}}


def playbook(host, count, answer):
    """Return the play for a number of accounts; it writes what it noted to the file `answer` on the controller."""
    cases = [("nothing (ping)", {"ansible.builtin.ping": {}}), (f"{count} loaded", users(count)), (f"{count} unchanged", users(count)),
             (f"{count}, one changed", users(count, CHANGED_LIST))]
    loop = [{"name": f"saslpasswd2 {LOOP} times", "ansible.builtin.shell": LOOP_SCRIPT, "args": {"executable": "/bin/bash"}, "register": "loop"}]
    result = {"notes": "{{ notes }}", "measured": "{{ measured.content | b64decode }}", "loop": "{{ loop.stdout | default('') }}"}
    return [{
        "hosts": host,
        "gather_facts": False,
        "tasks": [
            {"name": "Debian's tools are there",
             "ansible.builtin.apt": {"name": ["db-util", "sasl2-bin"], "install_recommends": False, "update_cache": True, "cache_valid_time": 86400}},
            {"name": "No old measurement is there", "ansible.builtin.file": {"path": DIRECTORY, "state": "absent"}},
            {"name": "There is a place for measurements", "ansible.builtin.file": {"path": DIRECTORY, "state": "directory", "mode": "0700"}},
            {"name": "Modules are measured", "ansible.builtin.copy": {"dest": f"{DIRECTORY}/sitecustomize.py", "content": SITE_CUSTOMIZE, "mode": "0600"}},
            *[task for label, case in cases for task in measured(label, case)],
            *(loop if count == MAIN else []),
            {"name": "Modules were measured", "ansible.builtin.slurp": {"src": f"{DIRECTORY}/measured"}, "register": "measured"},
            {"name": "Nothing is left", "ansible.builtin.file": {"path": DIRECTORY, "state": "absent"}},
            {"name": "The measurement is kept", "ansible.builtin.copy": {"dest": answer, "content": "{{ result | to_json }}", "mode": "0600"},
             "vars": {"result": result}, "delegate_to": "localhost"},
        ],
    }]


def measure(inventory, host, count):
    """Measure one number of accounts; return ([{label, task, module, processor, memory, changed}], seconds of the loop or None)."""
    with tempfile.TemporaryDirectory() as directory:
        play, accounts, answer = (pathlib.Path(directory, name) for name in ("play.json", "accounts.json", "answer.json"))
        accounts.write_text(json.dumps({"accounts": [{"name": f"user{number:06d}", "password": f"secret-password-{number:06d}"} for number in range(count)]}))
        play.write_text(json.dumps(playbook(host, count, str(answer))))
        environment = {"ANSIBLE_COLLECTIONS_PATH": str(TREE / ".build"), "ANSIBLE_CONFIG": str(TREE / "lab" / "ansible.cfg"), **os.environ}
        done = subprocess.run(["ansible-playbook", "-i", inventory, "-e", f"@{accounts}", str(play)], env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"measuring {count} accounts failed:\n{done.stdout[-8000:]}")
        noted = json.loads(answer.read_text())
    processes = [json.loads(line) for line in noted["measured"].splitlines()]
    rows = [{"label": note["label"], "task": float(note["task"]), "module": seconds,
             "processor": processor, "memory": memory, "changed": str(note["changed"]) == "True"}
            for note, (seconds, processor, memory) in zip(noted["notes"], processes, strict=True)]
    expected = [False, True, False, True]
    if [row["changed"] for row in rows] != expected:
        sys.exit(f"measuring {count} accounts is worth nothing: changed should be {expected} in {rows}")
    return rows, int(noted["loop"]) / 1e9 if noted["loop"] else None


def report(rows, loop):
    """Print the table and return the figures as data."""
    by_label = {row["label"]: row for row in rows}
    loop_all = loop * MAIN / LOOP
    load, unchanged, largest = by_label[f"{MAIN} loaded"]["module"], by_label[f"{MAIN} unchanged"]["module"], by_label[f"{SIZES[-1]} loaded"]["module"]
    aims = [
        {"what": f"{MAIN} accounts loaded, in the module", "figure": load, "aim": f"< {LOAD_SECONDS} s", "met": load < LOAD_SECONDS},
        {"what": f"{MAIN} accounts unchanged, in the module", "figure": unchanged, "aim": f"< {UNCHANGED_SECONDS} s", "met": unchanged < UNCHANGED_SECONDS},
        {"what": "times faster than the loop", "figure": loop_all / load, "aim": f"> {TIMES_FASTER}", "met": loop_all / load > TIMES_FASTER},
        {"what": f"{SIZES[-1]} accounts loaded, in the module", "figure": largest, "aim": f"< {LARGEST_LOAD_SECONDS} s", "met": largest < LARGEST_LOAD_SECONDS},
    ]
    print(f"{'accounts':28}{'task, s':>10}{'module, s':>11}{'cpu, s':>9}{'peak, MiB':>11}")
    for row in rows:
        print(f"{row['label']:28}{row['task']:10.2f}{row['module']:11.2f}{row['processor']:9.2f}{row['memory']:11.0f}")
    print(f"{f'saslpasswd2 {LOOP} times':28}{'':10}{loop:11.2f}\n{f'the same, for {MAIN}':28}{'':10}{loop_all:11.2f}")
    for aim in aims:
        print(f"{aim['what']:45}{aim['figure']:8.2f}   aim {aim['aim']:8} {'met' if aim['met'] else 'MISSED'}")
    return {"rows": rows, "loop": {"accounts": LOOP, "seconds": loop, f"extrapolated_to_{MAIN}": loop_all}, "aims": aims}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="./dev bench users", description=__doc__.splitlines()[0])
    parser.add_argument("--inventory", required=True, help="Ansible inventory with the host")
    parser.add_argument("--host", default="relay", help="name of the host in it; its own accounts are left alone")
    parser.add_argument("--json", metavar="FILE", help="keep the figures in this file")
    options = parser.parse_args(arguments)
    rows, loop = [], None
    for count in SIZES:
        print(f"* measuring {count} accounts", flush=True)
        measured_rows, measured_loop = measure(options.inventory, options.host, count)
        rows += [row for row in measured_rows if count == MAIN or not row["label"].startswith("nothing")]
        loop = loop or measured_loop
    figures = report(rows, loop)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
