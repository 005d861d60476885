# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring certificates from the controller to the host in the module's arguments: no copy of them lies about on the way."""

from __future__ import annotations

import base64
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

WANTED = ("mailbox", "grant", "client_secret", "client_certificate", "client_certificate_passphrase")


class ActionModule(ActionBase):
    """Read the certificates, opened with ansible-vault where they are encrypted, and run the module on the host."""

    def run(self, tmp=None, task_vars=None):
        """Return the module's result."""
        result = super().run(tmp, task_vars)
        identities = [{**{key: one[key] for key in WANTED if key in one}, **self._content(one)} for one in self._task.args.get("identities") or []]
        result.update(self._execute_module(
            module_name="simple_m365.relay.m365_credentials", module_args=dict(self._task.args, identities=identities), task_vars=task_vars))
        return result

    def _content(self, one):
        if one.get("grant") != "client_certificate":
            return {}
        path = one.get("client_certificate")
        try:
            content = Path(self._loader.get_real_file(path)).read_bytes()
        except (AnsibleError, OSError) as error:
            raise AnsibleActionFail(f"The certificate {path} cannot be read on the controller: {error}") from error
        finally:
            self._loader.cleanup_all_tmp_files()
        return {"content": base64.b64encode(content).decode()}
