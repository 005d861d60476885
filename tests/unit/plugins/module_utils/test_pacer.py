# SPDX-License-Identifier: GPL-3.0-or-later
"""The service, spoken to on its socket as Postfix does; its windows last a fraction of a second."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _pacer, _pacer_day
from ansible_collections.simple_m365.relay.plugins.module_utils._pacer_window import PROMPT_TURNS

SCANS, BILLING = "scans@corp.test", "billing@corp.test"
LIMIT = {"messages": 5, "seconds": 0.4, "margin": 0.1, "recipients_per_day": 0}
SETTINGS = {
    "limits": {SCANS: LIMIT, BILLING: LIMIT},
    "lanes": {"m365-scans": {"mailbox": SCANS, "bulk": False}, "m365-scans-bulk": {"mailbox": SCANS, "bulk": True},
              "m365-billing": {"mailbox": BILLING, "bulk": False}},
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The pacer's files, in a folder of the test; nothing in the journal."""
    for name in ("SETTINGS", "SOCKET", "STATUS", "STATE"):
        monkeypatch.setattr(_pacer, name, str(tmp_path / name.lower()))
    (tmp_path / "state").mkdir()
    (tmp_path / "settings").write_text(json.dumps(SETTINGS), encoding="utf-8")

    async def read(_hours, _lanes, cursor, _since):
        return cursor
    monkeypatch.setattr(_pacer_day, "read", read)
    return tmp_path


def change(place, **limits):
    """Write other limits for scans@, as Ansible does: a new file takes the old one's place."""
    new = place / "new"
    new.write_text(json.dumps({**SETTINGS, "limits": {**SETTINGS["limits"], SCANS: {**LIMIT, **limits}}}), encoding="utf-8")
    new.rename(place / "settings")


@contextlib.asynccontextmanager
async def serving():
    """Run the service; give the pacer."""
    pacer = _pacer.Pacer()
    server = await asyncio.get_running_loop().create_unix_server(lambda: _pacer.Client(pacer), _pacer.SOCKET)
    try:
        yield pacer
    finally:
        server.close()


class Postfix:
    """One process of Postfix, with its connection."""

    async def connect(self):
        """Open the connection."""
        self.reader, self.writer = await asyncio.open_unix_connection(_pacer.SOCKET)
        return self

    def request(self, lane):
        """Send a request."""
        text = f"{lane} [smtp.office365.com]:587".encode()
        self.writer.write(b"%d:%s," % (len(text), text))

    async def reply(self):
        """Wait for an answer; return it and when it came."""
        length = await self.reader.readuntil(b":")
        text = await self.reader.readexactly(int(length[:-1]) + 1)
        return text[:-1].decode(), time.monotonic()

    async def ask(self, lane):
        """Send a request and wait for the answer."""
        self.request(lane)
        return await self.reply()


async def postfixes(count):
    """Return this many processes."""
    return [await Postfix().connect() for _number in range(count)]


def scenario(work):
    """Run a scenario with the service."""
    async def run():
        async with serving() as pacer:
            await work(pacer)
    asyncio.run(run())


def test_messages_within_the_limit_are_answered_at_once_and_the_next_when_the_window_has_room(place):
    async def work(_pacer):
        one = (await postfixes(1))[0]
        began = time.monotonic()
        answers = [await one.ask("m365-scans") for _number in range(7)]
        assert {text for text, _when in answers} == {"OK secure"}
        assert answers[4][1] - began < 0.3
        assert answers[5][1] - began >= 0.5
    scenario(work)


def test_two_mailboxes_do_not_wait_for_each_other(place):
    async def work(_pacer):
        scans, billing = await postfixes(2)
        for _number in range(5):
            await scans.ask("m365-scans")
        scans.request("m365-scans")
        began = time.monotonic()
        assert (await billing.ask("m365-billing"))[1] - began < 0.3
    scenario(work)


def test_who_goes_away_gives_his_place_back(place):
    async def work(pacer):
        gone, other = await postfixes(2)
        for _number in range(5):
            await gone.ask("m365-scans")
        gone.request("m365-scans")
        await asyncio.sleep(0.05)
        other.request("m365-scans")
        await asyncio.sleep(0.05)
        assert len(pacer.windows[SCANS].prompt) == 2
        gone.writer.close()
        await asyncio.sleep(0.05)
        assert len(pacer.windows[SCANS].prompt) == 1
        assert (await other.reply())[0] == "OK secure"
        assert pacer.windows[SCANS].turns == PROMPT_TURNS + 6    # nobody went in the place of the one who left
    scenario(work)


def test_who_would_wait_too_long_is_told_in_time(place, monkeypatch):
    monkeypatch.setattr(_pacer, "PATIENCE", 0.1)
    change(place, messages=1, seconds=60)

    async def work(pacer):
        one = (await postfixes(1))[0]
        assert (await one.ask("m365-scans"))[0] == "OK secure"
        assert (await one.ask("m365-scans"))[0].startswith("TEMP the mailbox has more to send")
        assert not pacer.windows[SCANS].prompt
    scenario(work)


@pytest.mark.parametrize("lane", ["m365-nobody", "", "*"])
def test_a_lane_that_nobody_knows_is_never_secure(place, lane):
    async def work(_pacer):
        assert (await (await postfixes(1))[0].ask(lane))[0].startswith("TEMP the lane")
    scenario(work)


@pytest.mark.parametrize("garbage", [b"x", b"5x", b"99999:", b"3:abc;", b":abc,", b"GET / HTTP/1.0\r\n"])
def test_what_is_no_request_ends_the_connection_and_nothing_else(place, garbage):
    async def work(_pacer):
        stranger, one = await postfixes(2)
        stranger.writer.write(garbage)
        assert await asyncio.wait_for(stranger.reader.read(), 5) == b""
        assert (await one.ask("m365-scans"))[0] == "OK secure"
    scenario(work)


def test_a_request_may_come_in_pieces_and_two_at_once(place):
    async def work(_pacer):
        one = (await postfixes(1))[0]
        for piece in (b"1", b"5:m365-sc", b"ans hos", b"t,15:m365-scans host,"):
            one.writer.write(piece)
            await asyncio.sleep(0.02)
        assert [(await one.reply())[0], (await one.reply())[0]] == ["OK secure"] * 2
    scenario(work)


def test_a_window_is_remembered_by_the_next_pacer(place):
    async def first(_pacer):
        one = (await postfixes(1))[0]
        for _number in range(5):
            await one.ask("m365-scans")

    async def second(pacer):
        assert len(pacer.windows[SCANS].gone) == 5
    change(place, seconds=30)
    scenario(first)
    scenario(second)


def test_what_cannot_be_remembered_makes_every_mailbox_wait_one_window_out(place, capsys):
    (place / "state" / "windows.json").write_text("{", encoding="utf-8")

    async def work(_pacer):
        began = time.monotonic()
        assert (await (await postfixes(1))[0].ask("m365-scans"))[1] - began >= 0.4
    scenario(work)
    assert "waits one window out" in capsys.readouterr().err


def test_it_goes_on_when_nothing_can_be_written_and_says_so_once(place, capsys):
    (place / "state").rmdir()

    async def work(_pacer):
        one = (await postfixes(1))[0]
        for _number in range(3):
            assert (await one.ask("m365-scans"))[0] == "OK secure"
    scenario(work)
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_new_settings_count_at_once_for_who_waits_too(place):
    async def work(pacer):
        one, other = await postfixes(2)
        change(place, messages=1, seconds=60)
        await one.ask("m365-scans")
        one.request("m365-scans")
        await asyncio.sleep(0.05)
        change(place, messages=0)
        await other.ask("m365-billing")
        assert (await asyncio.wait_for(one.reply(), 5))[0] == "OK secure"
        assert pacer.windows[SCANS].messages == 0
    scenario(work)


def test_broken_settings_change_nothing(place, capsys):
    async def work(_pacer):
        one = (await postfixes(1))[0]
        (place / "settings").write_text("{", encoding="utf-8")
        assert (await one.ask("m365-scans"))[0] == "OK secure"
    scenario(work)
    assert "the old settings stay" in capsys.readouterr().err


def test_a_mailbox_that_is_no_longer_there_is_not_waited_for(place):
    async def work(_pacer):
        one, other = await postfixes(2)
        change(place, messages=1, seconds=60)
        await one.ask("m365-scans")
        one.request("m365-scans")
        await asyncio.sleep(0.05)
        without = {"limits": {BILLING: LIMIT}, "lanes": {"m365-billing": SETTINGS["lanes"]["m365-billing"]}}
        (place / "settings").write_text(json.dumps(without), encoding="utf-8")
        await other.ask("m365-billing")
        assert "is no longer in" in (await asyncio.wait_for(one.reply(), 5))[0]
    scenario(work)


def test_a_daily_budget_warns_holds_back_and_goes_on(place, capsys):
    change(place, messages=0, recipients_per_day=10)

    async def work(pacer):
        one = (await postfixes(1))[0]
        hour = str(int(pacer.clock() // 3600))
        pacer.day["hours"] = {SCANS: {hour: 8}}
        await pacer.count()
        assert pacer.status()[SCANS]["near_limit"] and not pacer.status()[SCANS]["held"]
        assert [(await one.ask("m365-scans"))[0] for _number in range(2)] == ["OK secure"] * 2
        assert "has reached its 10 recipients" in (await one.ask("m365-scans"))[0]
        pacer.day["hours"] = {SCANS: {str(int(hour) - 25): 12}}
        await pacer.count()
        now = pacer.status()[SCANS]
        assert (now["recipients_today"], now["near_limit"], now["held"]) == (0, False, False)
        assert (await one.ask("m365-scans"))[0] == "OK secure"
    scenario(work)
    said = capsys.readouterr().err
    assert [said.count(text) for text in ("has had 8 of 10", "has reached its 10", "may send again")] == [1, 1, 1]


def test_a_journal_that_cannot_be_read_is_told_once_and_counted_later(place, monkeypatch, capsys):
    async def broken(*_arguments):
        raise OSError("no journal")

    async def work(pacer):
        good = _pacer_day.read
        pacer.day["cursor"] = "s=1"
        monkeypatch.setattr(_pacer_day, "read", broken)
        await pacer.count()
        await pacer.count()
        assert pacer.day["cursor"] == ""
        monkeypatch.setattr(_pacer_day, "read", good)
        await pacer.count()
    scenario(work)
    said = capsys.readouterr().err
    assert [said.count(text) for text in ("no journal", "journal: all is well again")] == [1, 1]


def test_the_status_is_a_file_for_everybody(place):
    async def work(pacer):
        telling = asyncio.ensure_future(_pacer.keep_telling(pacer))
        await asyncio.sleep(0.1)
        telling.cancel()
    scenario(work)
    status = json.loads((place / "status").read_text(encoding="utf-8"))
    assert set(status) == {"at", "mailboxes"} and set(status["mailboxes"]) == {SCANS, BILLING}
    assert (place / "status").stat().st_mode & 0o777 == 0o644
