#!/usr/bin/python
# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: What a relay host has installed and running
version_added: 1.0.0
description:
  - Answers in one round trip what the preflight of the roles asks, installed packages, Postfix, the XOAUTH2 plugin, the certificate.
  - Works on a bare host too, and changes nothing.
author: "Simple M365 Relay contributors (@simple-m365-relay)"
extends_documentation_fragment:
  - simple_m365.relay.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: Nothing is changed.
  idempotent:
    support: full
options:
  certificate:
    description: PEM file with the certificate of Postfix; judged together with O(key).
    type: path
  key:
    description: PEM file with the key of O(certificate).
    type: path
"""

EXAMPLES = r"""
- name: It is known what the host has
  simple_m365.relay.host_info:
    certificate: /etc/ssl/certs/ssl-cert-snakeoil.pem
    key: /etc/ssl/private/ssl-cert-snakeoil.key
  register: __host
"""

RETURN = r"""
packages:
  description: Version of every installed Debian package.
  returned: success
  type: dict
  sample: {postfix: 3.10.13-0+deb13u1}
postfix:
  description: Postfix on this host. V(null) stands for what cannot be known without Postfix, or while it does not run.
  returned: success
  type: dict
  contains:
    installed:
      description: Whether the package is installed.
      type: bool
    mail_version:
      description: Version of Postfix.
      type: str
      sample: 3.10.13
    default_database_type:
      description: Type in which this host keeps lookup tables.
      type: str
      sample: hash
    running:
      description: Whether the master process runs.
      type: bool
    master_pid:
      description: Process id of the master.
      type: int
plugin_loads:
  description: Whether the SASL library can load the XOAUTH2 plugin; false where C(saslpluginviewer) is missing.
  returned: success
  type: bool
certificate_problem:
  description: Why Postfix cannot use the certificate and key, one sentence; V(null) when it can, or when none was asked about.
  returned: success
  type: str
release:
  description: Code name of the Debian release.
  returned: success
  type: str
  sample: trixie
"""

import platform

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.simple_m365.relay.plugins.module_utils import _plugin
from ansible_collections.simple_m365.relay.plugins.module_utils._certificate import certificate_problem
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError, run
from ansible_collections.simple_m365.relay.plugins.module_utils._postfix_unit import master_pid


def installed_packages():
    """Return {name: version} of the installed packages."""
    lines = run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n"]).stdout.decode().splitlines()
    return {name: version for status, name, version in (line.split(" ", 2) for line in lines) if status == "installed"}


def postfix_facts(installed):
    """Return what there is to say about Postfix."""
    facts = {"installed": installed, "mail_version": None, "default_database_type": None, "running": False, "master_pid": None}
    if installed:
        names = ["mail_version", "default_database_type", "queue_directory"]
        values = dict(line.split(" = ", 1) for line in run(["postconf", *names]).stdout.decode().splitlines())
        pid = master_pid(values.pop("queue_directory"))
        facts.update(values, running=pid is not None, master_pid=pid)
    return facts


def gather(certificate, key):
    """Return the facts as a dict."""
    packages = installed_packages()
    return {
        "packages": packages,
        "postfix": postfix_facts("postfix" in packages),
        "plugin_loads": _plugin.is_there(),
        "certificate_problem": certificate_problem(certificate, key) if certificate and key else None,
        "release": platform.freedesktop_os_release().get("VERSION_CODENAME"),
    }


def main():
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={"certificate": {"type": "path"}, "key": {"type": "path", "no_log": False}},
        required_together=[("certificate", "key")],
        supports_check_mode=True,
    )
    try:
        facts = gather(module.params["certificate"], module.params["key"])
    except (CommandError, OSError, ValueError) as error:
        module.fail_json(msg=f"{error}")
    module.exit_json(changed=False, **facts)


if __name__ == "__main__":
    main()
