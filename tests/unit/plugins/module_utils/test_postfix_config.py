# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration takes the other's place as a whole, or not at all."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import types

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _directories, _postfix_config
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError
from ansible_collections.simple_m365.relay.plugins.module_utils._postfix_config import ConfigurationRefused, RolledBack
from ansible_collections.simple_m365.relay.plugins.module_utils._postfix_proof import ProofError

OLD = {"main.cf": "generation = old\n", "master.cf": "smtp old\n"}
NEW = {"main.cf": "generation = new\n", "master.cf": "smtp new\n"}
BROKEN = {"main.cf": "generation = broken\n", "master.cf": "smtp broken\n"}
WRONG = {"main.cf": "generation = wrong\n", "master.cf": "smtp wrong\n"}


@pytest.fixture
def postfix(tmp_path, monkeypatch):
    """A host whose Postfix is a file that says which generation it runs with, so that it outlives a killed run."""
    live = tmp_path / "postfix"
    (live / "sasl").mkdir(parents=True)
    (live / "sasl/smtpd.conf").write_text("mech_list: PLAIN LOGIN\n")
    running = tmp_path / "running"
    events = tmp_path / "events"
    events.write_text("")
    host = types.SimpleNamespace(live=live, running=running, staged=tmp_path / "postfix.staged", previous=tmp_path / "postfix.previous", tmp=tmp_path,
                                 enabled=True, serves=True, events=lambda: events.read_text().split())
    host.set = lambda texts: [(live / name).write_text(text) for name, text in texts.items()]
    host.set(OLD)
    running.write_text(OLD["main.cf"])

    def act(name):
        def acted():
            with events.open("a") as stream:
                stream.write(f"{name}\n")
            if "deaf" in (live / "main.cf").read_text():
                raise CommandError("systemctl ended with exit code 1")
            running.write_text((live / "main.cf").read_text())
        return acted

    def stop():
        running.unlink(missing_ok=True)

    def prove(parameters, ports, since):
        if running.read_text() != (live / "main.cf").read_text() or "broken" in running.read_text():
            raise ProofError("port 465 on 127.0.0.1 does not answer as an SMTP server")

    def problems(directory, missing_is_fine=False):
        with open(f"{directory}/main.cf", encoding="ascii") as stream:
            return ["smtpd_relay_restrictions is wrong"] if "wrong" in stream.read() else []

    def read(directory):
        with open(f"{directory}/main.cf", encoding="ascii") as stream:
            interfaces = "loopback-only" if "loopback" in stream.read() else "all"
        return {"queue_directory": "/q", "syslog_name": "postfix", "inet_interfaces": interfaces, "inet_protocols": "all"}, []

    unit = types.SimpleNamespace(
        installed=lambda: True, is_enabled=lambda: host.enabled, enable=lambda: setattr(host, "enabled", True),
        master_pid=lambda _queue: 7 if running.exists() else None, complaints=lambda _since, _name: [],
        reload=act("reload"), start=act("start"), stop=stop)
    monkeypatch.setattr(os, "fsync", lambda _handle: None)    # a killed process needs no disk, and hundreds of runs do not wait for it
    monkeypatch.setattr(_postfix_config, "LIVE", str(live))
    monkeypatch.setattr(_postfix_config, "LOCK", str(tmp_path / "lock"))
    monkeypatch.setattr(_postfix_config, "_postfix_unit", unit)
    monkeypatch.setattr(_postfix_config._postfix_proof, "prove", prove)
    monkeypatch.setattr(_postfix_config._postfix_proof, "serves_certificate", lambda _parameters, _ports: host.serves)
    monkeypatch.setattr(_postfix_config._postfix_checks, "problems", problems)
    monkeypatch.setattr(_postfix_config._open_relay, "read", read)
    return host


def generation(directory):
    return {name: (directory / name).read_text() for name in OLD}


def is_tidy(host):
    """Nothing of an unfinished run is left, and what is not ours is still there."""
    return not host.staged.exists() and not (host.live / ".unproved").exists() and (host.live / "sasl/smtpd.conf").exists()


def test_a_change_is_staged_exchanged_reloaded_and_kept(postfix):
    assert _postfix_config.apply(NEW, [25]) == (True, OLD)
    assert generation(postfix.live) == NEW
    assert generation(postfix.previous) == OLD
    assert postfix.running.read_text() == NEW["main.cf"]
    assert postfix.events() == ["reload"]
    assert is_tidy(postfix)


def test_nothing_happens_when_nothing_changes(postfix):
    inode = postfix.live.stat().st_ino
    assert _postfix_config.apply(OLD, [25]) == (False, OLD)
    assert postfix.events() == []
    assert postfix.live.stat().st_ino == inode
    assert not postfix.previous.exists()


def test_a_second_change_replaces_the_previous_generation(postfix):
    _postfix_config.apply(NEW, [25])
    _postfix_config.apply(OLD, [25])
    assert generation(postfix.live) == OLD
    assert generation(postfix.previous) == NEW


def test_a_wrong_configuration_never_becomes_live(postfix):
    inode = postfix.live.stat().st_ino
    with pytest.raises(ConfigurationRefused, match="smtpd_relay_restrictions is wrong"):
        _postfix_config.apply(WRONG, [25])
    assert generation(postfix.live) == OLD
    assert postfix.live.stat().st_ino == inode
    assert postfix.events() == []
    assert is_tidy(postfix)


def test_a_configuration_that_breaks_postfix_is_rolled_back(postfix):
    with pytest.raises(RolledBack, match=r"port 465 .* does not answer[^\n]*\nThe old configuration is back, and Postfix runs with it"):
        _postfix_config.apply(BROKEN, [465])
    assert generation(postfix.live) == OLD
    assert postfix.running.read_text() == OLD["main.cf"]
    assert postfix.events() == ["reload", "start"]
    assert is_tidy(postfix)


def test_a_failing_reload_is_rolled_back(postfix):
    with pytest.raises(RolledBack, match="systemctl ended"):
        _postfix_config.apply({"main.cf": "generation = deaf\n", "master.cf": "x\n"}, [])
    assert generation(postfix.live) == OLD
    assert is_tidy(postfix)


def test_postfix_that_did_not_run_is_stopped_again_after_a_rollback(postfix):
    postfix.running.unlink()
    with pytest.raises(RolledBack, match="does not run, as before"):
        _postfix_config.apply(BROKEN, [])
    assert generation(postfix.live) == OLD
    assert not postfix.running.exists()


def test_an_old_configuration_that_does_not_stand_either_is_said(postfix):
    postfix.set(BROKEN)
    with pytest.raises(RolledBack, match="does not run with it either"):
        _postfix_config.apply({"main.cf": "generation = still broken\n", "master.cf": "x\n"}, [])


def test_other_interfaces_need_a_restart(postfix):
    _postfix_config.apply({"main.cf": "generation = loopback\n", "master.cf": "smtp\n"}, [])
    assert postfix.events() == ["start"]


@pytest.mark.parametrize("lacks, event", {"running": "start", "serves": "reload", "enabled": None}.items())
def test_what_postfix_lacks_is_made_good(postfix, lacks, event):
    if lacks == "running":
        postfix.running.unlink()
    else:
        setattr(postfix, lacks, False)
    assert _postfix_config.preview(OLD, [25])[0] is True
    assert postfix.events() == []
    assert _postfix_config.apply(OLD, [25])[0] is True
    assert postfix.events() == ([event] if event else [])
    assert postfix.running.read_text() == OLD["main.cf"]
    assert postfix.enabled


def test_a_file_system_that_cannot_exchange_is_an_error_and_nothing_changes(postfix, monkeypatch):
    def exchange(_one, _other):
        raise _directories.ExchangeNotSupported(22, "the file system cannot do that")

    monkeypatch.setattr(_postfix_config, "exchange", exchange)
    with pytest.raises(OSError, match="cannot do that"):
        _postfix_config.apply(NEW, [])
    assert generation(postfix.live) == OLD
    assert postfix.events() == []
    assert is_tidy(postfix)


def test_two_runs_at_once_are_kept_apart(postfix):
    with _postfix_config.alone(), pytest.raises(ConfigurationRefused, match="another run"):
        _postfix_config.apply(NEW, [])
    assert generation(postfix.live) == OLD


def test_check_mode_looks_and_touches_nothing(postfix):
    before = sorted(postfix.tmp.rglob("*"))
    assert _postfix_config.preview(NEW, [25]) == (True, OLD)
    assert _postfix_config.preview(OLD, [25]) == (False, OLD)
    with pytest.raises(ConfigurationRefused):
        _postfix_config.preview(WRONG, [25])
    assert sorted(postfix.tmp.rglob("*")) == before
    assert postfix.events() == []


def test_check_mode_without_postfix_says_changed(postfix, monkeypatch):
    monkeypatch.setattr(_postfix_config._postfix_unit, "installed", lambda: False)
    monkeypatch.setattr(_postfix_config, "LIVE", str(postfix.tmp / "nothing"))
    assert _postfix_config.preview(NEW, [25]) == (True, {"main.cf": "", "master.cf": ""})


@pytest.mark.parametrize("check_mode, events", {False: ["reload"], True: []}.items())
def test_a_reload_checks_and_reloads(postfix, check_mode, events):
    assert _postfix_config.reload([], check_mode) is True
    assert postfix.events() == events


def test_a_reload_of_a_wrong_configuration_is_refused(postfix):
    postfix.set(WRONG)
    with pytest.raises(ConfigurationRefused):
        _postfix_config.reload([])
    assert postfix.events() == []


def test_a_reload_leaves_a_stopped_postfix_alone(postfix):
    postfix.running.unlink()
    assert _postfix_config.reload([]) is False
    assert postfix.events() == []


# --- killed anywhere ---

FILES = ("_postfix_config.py", "_directories.py")


def die_at(step, act):
    """Run `act` in a child that is killed before its line number `step` in our files. Returns whether it was killed."""
    child = os.fork()
    if child == 0:
        lines = [0]

        def trace(frame, event, _argument):
            if not frame.f_code.co_filename.endswith(FILES):
                return None
            if event == "line":
                lines[0] += 1
                if lines[0] == step:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        try:
            act()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("wanted, outcomes", [(NEW, [OLD, NEW]), (BROKEN, [OLD, BROKEN])], ids=["a good change", "a change that is rolled back"])
def test_a_run_killed_at_any_line_leaves_one_whole_generation_and_the_next_run_converges(postfix, monkeypatch, wanted, outcomes):
    monkeypatch.setattr(_postfix_config, "copy_tree", shutil.copytree)    # in this process, where a kill finds it
    step = 0
    seen = []
    while True:
        step += 1
        postfix.set(OLD)
        postfix.running.write_text(OLD["main.cf"])
        killed = die_at(step, lambda: _postfix_config.apply(wanted, [25]))
        left = generation(postfix.live)
        assert left in outcomes
        assert (postfix.live / "sasl/smtpd.conf").exists()
        if not killed:
            break
        seen.append(left)
        _postfix_config.apply(NEW, [25])
        assert generation(postfix.live) == NEW
        assert postfix.running.read_text() == NEW["main.cf"]
        assert is_tidy(postfix)
    assert all(outcome in seen for outcome in outcomes)
    assert step > 50


def killed_after_the_exchange(wanted):
    """Leave what a run leaves that died when the new generation was live and not yet proved."""
    _postfix_config.stage(wanted)
    _postfix_config.exchange(_postfix_config.LIVE, _postfix_config.staged_path())


def test_after_a_kill_the_proved_generation_is_what_a_rollback_returns_to(postfix):
    killed_after_the_exchange(BROKEN)
    with pytest.raises(RolledBack):
        _postfix_config.apply(BROKEN, [25])
    assert generation(postfix.live) == OLD
    assert postfix.running.read_text() == OLD["main.cf"]
    assert is_tidy(postfix)


def test_after_a_kill_postfix_is_reloaded_although_the_files_are_as_wanted(postfix):
    killed_after_the_exchange(BROKEN)
    postfix.running.write_text(BROKEN["main.cf"])
    assert _postfix_config.preview(OLD, [25])[0] is True
    assert _postfix_config.apply(OLD, [25])[0] is True
    assert postfix.events() == ["reload"]
    assert postfix.running.read_text() == OLD["main.cf"]
    assert is_tidy(postfix)


# --- two directories change places ---

def test_directories_change_places(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    _directories.exchange(str(tmp_path / "one"), str(tmp_path / "other"))
    assert (tmp_path / "one/file").read_text() == "other"
    assert (tmp_path / "other/file").read_text() == "one"


def test_directories_of_two_file_systems_cannot_change_places(tmp_path):
    with pytest.raises(_directories.ExchangeNotSupported, match="in one step"):
        _directories.exchange(str(tmp_path), "/proc/self")


def test_a_missing_directory_is_another_error(tmp_path):
    with pytest.raises(OSError, match="No such file") as caught:
        _directories.exchange(str(tmp_path), str(tmp_path / "missing"))
    assert not isinstance(caught.value, _directories.ExchangeNotSupported)


def test_a_copy_keeps_owner_mode_and_links(tmp_path):
    source = tmp_path / "source"
    source.mkdir(mode=0o751)
    (source / "secret").write_text("x")
    (source / "secret").chmod(0o640)
    (source / "link").symlink_to("/usr/share/postfix/makedefs.out")
    _directories.copy_tree(str(source), str(tmp_path / "copy"))
    copy = tmp_path / "copy"
    assert (copy.stat().st_mode & 0o777, (copy / "secret").stat().st_mode & 0o777) == (0o751, 0o640)
    assert os.readlink(copy / "link") == "/usr/share/postfix/makedefs.out"
    _directories.sync_tree(str(copy))
