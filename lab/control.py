# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's control API for people and tests: `call` for Python, a command line for everybody else."""
from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import urllib.error
import urllib.parse
import urllib.request

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the lab is never behind a proxy


class ControlError(Exception):
    """What the lab said no to, in its words."""


def call(base_url: str, method: str, path: str, body=None, timeout: float = 30):
    """One request to the control API; the answer as Python data (bytes where the API serves a file)."""
    request = urllib.request.Request(
        base_url.rstrip("/") + path, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={} if body is None else {"Content-Type": "application/json"})
    try:
        with DIRECT.open(request, timeout=timeout) as answer:
            content = answer.read()
            return json.loads(content) if answer.headers.get_content_type() == "application/json" else content
    except urllib.error.HTTPError as error:
        with error:
            raise ControlError(json.load(error)["error"]) from None
    except OSError as error:
        raise ControlError(f"{base_url}: the lab does not answer ({getattr(error, 'reason', error)})") from None


def as_value(text: str):
    """What stands behind the = of KEY=VALUE: JSON where it is some, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def pairs(words: list[str]) -> dict:
    wrong = [word for word in words if "=" not in word]
    if wrong:
        raise ControlError(f"{wrong[0]}: write KEY=VALUE")
    return {key: as_value(value) for key, _equals, value in (word.partition("=") for word in words)}


# What each command asks for: (method, path, body) from the arguments.
COMMANDS = {
    "inbox": lambda given: ("DELETE" if given.clear else "GET", "/inbox" + ("?data=1" if given.data else ""), None),
    "approve": lambda given: ("POST", "/approve", {"code": given.code, **({"decline": True} if given.decline else {"account": given.account})}),
    "person": lambda given: ("POST", "/person", {"account": given.account, "delay": given.delay, "decline": given.decline}),
    "codes": lambda given: ("GET", "/codes", None),
    "fault": lambda given: ("DELETE", f"/faults/{urllib.parse.quote(given.name)}", None) if given.off else
                           ("POST", "/faults", {"name": given.name, "times": given.times, "account": given.account, "grant": given.grant,
                                                "phase": given.phase, "reply": given.reply, "seconds": given.seconds}),
    "faults": lambda given: ("DELETE", "/faults", None) if given.off else ("GET", "/faults", None),
    "set": lambda given: ("POST", "/settings", pairs(given.pairs)) if given.pairs else ("GET", "/settings", None),
    "revoke": lambda given: ("POST", "/revoke", {"account": given.account, "access": given.access}),
    "log": lambda given: ("DELETE" if given.clear else "GET", "/requests", None),
    "reset": lambda given: ("POST", "/reset", None),
    "state": lambda given: ("GET", "/state", None),
}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="control.py", description="Looks into the stand-in for Microsoft 365 and plays Microsoft's part.")
    made.add_argument("--url", default=os.environ.get("M365_CONTROL", "http://127.0.0.1:8025"), help="the control API (default: %(default)s)")
    made.add_argument("--json", action="store_true", help="print the answer as it came")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    one = command("inbox", "the messages that were accepted")
    one.add_argument("--data", action="store_true", help="with the whole message")
    one.add_argument("--clear", action="store_true", help="empty it")
    one = command("approve", "be the person who types the code")
    one.add_argument("code")
    one.add_argument("--as", dest="account", default="scans@corp.test", help="who signs in (default: %(default)s)")
    one.add_argument("--decline", action="store_true", help="decline instead")
    one = command("person", "somebody who answers every code by himself")
    one.add_argument("account", nargs="?", help="who; nobody without it")
    one.add_argument("--delay", type=float, default=0, help="seconds that he takes")
    one.add_argument("--decline", action="store_true", help="he declines")
    command("codes", "the codes that wait for a person")
    one = command("fault", "switch a fault on, or off with --off")
    one.add_argument("name")
    one.add_argument("--off", action="store_true")
    one.add_argument("--times", type=int, help="only so many times")
    one.add_argument("--account", help="only for this account")
    one.add_argument("--grant", help="only for this grant: device_code, refresh_token, client_credentials")
    one.add_argument("--phase", help="in another phase than its own")
    one.add_argument("--reply", help="the reply of smtp_reply")
    one.add_argument("--seconds", type=float, help="how slow slow_signin and slow_smtp are")
    one = command("faults", "the catalogue of faults")
    one.add_argument("--off", action="store_true", help="switch all off")
    one = command("set", "change settings, or show them")
    one.add_argument("pairs", nargs="*", metavar="KEY=VALUE")
    one = command("revoke", "the account's refresh tokens die")
    one.add_argument("account")
    one.add_argument("--access", action="store_true", help="its access tokens as well")
    one = command("log", "every request in order")
    one.add_argument("--clear", action="store_true", help="empty it")
    command("reset", "everything back to the start; tokens stay good")
    command("state", "what is switched, and the counters")
    return made


def inbox_for_people(answer) -> str:
    if not isinstance(answer, list):
        return f"{answer['removed']} messages removed"
    rows = (("Envelope", lambda one: f"{one['envelope_from'] or '<>'} -> {', '.join(one['envelope_to'])}"), ("From", lambda one: one["header_from"]),
            ("Authenticated", lambda one: one["mailbox"]), ("Subject", lambda one: one["subject"]),
            ("Received", lambda one: f"{one['received']} from {one['client']}, {one['size']} bytes"))
    blocks = ["\n".join([f"Message {one['id']}", *(f"  {title + ':':<15}{value(one)}" for title, value in rows), *([one["data"]] if one.get("data") else [])])
              for one in answer]
    return "\n\n".join(blocks) or "The inbox is empty."


def log_for_people(answer) -> str:
    if not isinstance(answer, list):
        return f"{answer['removed']} lines removed"
    return "\n".join(f"{one['time'][11:23]} {one['what']:<18} " + " ".join(f"{name}={value}" for name, value in one.items() if name not in ("time", "what"))
                     for one in answer)


def table(rows: dict) -> str:
    width = max(map(len, rows), default=0)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows.items())


SHOW = {
    "inbox": inbox_for_people,
    "log": log_for_people,
    "codes": lambda answer: "\n".join(f"{one['code']}  {one['scope']}  {one['expires_in']} s left" for one in answer) or "No code waits.",
    "approve": lambda answer: f"{answer['code']}: {answer['status']}" + (f" as {answer['account']}" if answer["account"] else ""),
    "fault": lambda answer: f"{answer['name']} is on: {answer['about']}" if "name" in answer else f"{answer['removed']} faults off",
    "faults": lambda answer: f"{answer['removed']} faults off" if set(answer) == {"removed"} else table({name: one["about"] for name, one in answer.items()}),
    "set": lambda answer: table({name: f"{one['value']}  ({one['about']})" if isinstance(one, dict) else str(one) for name, one in answer.items()}),
}


def main(arguments: list[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    try:
        answer = call(given.url, *COMMANDS[given.command](given))
    except ControlError as error:
        print(error, file=sys.stderr)
        return 1
    show = None if given.json else SHOW.get(given.command)
    print(show(answer) if show else json.dumps(answer, indent=2))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `log | head` ends quietly
    sys.exit(main())
