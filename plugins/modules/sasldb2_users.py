#!/usr/bin/python
# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sasldb2_users
short_description: Manage SMTP AUTH accounts in Cyrus SASL's sasldb2
version_added: 1.0.0
description:
  - Reads all accounts of the database at once, compares names and passwords, and writes only if something differs.
  - The new database is made beside the old one, read back, and takes its place in one step, so a sign-in that happens at the same time
    sees the old or the new one. A kill or a full disk leaves one of the two.
  - Owner, group and mode of an existing file are kept unless O(owner), O(group) or O(mode) say otherwise. A new file is root:sasl 0660, as Debian makes it.
  - A damaged file, or one that is not a Berkeley DB hash file, is an error and is left untouched.
  - An account of the list signs in with its password and with nothing else, so other secrets that it has in the database (C(cmusaslsecret...)) are removed, as
    they are with a removed account. Everything else in the database stays.
author:
  - Simple M365 Relay contributors (@simple-m365-relay)
extends_documentation_fragment:
  - ansible.builtin.files
  - simple_m365.relay.attributes
attributes:
  check_mode:
    support: full
    details: Where the database programs are not installed yet, the database counts as empty.
  diff_mode:
    support: full
    details: Shows names of accounts, never a password.
  idempotent:
    support: full
requirements:
  - db-util (Debian's package with db_dump, db_load and db_verify; sasl2-bin brings it)
options:
  path:
    description: The database file.
    type: path
    default: /etc/sasldb2
  realm:
    description: The realm of the accounts that name none. It is what C(smtpd_sasl_local_domain) of Postfix says.
    type: str
  users:
    description:
      - 'The accounts as a list in JSON, each a mapping with C(name), C(realm), C(password) and C(state): C({{ list | to_json }}).'
      - C(name) has no spaces, control characters, commas or colons; C(bob@example.com) is the account C(bob) in the realm C(example.com).
      - C(realm) defaults to O(realm).
      - C(password) is needed unless the account is to be absent. It may hold any character but NUL, in at most 1024 bytes.
      - C(state) is V(present) (the default) or V(absent).
      - It is one text and not a list because Ansible then has one secret to hide from the result, not one for each account. With 10,000
        secrets it would be busy with hiding for longer than the accounts take.
    type: str
    required: true
  exclusive:
    description: Whether accounts that are not in O(users) are removed.
    type: bool
    default: false
notes:
  - A lock keeps two runs of this module apart. M(ansible.builtin.command) with saslpasswd2 knows no lock. What it writes before the new file takes its place
    is kept; what it writes in that very moment can be lost.
"""

EXAMPLES = r"""
- name: Two accounts are there, one is not
  simple_m365.relay.sasldb2_users:
    realm: example.com
    users: "{{ accounts | to_json }}"
  vars:
    accounts:
      - name: scanner
        password: "{{ vault_scanner_password }}"
      - name: alarm@plant.example.com
        password: "{{ vault_alarm_password }}"
      - name: fax
        state: absent

- name: Only the accounts in the list are there
  simple_m365.relay.sasldb2_users:
    realm: example.com
    users: "{{ sasldb_users | to_json }}"
    exclusive: true
"""

RETURN = r"""
added:
  description: The accounts that were not there before.
  returned: success
  type: list
  elements: str
  sample: [scanner@example.com]
altered:
  description: The accounts that got a new password, or lost another secret beside it.
  returned: success
  type: list
  elements: str
  sample: [alarm@plant.example.com]
removed:
  description: The accounts that are gone.
  returned: success
  type: list
  elements: str
  sample: [fax@example.com]
count:
  description: How many accounts the database has now.
  returned: success
  type: int
  sample: 2
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.simple_m365.relay.plugins.module_utils import _sasldb2

SHOWN_PROBLEMS = 20


def accounts(module):
    """Return the wanted accounts, or fail with all that is wrong with them."""
    try:
        users = json.loads(module.params["users"])
    except ValueError:
        module.fail_json(msg='users must be a list in JSON: write users: "{{ list | to_json }}"')
    wanted, problems = _sasldb2.wanted_accounts(users, module.params["realm"])
    if problems:
        more = [f"... and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
        module.fail_json(msg="\n".join(problems[:SHOWN_PROBLEMS] + more))
    return wanted


def names_diff(path, decision):
    """Return both halves of the diff: names of accounts, no passwords."""
    before = sorted(decision.removed + decision.altered)
    after = sorted(decision.added + [f"{name} (new password)" for name in decision.altered])
    return {
        "before_header": path,
        "after_header": path,
        "before": "".join(f"{name}\n" for name in before),
        "after": "".join(f"{name}\n" for name in after),
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/sasldb2"},
            "realm": {"type": "str"},
            "users": {"type": "str", "required": True, "no_log": True},
            "exclusive": {"type": "bool", "default": False},
        },
        add_file_common_args=True,
        supports_check_mode=True,
    )
    path, exclusive = module.params["path"], module.params["exclusive"]
    if not os.path.isabs(path):
        module.fail_json(msg=f"path must be absolute, not {path}")
    wanted = accounts(module)
    try:
        if module.check_mode and _sasldb2.missing_tools():
            decision = _sasldb2.decide({}, wanted, exclusive)
        else:
            decision = _sasldb2.update(path, wanted, exclusive, check=module.check_mode)
    except _sasldb2.SasldbError as error:
        module.fail_json(msg=str(error))
    attributes = {}
    changed = decision.changed
    if os.path.exists(path):
        changed = module.set_fs_attributes_if_different(module.load_file_common_arguments(module.params), changed, attributes)
    result = {"changed": changed, "added": decision.added, "altered": decision.altered, "removed": decision.removed, "count": decision.count}
    if module._diff:
        result["diff"] = [names_diff(path, decision), attributes] if attributes else [names_diff(path, decision)]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
