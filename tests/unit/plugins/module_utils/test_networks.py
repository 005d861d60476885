# SPDX-License-Identifier: GPL-3.0-or-later
"""Trusted networks: what is accepted, and how Postfix gets it. What is refused stands in tests/bad_inputs.yml."""

from __future__ import annotations

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _networks
from ansible_collections.simple_m365.relay.plugins.module_utils._preflight import Wrong

LOOPBACK = ["127.0.0.0/8", "[::1]/128"]

ACCEPTED = {
    "no network": [],
    "the three private IPv4 networks": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
    "addresses of carriers' own networks": ["100.64.0.0/10"],
    "link-local networks": ["169.254.0.0/16", "fe80::/10"],
    "all unique local IPv6 addresses": ["fc00::/7"],
    "loopback": ["127.0.0.1", "::1", "127.0.0.0/8", "::1/128"],
    "one host": ["192.0.2.5", "192.0.2.5/32", "2001:db8::5", "2001:db8::5/128"],
    "a public network as broad as accepted": ["20.1.0.0/16", "2a00:1::/32"],
    "sixteen public networks as broad as accepted": [f"20.{number}.0.0/16" for number in range(16)],
    "two public networks that are neighbours": ["20.0.0.0/16", "20.1.0.0/16"],
    "IPv6 that begins like a word": ["dead:beef::/48", "FD00::/8"],
    "documentation networks": ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"],
    "the same network twice": ["10.0.0.0/8", "10.0.0.0/8"],
}

MERGED = {
    "nothing but loopback": ([], []),
    "two halves": (["10.0.0.0/9", "10.128.0.0/9"], ["10.0.0.0/8"]),
    "one in the other": (["10.1.0.0/16", "10.0.0.0/8", "10.1.2.3"], ["10.0.0.0/8"]),
    "the same twice": (["192.0.2.0/24", "192.0.2.0/24"], ["192.0.2.0/24"]),
    "one host": (["192.0.2.5"], ["192.0.2.5/32"]),
    "loopback, which is there anyway": (["127.0.0.1", "::1"], []),
    "IPv4 before IPv6, with brackets": (["2001:db8:1::/48", "192.0.2.0/24"], ["192.0.2.0/24", "[2001:db8:1::]/48"]),
    "IPv6 in its short form": (["2001:0DB8:0000::/48"], ["[2001:db8::]/48"]),
    "IPv6 halves": (["fd00::/9", "fd80::/9"], ["[fd00::]/8"]),
}

COVERS_TOO_MUCH = {
    "halves": ["0.0.0.0/1", "128.0.0.0/1"],
    "quarters": ["0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/2"],
    "much IPv4 in pieces that are acceptable one by one": [f"{first}.{second}.0.0/16" for first in range(1, 9) for second in range(256)],
    "IPv6 in halves": ["::/1", "8000::/1"],
    "much IPv6 in pieces that are acceptable one by one": [f"2a00:{number:x}::/32" for number in range(17)],
    "everything among good ones": ["192.0.2.0/24", "::/0", "10.0.0.0/8"],
}


@pytest.mark.parametrize("networks", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(networks):
    _networks.check_networks(networks)


@pytest.mark.parametrize(("networks", "merged"), MERGED.values(), ids=MERGED)
def test_merged_as_postfix_wants_them_with_loopback_first(networks, merged):
    assert _networks.for_postfix(networks) == LOOPBACK + merged


@pytest.mark.parametrize("networks", COVERS_TOO_MUCH.values(), ids=COVERS_TOO_MUCH)
def test_the_internet_is_refused_in_any_pieces(networks):
    with pytest.raises(Wrong, match="everybody there could send mail without a password"):
        _networks.for_postfix(networks)


def test_every_wrong_network_is_told():
    with pytest.raises(Wrong) as raised:
        _networks.check_networks(["10.0.0.0/33", "10.0.0.0/8", "::/0"])
    assert ["10.0.0.0/33" in raised.value.args[0], "::/0" in raised.value.args[1]] == [True, True]


def test_a_missing_netaddr_ends_in_what_to_install(monkeypatch):
    monkeypatch.setattr(_networks, "netaddr", None)
    with pytest.raises(_networks.NetaddrMissing, match=r"pip install netaddr.*apt install python3-netaddr"):
        _networks.for_postfix([])
