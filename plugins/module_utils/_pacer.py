# SPDX-License-Identifier: GPL-3.0-or-later
"""The service that keeps Postfix within Microsoft's limits (private to the collection).

Before each delivery Postfix looks up the TLS policy for it; this service answers, and answers late when the mailbox has to wait.
The answer is always the same, "secure": whom Postfix trusts stays as its own configuration says. It speaks Postfix's socketmap
protocol on a local socket: a request is "LANE [host]:port", in a netstring.

On a host: python3 -m m365-relay._pacer (see the unit m365-relay-pacer.service).
"""

from __future__ import annotations

import asyncio
import os
import signal
import time

from . import _pacer_day, _pacer_state, _pacer_window
from ._daemon import file_state, ready, tell

SETTINGS = "/etc/m365-relay/pacer.json"
SOCKET = "/run/m365-relay-pacer/socket"
STATUS = "/run/m365-relay-pacer/status.json"
STATE = "/var/lib/m365-relay-pacer"

SECURE = "OK secure"
PATIENCE = 90           # seconds; Postfix's own is 100
LONGEST_REQUEST = 1000
TICK = 5                # seconds between two looks at the settings' file and the status
READ_SELDOM, READ_OFTEN = 30, 5    # seconds between two readings of the journal, far from the daily limit and near it


class Pacer:
    """What is known about the mailboxes, and who waits for an answer."""

    def __init__(self, clock=time.time):
        """Begin with the settings, and with what the pacer before this one remembered. Raises OSError or ValueError without settings."""
        self.clock = clock
        self.settings, self.windows, self.timers, self.troubles = {}, {}, {}, {}
        self.since_reading = {}    # messages of each mailbox that went since the journal was read
        self.warned, self.held = set(), set()
        self.day = _pacer_state.load_day(STATE, clock())
        self.remembered, problem = _pacer_state.load_windows(STATE)
        if problem:
            tell(f"what went before is not known ({problem}): every mailbox waits one window out")
        self.seen = file_state(SETTINGS)
        self.use(_pacer_state.load_settings(SETTINGS))

    # --- settings ---

    def use(self, settings):
        """Go by these settings. Who waits goes on waiting; a mailbox that is no longer there answers that it is not."""
        now = _pacer_state.boot_clock()
        for mailbox, limit in settings["limits"].items():
            window = self.windows.get(mailbox)
            if window is None:
                window = self.windows[mailbox] = _pacer_window.Window(0, 1.0)
            window.messages, window.seconds = limit["messages"], limit["seconds"] + limit["margin"]
            if mailbox in self.remembered:
                window.gone.extend(self.remembered.pop(mailbox))
            elif self.remembered.get(None):
                window.gone.extend([now] * window.messages)
        self.remembered.pop(None, None)
        for mailbox in set(self.windows) - set(settings["limits"]):
            self.refuse_waiting(self.windows.pop(mailbox), f"{mailbox} is no longer in {SETTINGS}")
        self.settings = settings
        for mailbox in self.windows:
            self.judge_day(mailbox)
            self.serve(mailbox)

    def look_at_settings(self):
        """Read the settings again when the file is another one; a broken one changes nothing."""
        state = file_state(SETTINGS)
        if state != self.seen:
            self.seen = state
            try:
                settings = _pacer_state.load_settings(SETTINGS)
            except (OSError, ValueError) as error:
                tell(f"{SETTINGS} cannot be used, the old settings stay: {error}")
                return
            self.use(settings)
            tell("the settings were read again")

    # --- messages ---

    def ask(self, lane, client):
        """Let a delivery of a lane wait for its turn. The client is answered now or later, by its method answer()."""
        self.look_at_settings()
        known = self.settings["lanes"].get(lane)
        if known is None:
            client.answer(f"TEMP the lane {lane!a} is not in {SETTINGS}")
        elif known["mailbox"] in self.held:
            client.answer(f"TEMP {self.reason(known['mailbox'])}")
        else:
            window = self.windows[known["mailbox"]]
            (window.bulk if known["bulk"] else window.prompt).append(client)
            self.serve(known["mailbox"])

    def serve(self, mailbox):
        """Answer everybody whose turn has come; remember it first."""
        window, served = self.windows[mailbox], []
        while mailbox not in self.held and (client := _pacer_window.take(window, _pacer_state.boot_clock())) is not None:
            served.append(client)
            self.since_reading[mailbox] = self.since_reading.get(mailbox, 0) + 1
            self.judge_day(mailbox)
        if served:
            self.remember()
        for client in served:
            client.answer(SECURE)
        self.look_again(mailbox)

    def look_again(self, mailbox):
        """Come back when the next one may go."""
        timer = self.timers.pop(mailbox, None)
        if timer:
            timer.cancel()
        now = _pacer_state.boot_clock()
        when = _pacer_window.wake_at(self.windows[mailbox], now)
        if when is not None:
            self.timers[mailbox] = asyncio.get_running_loop().call_later(max(when - now, 0.002), self.woken, mailbox)

    def woken(self, mailbox):
        """The next one may go, if the mailbox is still there."""
        self.timers.pop(mailbox, None)
        if mailbox in self.windows:
            self.serve(mailbox)

    def leave(self, client):
        """Somebody who waits does no longer; his turn is the next one's."""
        for mailbox, window in self.windows.items():
            for lane in (window.prompt, window.bulk):
                if client in lane:
                    lane.remove(client)
                    self.look_again(mailbox)

    def refuse_waiting(self, window, why):
        """Answer everybody who waits that there is nothing to wait for."""
        for lane in (window.prompt, window.bulk):
            while lane:
                lane.popleft().answer(f"TEMP {why}")

    def remember(self):
        """Write down what went, so that a pacer after this one knows it."""
        gone = {mailbox: list(window.gone) for mailbox, window in self.windows.items() if window.messages}
        if gone:
            self.trouble("windows", _pacer_state.problem_of(_pacer_state.save_windows, STATE, gone))

    def trouble(self, what, problem):
        """Say once that something does not work, and once that it does again."""
        if problem != self.troubles.get(what, ""):
            self.troubles[what] = problem
            tell(problem or f"{what}: all is well again")

    # --- recipients of a day ---

    def recipients(self, mailbox):
        """Return the recipients of the last day; what went since the journal was read counts as one each."""
        return _pacer_day.total(self.day["hours"], mailbox) + self.since_reading.get(mailbox, 0)

    def reason(self, mailbox):
        """Return why a mailbox is held back."""
        limit = self.settings["limits"][mailbox]["recipients_per_day"]
        return f"{mailbox} has reached its {limit} recipients in 24 hours; mail waits until some of them are a day old"

    def judge_day(self, mailbox):
        """Warn near the daily limit, hold back at it, go on when it is over; one line in the journal at each change."""
        limit, now = self.settings["limits"][mailbox]["recipients_per_day"], self.recipients(mailbox)
        near, over = bool(limit) and now >= limit * _pacer_day.WARN, bool(limit) and now >= limit
        if over != (mailbox in self.held):
            (self.held.add if over else self.held.discard)(mailbox)
            tell(f"warning: daily budget: {self.reason(mailbox)}" if over else f"daily budget: {mailbox} may send again, {now} of {limit} recipients")
        elif near and mailbox not in self.warned:
            tell(f"warning: daily budget: {mailbox} has had {now} of {limit} recipients in 24 hours")
        (self.warned.add if near else self.warned.discard)(mailbox)
        if over:
            self.refuse_waiting(self.windows[mailbox], self.reason(mailbox))

    def near_a_limit(self):
        """Tell whether the journal has to be read often."""
        return any(mailbox in self.warned for mailbox in self.windows)

    async def count(self):
        """Read what Postfix has logged since the last time."""
        lanes = {lane: known["mailbox"] for lane, known in self.settings["lanes"].items()}
        if not lanes:
            return
        now, before = self.clock(), dict(self.since_reading)
        try:
            cursor = await _pacer_day.read(self.day["hours"], lanes, self.day["cursor"], self.day["read_at"])
        except (OSError, ValueError, KeyError) as error:
            self.day["cursor"] = ""    # the next reading begins at the time of the last good one
            self.trouble("journal", f"warning: journal: recipients cannot be counted: {error}")
            return
        self.trouble("journal", "")
        self.day.update(cursor=cursor, read_at=now)
        for mailbox, messages in before.items():
            self.since_reading[mailbox] -= messages
        _pacer_day.forget(self.day["hours"], int(now))
        self.trouble("day", _pacer_state.problem_of(_pacer_state.save_day, STATE, self.day))
        for mailbox in self.windows:
            self.judge_day(mailbox)

    # --- status ---

    def status(self):
        """Return what the mailboxes are doing."""
        return {mailbox: self.status_of(mailbox, window) for mailbox, window in sorted(self.windows.items())}

    def status_of(self, mailbox, window):
        """Return what one mailbox is doing."""
        _pacer_window.forget(window, _pacer_state.boot_clock())
        limit = self.settings["limits"][mailbox]["recipients_per_day"]
        return {
            "recipients_today": self.recipients(mailbox), "recipients_limit": limit, "near_limit": mailbox in self.warned, "held": mailbox in self.held,
            "messages_in_window": len(window.gone), "waiting": _pacer_window.waiting(window),
        }


class Client(asyncio.Protocol):
    """One process of Postfix; it asks, and asks again only when it was answered."""

    def __init__(self, pacer):
        """Wait for the connection."""
        self.pacer, self.transport, self.buffer, self.timer = pacer, None, b"", None

    def connection_made(self, transport):
        """Keep where the answers go."""
        self.transport = transport

    def connection_lost(self, _error):
        """Give the place in the queue back."""
        self.stop_waiting()

    def data_received(self, data):
        """Take the requests out of what came."""
        self.buffer += data
        while self.timer is None and not self.transport.is_closing():
            try:
                request, self.buffer = netstring(self.buffer)
            except ValueError:
                self.transport.close()
                return
            if request is None:
                return
            self.timer = asyncio.get_running_loop().call_later(PATIENCE, self.give_up)
            self.pacer.ask(request.partition(b" ")[0].decode("utf-8", "replace"), self)

    def give_up(self):
        """Answer before Postfix loses its patience."""
        self.answer("TEMP the mailbox has more to send than its limit lets out now; Postfix tries again")

    def answer(self, text):
        """Answer the request."""
        self.stop_waiting()
        reply = text.encode()
        self.transport.write(b"%d:%s," % (len(reply), reply))

    def stop_waiting(self):
        """Leave the queue, if this one is in it."""
        if self.timer:
            self.timer.cancel()
            self.timer = None
            self.pacer.leave(self)


def netstring(buffer):
    """Return (the first request in what came, or None while it is not complete; the rest). Raises ValueError for what is no netstring."""
    length, colon, rest = buffer.partition(b":")
    if (not length.isdigit() and (colon or length)) or len(length) > 4 or int(length or 0) > LONGEST_REQUEST:
        raise ValueError("not a netstring")
    size = int(length or 0)
    if not colon or len(rest) <= size:
        return None, buffer
    if rest[size:size + 1] != b",":
        raise ValueError("not a netstring")
    return rest[:size], rest[size + 1:]


async def keep_counting(pacer):
    """Read the journal again and again."""
    while True:
        await pacer.count()
        await asyncio.sleep(READ_OFTEN if pacer.near_a_limit() else READ_SELDOM)


async def keep_telling(pacer):
    """Write the status whenever it is another one, and look at the settings even while nobody asks."""
    told, at = None, 0.0
    while True:
        pacer.look_at_settings()
        status = pacer.status()
        if status != told or pacer.clock() - at >= READ_SELDOM:
            told, at = status, pacer.clock()
            pacer.trouble("status", _pacer_state.problem_of(_pacer_state.save_status, STATUS, told, at))
        await asyncio.sleep(TICK)


async def serve():
    """Serve until systemd says stop, or until something breaks: then systemd starts it anew."""
    pacer = Pacer()
    os.umask(0o007)    # the socket is for the group, which is Postfix's
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_unix_server(lambda: Client(pacer), SOCKET, backlog=1000)
    ready()
    tasks = [asyncio.ensure_future(work) for work in (keep_counting(pacer), keep_telling(pacer), stopped.wait())]
    done, _pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    server.close()
    for task in done:
        task.result()


if __name__ == "__main__":
    asyncio.run(serve())
