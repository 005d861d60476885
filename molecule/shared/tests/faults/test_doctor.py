# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever goes wrong at Microsoft's or on the way, the relay's own command names it on a real host: a table, cause by cause."""

from __future__ import annotations

import json
import pathlib
import runpy

import pytest
from conftest import MAILBOX, PASSWORDS, TREE, submit, wait_for
from m365 import faults

TABLE = runpy.run_path(str(TREE / "tests/unit/plugins/module_utils/lab_faults.py"))
PRODUCE = (pathlib.Path(__file__).parent / "produce_faults.py").read_text(encoding="utf-8")
IN_A_MESSAGE = {"mail", "rcpt", "data", "end_of_data"}
# The doctor sees more of a certificate than Postfix tells in its log.
MORE_EXACT = {"expired_smtp": "smtp_certificate_expired"}
# It shows at a sign-in only, see test_sign_in.py: at a renewal the old refresh token stays good.
AT_A_SIGN_IN = {"http_no_refresh_token"}
EXPECTED = {**TABLE["MAIL"], **TABLE["SIGN_IN"], **MORE_EXACT}
STAGES = {"smtp_auth_unsuccessful": "login", "no_xoauth2": "login", "no_starttls": "service", "hang_smtp": "service", "down_smtp": "tcp", "down_signin": "tcp",
          "dns_gone": "dns", "dns_servfail": "dns", "untrusted_smtp": "tls", "wrong_name_signin": "tls", "aadsts_50173": "renewal", "http_500": "service"}


def phases(fault):
    """Return when a fault strikes."""
    return set(faults.phases(faults.CATALOGUE[fault]))


MESSAGES = [fault for fault in TABLE["MAIL"] if phases(fault) & IN_A_MESSAGE]
DOCTOR = [fault for fault in TABLE["MAIL"] if fault not in MESSAGES]
RENEW = [fault for fault in TABLE["SIGN_IN"] if fault not in AT_A_SIGN_IN]


@pytest.fixture(scope="module", autouse=True)
def signed_in(deploy):
    """Begin with a relay that is as the inventory says, and leave one."""
    deploy()
    yield
    deploy()


@pytest.fixture(scope="module")
def produced(bed, microsoft, relay_for_module, signed_in):
    """Produce all faults on the relay, in one go."""
    microsoft("POST", "/reset")
    microsoft("POST", "/settings", {"rate_limit": 0, "send_as_denied_limit": 0})
    relay_for_module.check_output("m365-relay queue delete --all --yes || true")
    asked = {"control": bed["control"], "doctor": DOCTOR, "messages": MESSAGES, "renew": RENEW}
    found = json.loads(relay_for_module.check_output("python3 -c %s %s", PRODUCE, json.dumps(asked)))
    relay_for_module.check_output("m365-relay queue delete --all --yes || true")
    microsoft("POST", "/reset")
    return found


def cause(told):
    """Return the name in what was told: name (stage)."""
    return told and told.partition(" ")[0]


def test_nothing_is_wrong_before_and_after(produced):
    assert (produced["before"], produced["afterwards"]) == (None, None)


def test_no_fault_is_misnamed(produced):
    assert {fault: told for fault, told in produced["named"].items() if cause(told) != EXPECTED[fault]} == {}


def test_most_of_the_catalogue_was_produced(produced):
    assert set(produced["named"]) == set(EXPECTED) - AT_A_SIGN_IN
    assert len({cause(told) for told in produced["named"].values()}) >= 80


@pytest.mark.parametrize(("fault", "stage"), STAGES.items(), ids=STAGES)
def test_the_stage_is_the_one_that_fails(produced, fault, stage):
    assert produced["named"][fault].endswith(f"({stage})")


def test_status_names_the_causes_for_which_mail_waits(produced):
    waiting = {cause["name"] for cause in produced["status"]["queue"]["causes"]}
    deferred = {"server_busy", "server_trouble", "too_many_connections", "recipient_busy", "too_many_recipients", "connection_lost_after_data"}
    assert waiting == deferred, produced["status"]["queue"]


def doctor(host, *options):
    """Run the doctor; return (exit code, report)."""
    done = host.run(" ".join(["m365-relay", "doctor", "--json", *options]))
    return done.rc, json.loads(done.stdout)


def test_a_healthy_relay_is_proven_to_its_last_stage_without_mail(lab, host):
    code, report = doctor(host)
    assert code == 0, report["first_failure"]
    assert [finding["stage"] for finding in report["findings"]][-2:] == ["login", "queue"]
    assert [event["what"] for event in lab("GET", "/requests") if event["what"] in ("smtp auth", "smtp message")] == ["smtp auth"]
    assert not [event for event in lab("GET", "/requests") if event.get("grant")]


ON_THE_HOST = {
    "plugin": ("mv /etc/sasl-xoauth2.conf /etc/sasl-xoauth2.conf.aside", "mv /etc/sasl-xoauth2.conf.aside /etc/sasl-xoauth2.conf", 10, "plugin_missing"),
    "main.cf": ("echo 'inet_interfaces all' >> /etc/postfix/main.cf", "sed -i '$d' /etc/postfix/main.cf", 11, "configuration_wrong"),
    "settings": ("mv /etc/m365-relay/relay.json /etc/m365-relay/aside", "mv /etc/m365-relay/aside /etc/m365-relay/relay.json", 11, "settings_missing"),
    "owner": ("chown root: /var/lib/m365-relay/tokens", "chown postfix: /var/lib/m365-relay/tokens", 12, "token_file_unusable"),
    "token": ("mv /var/lib/m365-relay/tokens/{0} /root/aside", "mv /root/aside /var/lib/m365-relay/tokens/{0}", 18, "token_missing"),
    "damaged": ("cp -a /var/lib/m365-relay/tokens/{0} /root/aside; echo '{{' > /var/lib/m365-relay/tokens/{0}",
                "mv /root/aside /var/lib/m365-relay/tokens/{0}", 18, "token_damaged"),
    "timer": ("systemctl stop m365-relay-token.timer", "systemctl start m365-relay-token.timer", 19, "renewal_timer_off"),
    "Postfix": ("systemctl stop postfix", "systemctl start postfix", 11, "postfix_stopped"),
}


@pytest.mark.parametrize("what", ON_THE_HOST)
def test_what_is_broken_on_the_host_is_named_and_nothing_is_changed(lab, host, what):
    breaking, mending, code, name = ON_THE_HOST[what]
    if what in ("token", "damaged"):
        host.check_output("systemctl stop m365-relay-token.timer")
    host.check_output(breaking.format(MAILBOX))
    try:
        found = doctor(host)
    finally:
        host.check_output(mending.format(MAILBOX))
        host.check_output("systemctl start m365-relay-token.timer")
    assert (found[0], found[1]["first_failure"]["name"]) == (code, name), found[1]["first_failure"]
    assert found[1]["first_failure"]["remedy"]


def test_a_host_that_cannot_be_asked_has_its_line_in_the_table(play):
    done = play("status", variables={"relay_hosts": "m365_relays:clients"})
    assert done.returncode == 0, done.stdout
    assert "! client: It cannot be found out how the relay is: postconf is not installed" in done.stdout
    assert "all answer" in done.stdout


def test_playbooks_show_the_same(lab, host, play):
    done = play("status")
    assert done.returncode == 0 and "all answer" in done.stdout and MAILBOX in done.stdout, done.stdout
    lab("POST", "/faults", {"name": "smtp_auth_disabled_mailbox"})
    done = play("doctor")
    assert done.returncode == 2 and "smtp_auth_off_mailbox" in done.stdout and "Set-CASMailbox" in done.stdout, done.stdout
    lab("DELETE", "/faults")
    assert play("doctor").returncode == 0


def test_log_shows_who_sent_and_never_a_secret(bed, lab, host):
    lab.delivered(submit(bed["hosts"]["relay"]["addresses"][0]))
    line = wait_for("a line of the log", lambda: next((line for line in host.check_output("m365-relay log --since=-1min").splitlines()
                                                      if " delivered " in line and "scanner@corp.test" in line), None))
    assert "alice@partner.test" in line
    hidden = host.check_output("m365-relay log --since=-1min --redact-addresses")
    assert "alice" not in hidden and "scanner@" not in hidden and "...@partner.test" in hidden
    everything = host.check_output("m365-relay log --since=-1h --json") + host.check_output("m365-relay status --json")
    assert not [password for password in PASSWORDS.values() if password in everything]


def test_queue_is_held_released_flushed_and_deleted_by_cause(bed, lab, host):
    lab("POST", "/faults", {"name": "smtp_server_busy"})
    submit(bed["hosts"]["relay"]["addresses"][0])
    wait_for("a deferred message", lambda: host.run("m365-relay queue list --cause server_busy").rc == 0)
    assert host.run("m365-relay queue list --cause mailbox_full").rc == 1
    refused = host.run("m365-relay queue delete --cause server_busy </dev/null")
    assert refused.rc == 1 and "--yes" in refused.stderr
    assert host.run("m365-relay queue delete").rc == 2
    assert "1 messages on hold" in host.check_output("m365-relay queue hold --sender %s", MAILBOX)
    assert json.loads(host.check_output("m365-relay queue list --json"))[0]["queue"] == "hold"
    assert "1 messages released" in host.check_output("m365-relay queue release --all")
    lab("DELETE", "/faults")
    host.check_output("m365-relay queue flush")
    wait_for("an empty queue", lambda: host.run("m365-relay queue list").rc == 1)
    assert len(lab("GET", "/inbox")) == 1
