# SPDX-License-Identifier: GPL-3.0-or-later
"""Container images of real Debian releases, made from Debian's own packages; no image registry is needed."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
import subprocess
import tempfile

from podman import LabError, machine_lock, podman

# What a freshly installed Debian server has: an init, a Python, somebody to log in by SSH.
HOST = "systemd systemd-sysv dbus python3 python3-apt ca-certificates iproute2 openssh-server sudo procps"
SYSTEMD = "/lib/systemd/systemd"

IMAGES = {
    "debian12": {"suite": "bookworm", "packages": HOST, "command": [SYSTEMD]},
    "debian13": {"suite": "trixie", "packages": HOST, "command": [SYSTEMD]},
    "debian14": {"suite": "forky", "packages": HOST, "command": [SYSTEMD]},
    # The stand-in for Microsoft 365, and a machine that sends mail as users' devices do.
    "m365": {"suite": "trixie", "packages": "python3-aiosmtpd python3-jwt python3-cryptography dnsmasq-base ca-certificates iproute2 procps",
             "command": ["python3", "-m", "m365"]},
    "client": {"suite": "trixie", "packages": HOST + " swaks libnet-ssleay-perl libio-socket-ssl-perl msmtp nullmailer curl", "command": [SYSTEMD]},
}


def reference(name):
    """Return the image's full name; it changes with the recipe, so a changed recipe is built anew."""
    recipe = hashlib.sha256(json.dumps(IMAGES[name], sort_keys=True).encode()).hexdigest()[:12]
    return f"localhost/m365-lab/{name}:{recipe}"


def exists(name):
    """Tell whether the image has been built on this machine."""
    return reference(name) in podman("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()


def build(name, say):
    """Make one image unless it is there."""
    with machine_lock(f"image-{name}"):
        if exists(name):
            return
        recipe = IMAGES[name]
        say(f"building the image {name} from Debian's packages ({recipe['suite']})")
        with tempfile.TemporaryDirectory(prefix="m365-lab-") as folder:
            archive = os.path.join(folder, "image.tar")
            # Test hosts may run on a frozen mirror whose Release file is old; the collection itself never switches this check off.
            done = subprocess.run(
                ["mmdebstrap", "--quiet", "--variant=minbase", '--aptopt=Acquire::Check-Valid-Until "false"',
                 f"--include={','.join(recipe['packages'].split())}", recipe["suite"], archive],
                capture_output=True, check=False)
            if done.returncode != 0:
                raise LabError(f"the image {name} cannot be built: {done.stderr.decode('utf-8', 'replace')[-2000:]}")
            podman("import", "--change", f"CMD {json.dumps(recipe['command'])}", archive, reference(name))


def build_all(names, say):
    """Make every image named that is missing, two at a time."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for job in [pool.submit(build, name, say) for name in sorted(set(names))]:
            job.result()
