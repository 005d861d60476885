# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: relay_overview
short_description: One table for many relays
version_added: 1.0.0
author:
  - Simple M365 Relay contributors (@simple-m365-relay)
description:
  - Makes one table of what M(simple_m365.relay.relay_info) says of each relay. A relay that could not be asked has its line too.
options:
  _input:
    description: The results of M(simple_m365.relay.relay_info) by the names of the relays.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: All relays in one table
  ansible.builtin.debug:
    msg: "{{ dict(ansible_play_hosts_all | zip(ansible_play_hosts_all | map('extract', hostvars, '__relay'))) | simple_m365.relay.relay_overview }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: The table, a line for each relay and identity.
  type: str
"""

from ansible_collections.simple_m365.relay.plugins.module_utils._status_text import overview


def state(result):
    """Return the state in a result, or why there is none."""
    if isinstance(result, dict) and "status" in result:
        return result["status"]
    return {"failed": str(result.get("msg") if isinstance(result, dict) else "it was not asked").partition("\n")[0]}


def relay_overview(results):
    """Return the table."""
    return overview({name: state(result) for name, result in results.items()})


class FilterModule:
    """The filter, as Ansible looks for it."""

    def filters(self):
        return {"relay_overview": relay_overview}
