# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft's limits for one mailbox: messages in a window, transactions at a time, recipients a day.

Microsoft's pages contradict each other about what happens above the rate, so there are three models (setting limit_model).
Callers hold the state's lock.
"""
from __future__ import annotations

import bisect
import collections

DAY = 86400


class Limits:
    def __init__(self) -> None:
        self.stamps = collections.defaultdict(list)        # mailbox -> when its messages counted, sorted
        self.transactions = collections.defaultdict(list)  # mailbox -> open transactions, oldest first
        self.recipients = collections.defaultdict(list)    # mailbox -> (when, how many)
        self.denied = collections.Counter()                # mailbox -> SendAsDenied so far

    def slot(self, mailbox: str, settings: dict, now: float) -> float:
        """The earliest moment at which one more message keeps the rate."""
        limit, window = settings["rate_limit"], settings["rate_window"]
        stamps = self.stamps[mailbox]
        if not limit:
            return now
        if settings["rate_window_fixed"]:
            start = now // window * window
            while bisect.bisect_left(stamps, start + window) - bisect.bisect_left(stamps, start) >= limit:
                start += window
            return max(now, start)
        if len(stamps) < limit:
            return now
        return max(now, stamps[-limit] + window)

    def take(self, mailbox: str, settings: dict, moment: float) -> float:
        """Counts a message at this moment; gives what `give_back` wants."""
        stamps = self.stamps[mailbox]
        bisect.insort(stamps, moment)
        del stamps[:bisect.bisect_left(stamps, moment - 2 * settings["rate_window"] - 1)]
        return moment

    def give_back(self, mailbox: str, moment: float) -> None:
        """The message was not accepted after all."""
        if moment in self.stamps[mailbox]:
            self.stamps[mailbox].remove(moment)

    def too_many_transactions(self, mailbox: str, transaction, settings: dict) -> bool:
        """The oldest ones are served, the newcomer is not."""
        limit = settings["connection_limit"]
        return bool(limit) and self.transactions[mailbox].index(transaction) >= limit

    def recipients_left(self, mailbox: str, settings: dict, now: float) -> bool:
        recent = [entry for entry in self.recipients[mailbox] if entry[0] > now - DAY]
        self.recipients[mailbox] = recent
        return not settings["recipients_per_day"] or sum(count for _when, count in recent) < settings["recipients_per_day"]
