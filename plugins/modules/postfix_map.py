#!/usr/bin/python
# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postfix_map
short_description: Keep a Postfix lookup table, text and compiled
version_added: 1.0.0
description:
  - Writes a lookup table and compiles it in the type that C(postconf -h default_database_type) names on the host.
  - The compiled table is read and compared, so a stale or damaged one is found and made again.
  - Both files are built aside and take the place of the old ones in one step each. Postfix notices a new table by itself.
author: "Simple M365 Relay contributors (@simple-m365-relay)"
extends_documentation_fragment:
  - simple_m365.relay.attributes
attributes:
  check_mode:
    support: full
    details: Also works where Postfix, or the directory of the table, is not there yet.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  path:
    description: The table's text, an absolute path. The compiled table gets the suffix of its type.
    type: path
    required: true
  entries:
    description: The whole content, key to value. Postfix ignores upper and lower case in keys.
    type: dict
    required: true
  owner:
    description: Owner of both files.
    type: str
    default: root
  group:
    description: Group of both files.
    type: str
    default: root
  mode:
    description: Mode of both files.
    type: raw
    default: "0644"
"""

EXAMPLES = r"""
- name: Postfix finds the token of the mailbox
  simple_m365.relay.postfix_map:
    path: /etc/m365-relay/sasl_passwd
    entries:
      "[smtp.office365.com]:587": "relay@example.com:/var/lib/m365-relay/tokens/relay@example.com"
"""

RETURN = r"""
type:
  description: Type of the table, as in C(type:path); null in check mode where Postfix is not installed.
  returned: success
  type: str
  sample: hash
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError
from ansible_collections.simple_m365.relay.plugins.module_utils._files import read_if_there
from ansible_collections.simple_m365.relay.plugins.module_utils._postfix_map import (
    build,
    compiled_path,
    database_type,
    is_current,
    source_text,
)


def apply(module):
    """Bring the table to the wanted state; return the module's result."""
    path = module.params["path"]
    entries = {str(key): str(value) for key, value in module.params["entries"].items()}
    wanted = source_text(entries)
    before = (read_if_there(path) or b"").decode("utf-8", "replace")
    kind = database_type()
    if kind is None and not module.check_mode:
        raise ValueError("Postfix is not installed: postconf cannot say in which type tables are kept. Install the package postfix first.")
    changed = not is_current(path, kind, entries)

    def set_attributes(target):
        return module.set_fs_attributes_if_different(module.load_file_common_arguments(module.params, path=target), False)

    if changed and not module.check_mode:
        build(path, kind, entries, set_attributes)
    elif not changed:
        files = [path] if kind is None else [path, compiled_path(path, kind)]
        changed = bool([target for target in files if set_attributes(target)])    # all of them, not only up to the first
    diff = {"before_header": path, "after_header": path, "before": before, "after": wanted}
    return {"changed": changed, "type": kind, "diff": diff}


def main():
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "entries": {"type": "dict", "required": True},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "raw", "default": "0644"},
        },
        supports_check_mode=True,
    )
    try:
        result = apply(module)
    except (CommandError, OSError, ValueError) as error:
        module.fail_json(msg=f"{module.params['path']}: {error}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
