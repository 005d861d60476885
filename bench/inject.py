# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends messages as several senders at once; runs on the client of the test network, with nothing but Python.

Standard input: {name: {host, from, password ("" = port 25 without login), senders: {sender: number of messages}}}. The senders of a plan
start in their order, a connection each. Output: {name: {started, ended, sent, refused: [...]}}; the Message-ID names sender and number.
"""

import json
import smtplib
import ssl
import sys
import threading
import time

BODY = "\r\n".join(["The quick brown fox jumps over the lazy dog."] * 20)


def message(plan, sender, number):
    return (f"From: {plan['from']}\r\nTo: alice@partner.test\r\nSubject: {sender} {number}\r\nDate: Mon, 2 Nov 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{sender}.{number}@bench.test>\r\n\r\n{BODY}\r\n")


def connect(plan, sender):
    if not plan["password"]:
        return smtplib.SMTP(plan["host"], 25, timeout=120)
    connection = smtplib.SMTP(plan["host"], 587, timeout=120)
    connection.starttls(context=ssl._create_unverified_context())
    connection.login(sender, plan["password"])
    return connection


def one_sender(plan, sender, count, answer):
    try:
        connection = connect(plan, sender)
        for number in range(count):
            try:
                connection.sendmail(plan["from"], ["alice@partner.test"], message(plan, sender, number))
                answer["sent"].append(time.time())
            except smtplib.SMTPResponseException as error:
                answer["refused"].append(str(error))
            except smtplib.SMTPRecipientsRefused as error:
                answer["refused"].append(str(error))
        connection.quit()
    except OSError as error:
        answer["refused"].append(repr(error))


def main():
    plans, answers, threads = json.load(sys.stdin), {}, []
    for name, plan in plans.items():
        answers[name] = {"sent": [], "refused": []}
        threads += [threading.Thread(target=one_sender, args=(plan, sender, count, answers[name])) for sender, count in plan["senders"].items()]
    started = time.time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({name: {"started": started, "ended": max(answer["sent"], default=started), "sent": len(answer["sent"]),
                             "refused": answer["refused"][:10]} for name, answer in answers.items()}))


main()
