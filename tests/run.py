# SPDX-License-Identifier: GPL-3.0-or-later
"""`./dev test`: run the parts asked for, two at a time, and count what passed.

Each part is one program; its output goes to .cache/logs/PART.log and, when it fails, to the screen.
"""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

TREE = pathlib.Path(__file__).resolve().parent.parent
LOGS = TREE / ".cache" / "logs"
SCENARIOS = ["faults", "tokens", "default", "debian13", "debian12"]

# In the order in which they start: the longest first. Each is a list of programs.
PARTS = {
    "faults": [["molecule", "test", "--destroy", "always", "--scenario-name", "faults"]],
    "tokens": [["molecule", "test", "--destroy", "always", "--scenario-name", "tokens"]],
    "default": [["molecule", "test", "--destroy", "always", "--scenario-name", "default"]],
    "lint": [["yamllint", "--strict", "."], ["ruff", "check", "."], ["ansible-lint", "--offline", "--strict"]],
    "unit": [["pytest", "tests/unit"], ["python", "tests/old_msal.py"]],
    "sanity": [["python", "tests/sanity.py"]],
    "debian13": [["molecule", "test", "--destroy", "always", "--scenario-name", "debian13"]],
    "debian12": [["molecule", "test", "--destroy", "always", "--scenario-name", "debian12"]],
}
GROUPS = {"molecule": SCENARIOS}

# What a program says of itself: pytest's closing line, and ansible-test's line for each of its tests.
CLOSING = re.compile(r"^=+ .*\b(?:passed|failed|error|errors)\b.* in [\d.]+s", re.MULTILINE)
SANITY = re.compile(r"^Running sanity test", re.MULTILINE)


def counts(output, code):
    """Return (passed, failed) of one program: its own tests if it says how many, else itself as one."""
    closings = CLOSING.findall(output)
    passed = sum(int(number) for line in closings for number in re.findall(r"(\d+) passed", line)) + len(SANITY.findall(output))
    failed = sum(int(number) for line in closings for number in re.findall(r"(\d+) (?:failed|errors?)", line))
    if code != 0 and failed == 0:
        failed = 1
        passed = max(0, passed - len(SANITY.findall(output)))
    return (passed, failed) if passed or failed else (1, 0)


def run(part):
    """Run one part; return (passed, failed)."""
    started = time.monotonic()
    print(f"* {part}: started", flush=True)
    total = [0, 0]
    with open(LOGS / f"{part}.log", "w", encoding="utf-8") as log:
        for argv in PARTS[part]:
            done = subprocess.run(argv, cwd=TREE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                                  errors="replace", env={**os.environ, "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"})
            log.write(f"$ {shlex.join(argv)}\n{done.stdout}\n")
            log.flush()
            passed, failed = counts(done.stdout, done.returncode)
            total[0] += passed
            total[1] += failed
            if done.returncode != 0:
                print(f"--- {part}: {shlex.join(argv)} ended with exit code {done.returncode}; the end of {log.name}:\n{done.stdout[-12000:]}", flush=True)
                break
    print(f"* {part}: {total[0]} passed, {total[1]} failed, {time.monotonic() - started:.0f} s", flush=True)
    return total


def main(wanted):
    """Run the parts named (default: all) and print one closing line."""
    names = [part for name in wanted or list(PARTS) for part in GROUPS.get(name, [name])]
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"./dev test: there is no part {unknown[0]!r}; parts are {', '.join([*PARTS, *GROUPS])}", file=sys.stderr)
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(run, names))
    passed, failed = (sum(column) for column in zip(*results, strict=True))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
