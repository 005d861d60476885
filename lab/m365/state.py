# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab knows while it runs. Everything is read and changed under the one lock."""
from __future__ import annotations

import collections
import datetime
import itertools
import json
import sys
import threading
import time
from pathlib import Path

from . import directory, faults, limits, settings
from .certificates import write

REQUESTS_KEPT = 50_000
DATA_KEPT = 512 * 1024 * 1024  # bytes of raw messages; of older ones the data goes, the line in the inbox stays


def clock() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


class State:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.apply = lambda: None  # called after each change of the faults; opens and closes the services
        self.connection_numbers = itertools.count(1)
        self.revoked: dict[str, float] = {}         # account -> refresh tokens made before are dead
        self.access_revoked: dict[str, float] = {}  # the same for access tokens
        self.spent: set[str] = set()                # refresh tokens used up, for strict rotation
        self.reset()

    def reset(self) -> None:
        """Everything back to the start. Tokens and revocations stay as they are."""
        with self.lock:
            self.settings = settings.defaults()
            self.directory = directory.start()
            self.faults: list[dict] = []
            self.codes: dict[str, dict] = {}  # device_code -> its story
            self.person: dict | None = None
            self.inbox: list[dict] = []
            self.message_numbers = itertools.count(1)
            self.requests: collections.deque = collections.deque(maxlen=REQUESTS_KEPT)
            self.counters: collections.Counter = collections.Counter()
            self.limits = limits.Limits()
        self.apply()

    def save(self, path: Path) -> None:
        """What has to outlive a restart: codes that somebody is about to type, and what was revoked."""
        with self.lock:
            kept = {"codes": self.codes, "revoked": self.revoked, "access_revoked": self.access_revoked, "spent": sorted(self.spent)}
        write(path, json.dumps(kept).encode())

    def load(self, path: Path) -> None:
        if path.exists():
            kept = json.loads(path.read_text())
            self.codes, self.revoked, self.access_revoked = kept["codes"], kept["revoked"], kept["access_revoked"]
            self.spent = set(kept["spent"])

    # what happened

    def event(self, what: str, **details) -> None:
        """One line of the request log, and of the container's log. Never give it a token, a code or a secret."""
        entry = {"time": clock(), "what": what, **{name: value for name, value in details.items() if value not in (None, "")}}
        with self.lock:
            self.requests.append(entry)
            self.counters[f"{what} {details['result']}" if "result" in details else what] += 1
        sys.stdout.write(json.dumps(entry) + "\n")
        sys.stdout.flush()

    def accept(self, message: dict, data: bytes) -> None:
        with self.lock:
            kept = self.counters["bytes kept"] + len(data)
            for old in self.inbox:
                if kept <= DATA_KEPT:
                    break
                kept -= len(old["data"] or b"")
                old["data"] = None
            self.counters["bytes kept"] = kept
            self.inbox.append({"id": next(self.message_numbers), "received": clock(), **message, "data": data})

    # what is set

    def setting(self, name: str):
        with self.lock:
            return self.settings[name]

    def change_settings(self, changes: dict) -> None:
        checked = {name: settings.check(name, value) for name, value in changes.items()}
        with self.lock:
            self.settings |= checked

    def delay(self, phase: str) -> float:
        """Seconds that an answer in this phase has to wait: the latency that is set, and every fault `slow`."""
        with self.lock:
            own = self.settings[f"latency_{phase}"]
            return (self.settings["latency"] if own is None else own) + faults.slowness(self.faults, phase)

    # faults

    def add_fault(self, request: dict) -> dict:
        made = faults.make(request)
        with self.lock:
            self.faults.append(made)
        self.apply()
        return made

    def remove_faults(self, name: str | None = None) -> int:
        with self.lock:
            left = [fault for fault in self.faults if name and fault["name"] != name]
            removed = len(self.faults) - len(left)
            self.faults = left
        self.apply()
        return removed

    def strike(self, phase: str, **who) -> dict | None:
        """The fault that this phase of this request meets, if any; counted, and gone once it has struck as often as it was to."""
        with self.lock:
            found = faults.find(self.faults, phase, **who)
            if found:
                found["struck"] += 1
                if found["struck"] == found["times"]:
                    self.faults.remove(found)
            return found

    def is_on(self, name: str) -> bool:
        with self.lock:
            return any(fault["name"] == name for fault in self.faults)

    # people and codes

    def answer(self, user_code: str, account: str | None) -> dict:
        """Somebody types the code and signs in as the account, or declines (None)."""
        wanted = user_code.strip().upper().replace("-", "")
        with self.lock:
            code = next((code for code in self.codes.values() if code["user_code"] == wanted), None)
            if code is None:
                raise ValueError(f"code {user_code}: not known here; pending are {', '.join(self.pending_codes()) or 'none'}")
            if code["expires"] < time.time():
                raise ValueError(f"code {user_code}: expired")
            if code["status"] != "pending":
                raise ValueError(f"code {user_code}: already {code['status']}")
            code["status"], code["account"] = ("approved", account) if account else ("declined", None)
            return code

    def pending_codes(self) -> list[str]:
        with self.lock:
            return [code["user_code"] for code in self.codes.values() if code["status"] == "pending" and code["expires"] > time.time()]

    def account(self, address: str) -> dict | None:
        with self.lock:
            return self.directory["accounts"].get(address.lower())

    def app(self, client_id: str) -> dict | None:
        with self.lock:
            return self.directory["apps"].get(client_id.lower())
