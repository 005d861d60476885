# SPDX-License-Identifier: GPL-3.0-or-later
"""`./dev bench NAME`: measure on real hosts of a test network of its own, side by side in one run."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import testbed
from podman import LabError

HERE = pathlib.Path(__file__).resolve().parent
# The hosts that each benchmark needs; `relay` becomes this relay, the others what setups.py says.
HOSTS = {
    "users": ["relay"], "converge": ["relay"], "policy": ["relay"],
    "burst": ["relay", "guide", "original", "proxy"],
    "throughput": ["relay", "plain", "proxy"],
}


def main(arguments):
    """Start a test network, run the benchmark named, remove the network."""
    if not arguments or arguments[0] not in HOSTS:
        print(f"./dev bench: say what to measure: {', '.join(HOSTS)}", file=sys.stderr)
        return 2
    name, *rest = arguments
    try:
        testbed.up("bench", dict.fromkeys(HOSTS[name], "debian14"))
        inventory = testbed.TESTBEDS / "bench" / "inventory.json"
        return subprocess.run([sys.executable, str(HERE / f"{name}.py"), "--inventory", str(inventory), *rest], check=False).returncode
    except LabError as error:
        print(f"./dev bench: {error}", file=sys.stderr)
        return 1
    finally:
        testbed.down("bench")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
