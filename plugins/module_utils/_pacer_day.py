# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipients that Microsoft accepted for each mailbox in the last day, as Postfix's log tells (private to the collection).

They are counted by the hour; the hour in which the last day began counts whole, so the sum is never too small.
"""

from __future__ import annotations

import asyncio
import json
import re

HOUR, DAY = 3600, 86400
WARN = 0.8    # of the limit
ACCEPTED = re.compile(r"[0-9A-Za-z]+: to=<.*>, relay=\S+, .*dsn=2\.\d+\.\d+, status=sent \(2")
LONGEST_LINE = 2**20


def command(lanes, cursor, since):
    """Return the command that shows what Postfix has logged for these lanes: behind the cursor, or since a time where there is none."""
    where = f"--after-cursor={cursor}" if cursor else f"--since=@{int(since)}"
    return ["journalctl", "--quiet", "--output=json", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER", where,
            *(f"SYSLOG_IDENTIFIER=postfix/{lane}/smtp" for lane in sorted(lanes))]


def add(hours, lanes, line):
    """Count one entry of the journal; return its cursor.

    hours: {mailbox: {hour: recipients}}. lanes: {name of a lane: mailbox}.
    """
    entry = json.loads(line)
    lane = str(entry.get("SYSLOG_IDENTIFIER")).removeprefix("postfix/").removesuffix("/smtp")
    message = entry.get("MESSAGE")
    if lane in lanes and isinstance(message, str) and ACCEPTED.match(message):
        counted = hours.setdefault(lanes[lane], {})
        hour = str(int(entry["__REALTIME_TIMESTAMP"]) // 1_000_000 // HOUR)
        counted[hour] = counted.get(hour, 0) + 1
    return entry["__CURSOR"]


def forget(hours, now):
    """Forget the hours before the last day; also those in the future, which a clock left behind that was wrong."""
    first, last = (now - DAY) // HOUR, now // HOUR
    for counted in hours.values():
        for hour in [hour for hour in counted if not first <= int(hour) <= last]:
            del counted[hour]


def total(hours, mailbox):
    """Return the recipients of a mailbox in the last day."""
    return sum(hours.get(mailbox, {}).values())


async def read(hours, lanes, cursor, since):
    """Count what was logged since the last reading; return the new cursor. Raises OSError when the journal cannot be read."""
    process = await asyncio.create_subprocess_exec(
        *command(lanes, cursor, since), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=LONGEST_LINE)
    try:
        async for line in process.stdout:
            cursor = add(hours, lanes, line)
    except BaseException:
        process.kill()
        raise
    finally:
        said = await process.stderr.read()
        await process.wait()
    if process.returncode:
        raise OSError(f"journalctl ended with exit code {process.returncode}: {said.decode('utf-8', 'replace').strip()}")
    return cursor
