# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show the page and the code of a sign-in the moment they exist, also in AWX."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


def boxed(host, mailbox, sign_in_as, result):
    """Return the lines of the box that tells a person how to sign the host in."""
    minutes = round(result["expires_in"] / 60)
    until = result["expires_at"].replace("T", " ")[:16]
    lines = [
        f"{host}: sign in to Microsoft 365" + ("" if sign_in_as == mailbox else f" for {mailbox}"),
        "",
        f"open         {result['verification_uri']}",
        f"enter        {result['user_code']}",
        f"sign in as   {sign_in_as}   (a private window helps: not as yourself)",
        f"at once, at the latest until {until} UTC ({minutes} minutes)",
    ]
    width = max(map(len, lines))
    edge = "+-" + "-" * width + "-+"
    return [edge, *(f"| {line.ljust(width)} |" for line in lines), edge]


class ActionModule(ActionBase):
    """Run the module on the host, then print what it returned for the person."""

    def run(self, tmp=None, task_vars=None):
        """Return the module's result with the printed lines in it."""
        result = super().run(tmp, task_vars)
        result.update(self._execute_module(module_name="simple_m365.relay.m365_device_code", task_vars=task_vars))
        if result.get("user_code"):
            options = self._task.args
            mailbox = options["mailbox"]
            result["box"] = boxed(task_vars["inventory_hostname"], mailbox, options.get("sign_in_as") or mailbox, result)
            Display().display("\n" + "\n".join(result["box"]) + "\n")  # In one call: other hosts print at the same time.
        return result
