# SPDX-License-Identifier: GPL-3.0-or-later
"""One device cannot use up the mailbox, a client's own route means nothing, and without the service mail is safe too."""

from __future__ import annotations

import smtplib

import pytest
from conftest import MAILBOX, PASSWORDS, RECIPIENT, connect, message, wait_for
from sending import empty_queue, refusals_of_microsoft

SERVICE = "m365-relay-policy.service"
SETTINGS = {
    "sender_policy_when_down": "global_rewrite",
    "sender_policy_logins": [
        {"logins": ["scanner"], "recipients_per_day": 5}, {"logins": ["printer"], "messages_per_hour": 2},
    ],
}


@pytest.fixture(scope="module", autouse=True)
def deployed(deploy):
    """Deploy with quotas; afterwards as before."""
    deploy(SETTINGS)
    yield
    deploy()


@pytest.fixture
def fresh(host):
    """Nothing was counted yet."""
    host.check_output("systemctl stop %s", SERVICE)
    host.check_output("rm -f /var/lib/m365-relay-policy/usage")
    host.check_output("systemctl start %s", SERVICE)


def send(bed, login, recipients=(RECIPIENT,), sender=MAILBOX, **header):
    """Hand in a message; return its Message-ID, or the code and the words of the refusal."""
    mail = message(sender=sender)
    for name, value in header.items():
        mail[name.replace("_", "-")] = value
    with connect(bed["hosts"]["relay"]["addresses"][0], 587) as session:
        session.login(login, PASSWORDS[login])
        try:
            session.sendmail(sender, list(recipients), mail.as_bytes())
        except smtplib.SMTPDataError as error:
            return error.smtp_code, error.smtp_error.decode()
    return mail["Message-ID"]


@pytest.mark.usefixtures("fresh")
def test_recipients_of_a_day_count_over_a_restart_and_for_this_login_alone(bed, host, lab):
    assert isinstance(send(bed, "scanner", ["a@partner.test", "b@partner.test", "c@partner.test"]), str)
    code, text = send(bed, "scanner", ["a@partner.test", "b@partner.test", "c@partner.test"])
    assert (code, text) == (452, "4.7.1 sender_policy_logins, rule 1 allows 5 recipients a day, and they are used up. Try again later.")
    assert isinstance(send(bed, "scanner", ["a@partner.test", "b@partner.test"]), str)
    host.check_output("systemctl restart %s", SERVICE)
    assert send(bed, "scanner")[0] == 452
    host.check_output("systemctl kill --signal=KILL %s", SERVICE)
    wait_for("the service", lambda: host.run("systemctl is-active %s", SERVICE).rc == 0)
    assert send(bed, "scanner")[0] == 452
    assert isinstance(send(bed, "printer"), str)
    empty_queue(host)
    assert len(lab("GET", "/inbox")) == 3


@pytest.mark.usefixtures("fresh")
def test_messages_of_an_hour(bed, lab):
    sent = [send(bed, "printer") for _turn in range(4)]
    assert [isinstance(each, str) for each in sent] == [True, True, False, False]
    assert sent[3] == (452, "4.7.1 sender_policy_logins, rule 2 allows 2 messages an hour, and they are used up. Try again later.")
    assert all(lab.delivered(message_id) for message_id in sent[:2])


@pytest.mark.usefixtures("fresh")
def test_more_recipients_than_a_day_has_are_refused_for_good(bed):
    code, text = send(bed, "scanner", [f"a{number}@partner.test" for number in range(6)])
    assert code == 550
    assert "this message alone has 6" in text


@pytest.mark.usefixtures("fresh")
def test_a_clients_own_route_means_nothing_and_no_route_leaves_the_relay(bed, lab):
    message_id = send(bed, "printer", X_M365_Relay_Route="discard:nowhere")
    [arrived] = lab.delivered(message_id)
    assert "x-m365-relay-route" not in arrived["data"].lower()


def test_while_the_service_is_stopped_everything_leaves_as_the_mailbox_without_names(bed, host, lab):
    host.check_output("systemctl stop %s", SERVICE)
    try:
        sent = [send(bed, "printer", sender=sender, **header) for sender, header in (
            ("ceo@corp.test", {}), ("billing@corp.test", {"Sender": "ceo@corp.test"}), (MAILBOX, {"X_M365_Relay_Route": "discard:nowhere"}))]
        found = [lab.delivered(message_id) for message_id in sent]
    finally:
        host.check_output("systemctl start %s", SERVICE)
    assert [(mail["envelope_from"], mail["header_from"]) for [mail] in found] == [(MAILBOX, MAILBOX)] * 3
    assert not any("ceo@corp.test" in mail["data"] for [mail] in found)
    assert not refusals_of_microsoft(lab)
    assert len(lab.delivered(send(bed, "printer", sender="x@corp.test"))) == 1
