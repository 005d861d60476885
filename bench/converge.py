# SPDX-License-Identifier: GPL-3.0-or-later
"""How long site.yml takes: a first run, a run with nothing to do, and beside them a play that only gathers facts."""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import control

TREE = pathlib.Path(__file__).resolve().parent.parent
FACTS = [{"name": "Only gather facts", "hosts": "m365_relays", "gather_facts": True}]
ROUNDS = 5


def seconds(command):
    """Run a play; return how long it took and what it said."""
    started = time.monotonic()
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return time.monotonic() - started, done.stdout


def main():
    """Measure, the two plays in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inventory", required=True)
    parser.add_argument("--json", metavar="FILE", help="keep the figures")
    options = parser.parse_args()
    bed = json.loads(pathlib.Path(options.inventory).with_name("testbed.json").read_text(encoding="utf-8"))
    control.call(bed["control"], "POST", "/person", {"account": "scans@corp.test"})
    inventories = [f"--inventory={options.inventory}", f"--inventory={TREE / 'molecule' / 'shared' / 'inventory'}"]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as facts:
        json.dump(FACTS, facts)
        facts.flush()
        first, _said = seconds(["ansible-playbook", *inventories, "simple_m365.relay.site"])
        rounds = []
        for _turn in range(ROUNDS):
            only_facts, _said = seconds(["ansible-playbook", *inventories, facts.name])
            nothing, said = seconds(["ansible-playbook", *inventories, "simple_m365.relay.site"])
            if "changed=0" not in said:
                sys.exit(f"a run with nothing to do changed something:\n{said[-3000:]}")
            rounds.append((only_facts, nothing))
    ratios = sorted(nothing / only_facts for only_facts, nothing in rounds)
    figures = {
        "first run, s": round(first, 1),
        "facts only, median s": round(statistics.median(only_facts for only_facts, _nothing in rounds), 1),
        "nothing to do, median s": round(statistics.median(nothing for _facts, nothing in rounds), 1),
        "nothing to do / facts only, median": round(statistics.median(ratios), 2),
        "the same, lowest and highest": [round(ratios[0], 2), round(ratios[-1], 2)],
        "rounds": ROUNDS,
    }
    for name, figure in figures.items():
        print(f"{name:40} {figure}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
