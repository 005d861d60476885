# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft's names have IPv4 and IPv6 addresses: every port has to answer on both."""
from __future__ import annotations

import http.client
import smtplib

import pytest
from m365 import smtp, web


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_http_on_both_families(lab, host):
    service = web.Service("::", 0, lab.lab.control.handler)
    service.open()
    try:
        connection = http.client.HTTPConnection(host, service.port, timeout=5)
        connection.request("GET", "/ca.pem")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        service.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_smtp_on_both_families_and_after_it_was_down(lab, host):
    service = smtp.Service("::", 0, lab.lab)
    for _turn in range(2):
        service.open()
        with smtplib.SMTP(host, service.port, timeout=5) as client:
            assert client.noop()[0] == 250
        service.close()
