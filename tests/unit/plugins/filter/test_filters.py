# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters as Ansible finds and calls them."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.simple_m365.relay.plugins.module_utils import _networks

ROOT = Path(__file__).parents[4]
NAMES = [
    "pacer_settings", "postfix_networks", "postfix_problems", "postfix_refusals", "sasldb_problems", "sender_policy_explain", "sender_policy_problems",
    "xoauth2_problems",
]

# Values as inventories have them: made from others, encrypted, not there.
INVENTORY = """
all:
  hosts:
    localhost:
      ansible_connection: local
  vars:
    postfix_hostname: "{{ 'relay.' ~ postfix_domain }}"
    postfix_domain: corp.test
    postfix_connections: "{{ 1 + 1 }}"
    postfix_trusted_networks: ["{{ '10.0.0' ~ '.0/8' }}", 192.168.0.0/24]
    sasldb_realm: "{{ postfix_domain }}"
    sasldb_users:
      - name: "{{ 'scan' ~ 'ner' }}"
        password: !vault |
"""
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        dest: "{{ result }}"
        mode: "0600"
        content: >-
          {{ {'postfix': all_of.0 | simple_m365.relay.postfix_problems, 'sasldb': all_of.1 | simple_m365.relay.sasldb_problems,
              'xoauth2': {} | simple_m365.relay.xoauth2_problems, 'networks': postfix_trusted_networks | simple_m365.relay.postfix_networks} | to_json }}
      no_log: true
      vars:
        postfix_names: "{{ query('ansible.builtin.varnames', '^postfix_[dht]') }}"
        sasldb_names: "{{ query('ansible.builtin.varnames', '^sasldb_(realm|users)') }}"
        all_of:
          - "{{ dict(postfix_names | zip(query('ansible.builtin.vars', *postfix_names))) }}"
          - "{{ dict(sasldb_names | zip(query('ansible.builtin.vars', *sasldb_names))) }}"
"""


def filter_named(name):
    """The function behind a filter's name, from the file of that name."""
    module = importlib.import_module(f"ansible_collections.simple_m365.relay.plugins.filter.{name}")
    return module.FilterModule().filters()[name]


def encrypted(text, folder):
    """A text as ansible-vault writes it into YAML, and the file with its key."""
    key = folder / "key"
    key.write_text("a key\n", encoding="utf-8")
    tool = Path(sys.executable).with_name("ansible-vault")
    done = subprocess.run([tool, "encrypt", "--vault-password-file", key, "--output", "-"], input=text, capture_output=True, text=True, check=True)
    return key, done.stdout


def test_every_file_is_one_filter_of_its_name():
    assert sorted(path.stem for path in (ROOT / "plugins" / "filter").glob("*.py")) == NAMES
    for name in NAMES:
        filter_named(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("_problems")])
def test_something_else_than_a_dictionary_is_an_error(name):
    with pytest.raises(AnsibleFilterError, match="wants a dictionary of variables"):
        filter_named(name)(["relay.corp.test"])


def test_a_network_that_is_a_problem_does_not_get_into_a_configuration():
    with pytest.raises(AnsibleFilterError, match=r"0\.0\.0\.0/1.*0\.0\.0\.0/2"):
        filter_named("postfix_networks")(["0.0.0.0/1", "0.0.0.0/2"])


@pytest.mark.parametrize(("name", "value"), [("postfix_networks", []), ("postfix_problems", {"postfix_trusted_networks": []})])
def test_a_missing_netaddr_is_an_error_that_says_what_to_install(monkeypatch, name, value):
    monkeypatch.setattr(_networks, "netaddr", None)
    with pytest.raises(AnsibleFilterError, match="netaddr is missing on the controller"):
        filter_named(name)(value)


def test_values_as_ansible_has_them_are_what_they_say(tmp_path):
    key, secret = encrypted("hunter2", tmp_path)
    (tmp_path / "inventory.yml").write_text(INVENTORY + "\n".join(f"          {line}" for line in secret.splitlines()) + "\n", encoding="utf-8")
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    tool = Path(sys.executable).with_name("ansible-playbook")
    argv = [tool, "-i", tmp_path / "inventory.yml", "--vault-password-file", key, "-e", f"result={tmp_path}/result", tmp_path / "play.yml"]
    argv += ["-e", f"ansible_python_interpreter={sys.executable}"]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(Path(_networks.__file__).parents[5]), "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp")}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "result").read_text(encoding="utf-8"))
    asked = [problem.split(":")[0] for problem in found.pop("xoauth2")]
    assert found == {"postfix": [], "sasldb": [], "networks": ["127.0.0.0/8", "[::1]/128", "10.0.0.0/8", "192.168.0.0/24"]}
    assert asked == ["xoauth2_mailbox", "xoauth2_tenant_id", "xoauth2_client_id"]


@pytest.mark.parametrize("name", NAMES)
def test_every_filter_is_documented(name):
    module = importlib.import_module(f"ansible_collections.simple_m365.relay.plugins.filter.{name}")
    assert yaml.safe_load(module.DOCUMENTATION)["name"] == name
    assert yaml.safe_load(module.EXAMPLES)
    assert "_value" in yaml.safe_load(module.RETURN)
