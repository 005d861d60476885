#!/usr/bin/python
# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postfix_config
short_description: Put a Postfix configuration in place, checked before and proved after
version_added: 1.0.0
description:
  - Copies C(/etc/postfix) to C(/etc/postfix.staged), writes main.cf and master.cf there, and checks the copy with Postfix's own tools, by opening
    every table and the certificate, and for whether it would relay for strangers or send passwords or tokens in the open.
  - Then both directories change places in one step, and Postfix is reloaded, or started. Its services have to come up, and every port has to answer
    with TLS, with the certificate, and with AUTH only after TLS.
  - If they do not, the directories change places again, Postfix runs as before, and the module fails with what Postfix said.
  - The generation before the live one stays in C(/etc/postfix.previous). A run that was killed half-way is made good by the next one.
  - Postfix is enabled and running afterwards. A replaced certificate file is noticed by looking at what Postfix shows to clients.
author: "Simple M365 Relay contributors (@simple-m365-relay)"
extends_documentation_fragment:
  - simple_m365.relay.attributes
attributes:
  check_mode:
    support: full
    details: Stages and checks in a temporary directory where Postfix is installed. Without Postfix everything would change.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: O(state=reloaded) always reloads.
options:
  main_cf:
    description: Content of main.cf. Required for O(state=present).
    type: str
  master_cf:
    description: Content of master.cf. Required for O(state=present).
    type: str
  ports:
    description: Ports that have to answer after a change. Port 465 is spoken to in TLS from the start, the others with STARTTLS; all but 25 must offer AUTH.
    type: list
    elements: int
    default: []
  state:
    description:
      - V(present) brings the host to this configuration.
      - V(reloaded) checks the configuration that is there, and reloads Postfix if it runs.
    type: str
    choices: [present, reloaded]
    default: present
"""

EXAMPLES = r"""
- name: Postfix runs with the wanted configuration
  simple_m365.relay.postfix_config:
    main_cf: "{{ lookup('ansible.builtin.template', 'etc/postfix/main.cf.j2') }}"
    master_cf: "{{ lookup('ansible.builtin.template', 'etc/postfix/master.cf.j2') }}"
    ports: [25, 587, 465]

- name: Postfix is checked and reloaded
  simple_m365.relay.postfix_config:
    state: reloaded
"""

RETURN = r""" # """

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.simple_m365.relay.plugins.module_utils import _postfix_config
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError
from ansible_collections.simple_m365.relay.plugins.module_utils._postfix_proof import ProofError


def bring_about(module):
    """Do what the options say; return the module's result."""
    ports = module.params["ports"]
    if module.params["state"] == "reloaded":
        return {"changed": _postfix_config.reload(ports, module.check_mode)}
    wanted = {"main.cf": module.params["main_cf"], "master.cf": module.params["master_cf"]}
    act = _postfix_config.preview if module.check_mode else _postfix_config.apply
    changed, before = act(wanted, ports)
    diff = [{"before_header": name, "after_header": name, "before": before[name], "after": wanted[name]} for name in wanted]
    return {"changed": changed, "diff": diff}


def main():
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "main_cf": {"type": "str"},
            "master_cf": {"type": "str"},
            "ports": {"type": "list", "elements": "int", "default": []},
            "state": {"type": "str", "choices": ["present", "reloaded"], "default": "present"},
        },
        required_if=[("state", "present", ["main_cf", "master_cf"])],
        supports_check_mode=True,
    )
    try:
        result = bring_about(module)
    except _postfix_config.ConfigurationRefused as error:
        module.fail_json(msg=f"The configuration is refused, Postfix was left alone.\n{error}")
    except _postfix_config.RolledBack as error:
        module.fail_json(msg=f"Postfix did not stand with the new configuration.\n{error}")
    except ProofError as error:
        module.fail_json(msg=f"Postfix does not stand with its configuration.\n{error}")
    except (CommandError, OSError, ValueError) as error:
        module.fail_json(msg=f"Postfix's configuration could not be changed: {error}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
