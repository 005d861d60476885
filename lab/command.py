# SPDX-License-Identifier: GPL-3.0-or-later
"""`./dev lab`: start and stop a test network, and talk to the stand-in for Microsoft 365 in it."""

from __future__ import annotations

import argparse
import json
import sys

import control
import testbed
from podman import LabError


def start(options):
    """Start the network with the relays asked for."""
    hosts = dict(item.split("=", 1) for item in options.relay) if options.relay else {"relay": "debian14"}
    testbed.up(options.testbed, hosts)
    show(options)


def stop(options):
    """Remove the network and everything in it."""
    testbed.down(options.testbed)


def show(options):
    """Print how to reach what is up."""
    bed = testbed.load(options.testbed)
    if options.json:
        print(json.dumps(bed, indent=2))
        return
    for host, machine in bed["hosts"].items():
        print(f"{host:10} {machine['image']:10} ssh -i {testbed.KEY} root@{machine['addresses'][0]}")
    print(f"{'m365':10} {'m365':10} {bed['control']}")
    print(f"inventory  {testbed.TESTBEDS / options.testbed / 'inventory.json'}")


COMMANDS = {"up": start, "down": stop, "hosts": show}


def main(arguments):
    """Run one command; those that this file does not know go to the stand-in itself."""
    others = f"Every other command goes to the stand-in:\n\n{control.parser().format_help()}"
    parser = argparse.ArgumentParser(prog="./dev lab", description=__doc__, epilog=others, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--testbed", default="lab", metavar="NAME", help="which test network (default: lab)")
    parser.add_argument("command", help="up, down, hosts, or a command for the stand-in")
    parser.add_argument("--relay", action="append", metavar="NAME=IMAGE",
                        help="up: a host that becomes a relay, from image debian12, debian13 or debian14 (default: relay=debian14)")
    parser.add_argument("--json", action="store_true", help="hosts: print everything as JSON")
    known, rest = parser.parse_known_args(arguments)
    try:
        if known.command in COMMANDS:
            if rest:
                parser.error(f"unknown arguments: {' '.join(rest)}")
            COMMANDS[known.command](known)
            return 0
        return control.main(["--url", testbed.load(known.testbed)["control"], known.command, *rest, *(["--json"] if known.json else [])])
    except LabError as error:
        print(f"./dev lab: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
