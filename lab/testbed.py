# SPDX-License-Identifier: GPL-3.0-or-later
"""A test network of its own: the stand-in for Microsoft 365, hosts that become relays, and a client.

A testbed is one podman network with fixed addresses. The stand-in answers DNS for everybody in it, so that Microsoft's
real names lead to it. What is up is written to .cache/testbeds/NAME/testbed.json, with an inventory for Ansible beside it.
"""

from __future__ import annotations

import concurrent.futures
import ipaddress
import json
import os
import pathlib
import shutil
import subprocess
import time
import urllib.error
import urllib.request
import zlib

import images
from podman import LabError, machine_lock, podman

TREE = pathlib.Path(__file__).resolve().parent.parent
TESTBEDS = TREE / ".cache" / "testbeds"
KEY = TREE / ".cache" / "ssh" / "key"
# Two clones on one machine must not meet.
PREFIX = f"m365-{zlib.crc32(str(TREE).encode()):08x}"
# Where root itself is limited, a container must not ask for more.
LIMITS = ["--privileged", "--pids-limit=-1", "--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096"]
BOOT = ["--systemd=always"]
LAB_ADDRESS, FIRST_RELAY, CLIENT_ADDRESS = 2, 10, 40
# The part of the network whose hosts the relays trust; the controller (.1) is a stranger.
TRUSTED_BITS = {4: 27, 6: 123}


def tell(text):
    """Say what is being done."""
    print(f"* {text}", flush=True)


def upstream_dns():
    """Return the resolver that the machine itself uses, as containers can reach it."""
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        if os.path.exists(path):
            with open(path, encoding="utf-8") as stream:
                for line in stream:
                    words = line.split()
                    if words[:1] == ["nameserver"] and not ipaddress.ip_address(words[1].split("%")[0]).is_loopback:
                        return words[1]
    raise LabError("no name server outside loopback found in /etc/resolv.conf: the test hosts need one to install packages")


def load(name):
    """Return the description of a running testbed."""
    path = TESTBEDS / name / "testbed.json"
    if not path.exists():
        raise LabError(f"there is no testbed {name!r}: start it with './dev lab up'")
    return json.loads(path.read_text(encoding="utf-8"))


def addresses(subnets, number):
    """Return the IPv4 and IPv6 address with this number in the testbed's two networks."""
    return [str(ipaddress.ip_network(subnet)[number]) for subnet in subnets]


def create_network(network):
    """Make a network with the first free pair of subnets; return the pair."""
    with machine_lock("network"):
        podman("network", "rm", "--force", network, check=False)
        known = podman("network", "ls", "--quiet").split()
        taken = podman("network", "inspect", *known) if known else ""
        for number in range(16, 224):
            subnets = [f"172.31.{number}.0/24", f"fd00:365:{number:x}::/64"]
            if f'"{subnets[0]}"' not in taken:
                podman("network", "create", "--disable-dns", "--ipv6", "--subnet", subnets[0], "--subnet", subnets[1], network)
                return subnets
    raise LabError("no free subnet between 172.31.16.0/24 and 172.31.223.0/24 is left: remove old podman networks")


def start(container, image, network, pair, *options):
    """Start one container at fixed addresses."""
    podman("rm", "--force", "--time", "0", container, check=False)
    podman("run", "--detach", "--name", container, "--hostname", container.rsplit("-", 1)[-1],
           "--network", f"{network}:ip={pair[0]},ip6={pair[1]}", *LIMITS, *options, images.reference(image))


def ssh_key():
    """Return the public key that opens the test hosts."""
    with machine_lock("ssh-key"):
        if not KEY.exists():
            KEY.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "m365-lab", "-f", str(KEY)], check=True)
    return KEY.with_suffix(".pub").read_text(encoding="utf-8")


def wait_until(what, ready, seconds=90):
    """Ask `ready` until it answers with something true; return that."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ready()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise LabError(f"{what} did not come up within {seconds} seconds")
        time.sleep(0.2)


def fetch(url):
    """Return what a URL of the lab gives, or None while it does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def prepare_host(container, authority):
    """Let the administrator in by SSH and make the host trust the lab's certificate authority, as it trusts the real ones."""
    wait_until(f"systemd in {container}", lambda: podman("exec", container, "systemctl", "is-system-running", check=False) in ("running", "degraded"))
    script = "\n".join([
        "set -e", "umask 077", "mkdir -p /root/.ssh", f"printf '%s' '{ssh_key()}' > /root/.ssh/authorized_keys",
        "umask 022", "cat > /usr/local/share/ca-certificates/m365-lab.crt", "update-ca-certificates >/dev/null 2>&1", "mkdir -p /run/sshd",
        "systemctl start ssh",
    ])
    podman("exec", "--interactive", container, "bash", "-c", script, text=authority)


def up(name, hosts, say=tell):
    """Start the testbed `name` with relays-to-be {host name: image}, the stand-in and a client; return its description."""
    started = time.monotonic()
    images.build_all(["m365", "client", *hosts.values()], say)
    down(name)
    network = f"{PREFIX}-{name}"
    subnets = create_network(network)
    lab = addresses(subnets, LAB_ADDRESS)
    say(f"starting the test network {name}: the stand-in for Microsoft 365, a client, {', '.join(f'{host} ({image})' for host, image in hosts.items())}")
    start(f"{network}-m365", "m365", network, lab, "--volume", f"{TREE / 'lab'}:/lab:ro", "--workdir", "/lab",
          "--env", f"M365_ADDRESSES={' '.join(lab)}", "--env", f"M365_UPSTREAM_DNS={upstream_dns()}", "--dns", lab[0])
    machines = {host: {"image": image, "addresses": addresses(subnets, FIRST_RELAY + number)} for number, (host, image) in enumerate(hosts.items())}
    machines["client"] = {"image": "client", "addresses": addresses(subnets, CLIENT_ADDRESS)}
    for host, machine in machines.items():
        start(f"{network}-{host}", machine["image"], network, machine["addresses"], *BOOT, "--dns", lab[0])
    control = f"http://{lab[0]}:8025"
    authority = wait_until("the stand-in for Microsoft 365", lambda: fetch(f"{control}/ca.pem"))
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        for job in [pool.submit(prepare_host, f"{network}-{host}", authority) for host in machines]:
            job.result()
    trusted = [str(ipaddress.ip_network(f"{address}/{TRUSTED_BITS[ipaddress.ip_address(address).version]}", strict=False))
               for address in machines["client"]["addresses"]]
    testbed = {"name": name, "network": network, "subnets": subnets, "control": control, "lab": lab, "trusted": trusted, "hosts": machines}
    write_description(name, testbed, authority)
    say(f"the test network is up ({time.monotonic() - started:.0f} s)")
    return testbed


def write_description(name, testbed, authority):
    """Write what is up, the lab's certificate authority, and an inventory for Ansible."""
    folder = TESTBEDS / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.pem").write_text(authority, encoding="utf-8")
    common = {
        "ansible_user": "root", "ansible_ssh_private_key_file": str(KEY),
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
    }
    relays = {host: {"ansible_host": machine["addresses"][0]} for host, machine in testbed["hosts"].items() if host != "client"}
    common["testbed"] = testbed
    inventory = {"all": {"vars": common, "children": {
        "m365_relays": {"hosts": relays},
        "clients": {"hosts": {"client": {"ansible_host": testbed["hosts"]["client"]["addresses"][0]}}},
    }}}
    (folder / "inventory.json").write_text(json.dumps(inventory, indent=2), encoding="utf-8")
    (folder / "testbed.json").write_text(json.dumps(testbed, indent=2), encoding="utf-8")


def down(name):
    """Remove the testbed and all that belongs to it; a testbed that is not there is fine."""
    network = f"{PREFIX}-{name}"
    known = TESTBEDS / name / "testbed.json"
    hosts = list(json.loads(known.read_text(encoding="utf-8"))["hosts"]) if known.exists() else []
    for host in {*hosts, "client", "m365"}:
        podman("rm", "--force", "--time", "0", f"{network}-{host}", check=False)
    podman("network", "rm", "--force", network, check=False)
    shutil.rmtree(TESTBEDS / name, ignore_errors=True)
