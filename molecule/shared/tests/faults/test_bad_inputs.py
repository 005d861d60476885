# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input stops a real run before anything is touched; the error names the variable and says what to write.

The rows are those of the unit tests. Each becomes a host of one play, and all of these hosts are the one relay.
"""

from __future__ import annotations

import json
import re

import pytest
import yaml
from conftest import TREE, fingerprint

ROWS = [row for row in yaml.safe_load((TREE / "tests" / "bad_inputs.yml").read_text(encoding="utf-8")) if "\0" not in json.dumps(row)][::5]


@pytest.fixture(scope="module")
def run(bed, play, relay_for_module, tmp_path_factory):
    """Run site.yml once for all rows; give what it said for each, and the host's fingerprint before and after."""
    hosts = {f"row{number:03}": {"ansible_host": bed["hosts"]["relay"]["addresses"][0], **row["variables"]} for number, row in enumerate(ROWS)}
    inventory = tmp_path_factory.mktemp("bad") / "inventory.json"
    inventory.write_text(json.dumps({"m365_relays": {"children": {"bad": {"hosts": hosts}}}}), encoding="utf-8")
    before = fingerprint(relay_for_module)
    done = play("site", f"--inventory={inventory}", variables={"relay_hosts": "bad"})
    return done.stdout, before, fingerprint(relay_for_module)


def test_there_are_at_least_sixty_rows():
    assert len(ROWS) >= 60


@pytest.mark.parametrize("number", range(len(ROWS)), ids=[row["name"] for row in ROWS])
def test_bad_input_stops_the_run_and_says_what_to_write(run, number):
    end = r"(?=^(?:fatal|ok|changed|skipping|included): |\n\n|^\[ERROR\])"
    said = re.search(rf"^fatal: \[row{number:03}\]: FAILED! => (.*?){end}", run[0], re.MULTILINE | re.DOTALL)
    assert said, f"nothing stopped it: {ROWS[number]}"
    text = said[1].replace("\\\"", "\"").replace("\\n", "\n")
    assert next(iter(ROWS[number]["variables"])) in text
    assert [word for word in ROWS[number]["expect"] if word not in text] == [], text


def test_nothing_was_touched_and_no_secret_was_shown(run):
    output, before, after = run
    assert before == after
    assert "hunter2" not in output


@pytest.mark.parametrize(("variables", "words"), [
    ({"postfix_tls_certificate": "/etc/ssl/missing.pem", "postfix_tls_key": "/etc/ssl/missing.key"}, ["postfix_tls_certificate", "/etc/ssl/missing.pem"]),
    ({"postfix_tls_certificate": "/etc/ssl/certs/ca-certificates.crt", "postfix_tls_key": "/etc/ssl/private/ssl-cert-snakeoil.key"},
     ["postfix_tls_certificate", "postfix_tls_key"]),
])
def test_a_certificate_that_cannot_be_used_stops_the_run(host, play, variables, words):
    before = fingerprint(host)
    done = play("site", variables=variables)
    assert done.returncode == 2, done.stdout
    assert [word for word in words if word not in done.stdout] == []
    assert fingerprint(host) == before
