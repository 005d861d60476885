# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the pacer: its settings, what it remembers, what it tells (private to the collection).

What went is remembered by the clock of the boot, which nobody sets; the time of day is only asked for what went before the last boot.
"""

from __future__ import annotations

import json
import time

from ._files import write_atomically

WINDOWS, DAY = "windows.json", "day.json"
NUMBERS = {"messages": int, "seconds": (int, float), "margin": (int, float), "recipients_per_day": int}


def boot_clock():
    """Return the seconds since the host started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot():
    """Return what names this boot of the host."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return stream.read().strip()


def check_settings(settings):
    """Raise ValueError for settings that cannot be used."""
    try:
        for mailbox, limit in settings["limits"].items():
            for name, kind in NUMBERS.items():
                if not isinstance(limit[name], kind) or isinstance(limit[name], bool) or limit[name] < 0:
                    raise ValueError(f"{name} of {mailbox} is not a number from 0 on")
            if limit["seconds"] + limit["margin"] <= 0:
                raise ValueError(f"the window of {mailbox} has no length")
        for lane, known in settings["lanes"].items():
            if known["mailbox"] not in settings["limits"] or not isinstance(known["bulk"], bool):
                raise ValueError(f"the lane {lane} has no mailbox with limits")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def load_settings(path):
    """Return the settings in a file. Raises OSError or ValueError."""
    with open(path, encoding="utf-8") as stream:
        settings = json.load(stream)
    check_settings(settings)
    return settings


def load_windows(directory):
    """Return ({mailbox: when its last messages went, by the clock of this boot}, problem).

    With a problem, or with no file where one must have been, nothing is known: {None: True}. A first start has no directory's content at all.
    """
    path = f"{directory}/{WINDOWS}"
    try:
        with open(path, encoding="utf-8") as stream:
            written = json.load(stream)
        now, shift = boot_clock(), 0.0
        if written["boot"] != boot():
            shift = now - written["clock"] - (time.time() - written["time"])    # from the clock of that boot to the clock of this one
        gone = {mailbox: sorted(min(float(at) + shift, now) for at in times) for mailbox, times in written["gone"].items()}
    except FileNotFoundError:
        return {}, ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return {None: True}, f"{path}: {type(error).__name__}: {error}"
    return gone, ""


def save_windows(directory, gone):
    """Write down when the last messages of each mailbox went."""
    text = json.dumps({"boot": boot(), "clock": boot_clock(), "time": time.time(), "gone": gone})
    write_atomically(f"{directory}/{WINDOWS}", text.encode())


def load_day(directory, now):
    """Return {"hours": {mailbox: {hour: recipients}}, "cursor": in the journal, "read_at": when}; what is not known is counted from the journal anew."""
    try:
        with open(f"{directory}/{DAY}", encoding="utf-8") as stream:
            day = json.load(stream)
        hours = {mailbox: {str(int(hour)): int(count) for hour, count in counted.items()} for mailbox, counted in day["hours"].items()}
        return {"hours": hours, "cursor": str(day["cursor"]), "read_at": float(day["read_at"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {"hours": {}, "cursor": "", "read_at": now - 86400}


def save_day(directory, day):
    """Write down what was counted, and how far."""
    write_atomically(f"{directory}/{DAY}", json.dumps(day).encode())


def save_status(path, mailboxes, now):
    """Write what the mailboxes are doing, for everybody to read."""
    write_atomically(path, json.dumps({"at": int(now), "mailboxes": mailboxes}).encode(), 0o644)


def problem_of(save, place, *arguments):
    """Save something; return what went wrong, or ""."""
    try:
        save(place, *arguments)
    except OSError as error:
        return f"warning: {place} cannot be written: {error.strerror}"
    return ""
