# SPDX-License-Identifier: GPL-3.0-or-later
"""The names under which Postfix delivers for an identity (private to the collection).

Each identity has services of its own in master.cf, so that what one mailbox has to wait for never slows another. There are two, its
lanes: what is sent now and then goes by the prompt one, what comes in bursts by the bulk one.
"""

from __future__ import annotations

import re


def lane(mailbox, bulk=False):
    """Return the name of a lane of a mailbox: m365-scans_example_org, m365-scans_example_org-bulk."""
    return f"m365-{re.sub('[^a-z0-9]+', '_', mailbox.lower())}{'-bulk' if bulk else ''}"


def route(mailbox, relayhost, bulk=False):
    """Return where a message of a mailbox goes, as transport:nexthop."""
    return f"{lane(mailbox, bulk)}:{relayhost}"


def lanes(mailboxes):
    """Return the lanes of all mailboxes, {name: {"mailbox": whose, "bulk": which}}; the first one is the default."""
    return {lane(mailbox, bulk): {"mailbox": mailbox, "bulk": bulk} for mailbox in mailboxes for bulk in (False, True)}
