# SPDX-License-Identifier: GPL-3.0-or-later
"""When a message of a mailbox may go: never more than Microsoft accepts in any window of time (private to the collection).

Nothing here waits or knows a clock: every function is told what time it is, in seconds of a clock that is never set.
A mailbox has two lanes. What waits in the prompt one goes first, but one message in five is the bulk one's, if any waits there.
"""

from __future__ import annotations

import collections
import dataclasses

PROMPT_TURNS = 4    # prompt messages for each bulk one, while both lanes wait
# Bulk mail takes a third of a window at once; the rest is spread evenly, so that prompt mail finds room. It catches up at most a tenth.
AT_ONCE, CATCH_UP = 3, 10


@dataclasses.dataclass
class Window:
    """The messages of one mailbox: when the last ones went, and who waits."""

    messages: int    # in a window; 0 for no limit
    seconds: float   # length of a window
    gone: collections.deque = dataclasses.field(default_factory=collections.deque)      # when each message of the last window went
    prompt: collections.deque = dataclasses.field(default_factory=collections.deque)    # who waits, first come first
    bulk: collections.deque = dataclasses.field(default_factory=collections.deque)
    turns: int = PROMPT_TURNS    # prompt messages since the last bulk one
    bulk_due: float = 0.0        # when the next bulk message would go, were they spread evenly


def waiting(window):
    """Return how many wait."""
    return len(window.prompt) + len(window.bulk)


def forget(window, now):
    """Forget what went before the window that ends now."""
    while window.gone and window.gone[0] <= now - window.seconds:
        window.gone.popleft()


def spacing(window):
    """Return the seconds between two messages that are spread evenly."""
    return window.seconds / window.messages


def free_at(window, now):
    """Return when the window has room for one more."""
    forget(window, now)
    surplus = len(window.gone) - window.messages
    return now if surplus < 0 else window.gone[surplus] + window.seconds


def bulk_at(window, now):
    """Return when bulk mail may go, as far as its own even spread is concerned."""
    if not window.messages or len(window.gone) < window.messages / AT_ONCE:
        return now
    return max(now, window.bulk_due - window.seconds / CATCH_UP)


def first_lane(window, now):
    """Return the lane whose turn it is, or None when nobody may go now."""
    if window.messages and free_at(window, now) > now:
        return None
    if window.prompt:
        return window.bulk if window.bulk and window.turns >= PROMPT_TURNS else window.prompt
    return window.bulk if window.bulk and bulk_at(window, now) <= now else None


def take(window, now):
    """Let the next one go: return it, or None when nobody waits or may go now."""
    lane = first_lane(window, now)
    if lane is None:
        return None
    if window.messages:
        window.gone.append(now)
    if lane is window.bulk:
        window.turns = 0
        window.bulk_due = max(window.bulk_due, now) + (spacing(window) if window.messages else 0)
    else:
        window.turns += 1
    return lane.popleft()


def wake_at(window, now):
    """Return when the next one may go, or None when nobody waits. To be asked after `take` found nobody."""
    if not waiting(window):
        return None
    room = free_at(window, now)
    return room if window.prompt else max(room, bulk_at(window, now))
