# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: backport_problems
short_description: What is wrong with the variables of role backport
version_added: 1.0.0
author:
  - Simple M365 Relay contributors (@simple-m365-relay)
description:
  - Checks every public variable of role C(simple_m365.relay.backport), on the controller and before anything is touched.
  - Every problem is a sentence that names the variable, says what is wrong with its value, and what to write instead.
options:
  _input:
    description:
      - The variables by their names. A required variable that is missing is a problem.
      - Names that the role does not know are left alone, unless they look like a variable of the role that is written wrong.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Every value of the role can be used
  ansible.builtin.assert:
    that: problems | length == 0
    fail_msg: "{{ problems | join('\n') }}"
    quiet: true
  vars:
    names: "{{ query('ansible.builtin.varnames', '^backport_') }}"
    problems: "{{ dict(names | zip(query('ansible.builtin.vars', *names))) | simple_m365.relay.backport_problems }}"
"""

RETURN = r"""
_value:
  description: The problems; an empty list when there is none.
  type: list
  elements: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.simple_m365.relay.plugins.module_utils._preflight_backport import problems


def backport_problems(settings):
    """Return the problems of a dictionary of variables."""
    if not isinstance(settings, dict):
        raise AnsibleFilterError("simple_m365.relay.backport_problems wants a dictionary of variables")
    return problems(settings)


class FilterModule:
    """The filter, as Ansible looks for it."""

    def filters(self):
        return {"backport_problems": backport_problems}
