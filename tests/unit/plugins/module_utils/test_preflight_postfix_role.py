# SPDX-License-Identifier: GPL-3.0-or-later
"""What role postfix sets itself and what the preflight refuses in postfix_extra_parameters and postfix_extra_services belong together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.simple_m365.relay.plugins.module_utils import _preflight_postfix_extra as extra
from ansible_collections.simple_m365.relay.plugins.module_utils._preflight import passes

ROLE = Path(__file__).parents[4] / "roles" / "postfix"
PARAMETERS = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))["__postfix_parameters"]
SERVICES = re.findall(r"^([a-z]+) +(inet|unix|unix-dgram) ", (ROLE / "templates/etc/postfix/master.cf.j2").read_text(encoding="utf-8"), re.MULTILINE)

# The parameters of the role that anybody may replace by any value: no promise depends on them.
FREE = {
    "local_recipient_maps", "alias_maps", "alias_database", "biff", "inet_interfaces", "append_dot_mydomain", "error_notice_recipient", "smtpd_banner",
    "virtual_alias_maps", "2bounce_notice_recipient", "bounce_notice_recipient", "delay_notice_recipient",
    "smtp_tls_connection_reuse", "smtp_connection_cache_destinations", "smtp_connection_cache_time_limit", "connection_cache_ttl_limit",
    "minimal_backoff_time", "maximal_backoff_time", "queue_run_delay", "fast_flush_domains", "smtpd_discard_ehlo_keywords", "smtputf8_enable",
    "mailbox_size_limit", "smtpd_tls_received_header", "tls_ssl_options", "smtpd_client_event_limit_exceptions",
}


def judged(name, value):
    """Whether the preflight accepts a parameter."""
    return passes(lambda pair: extra.check_parameter(*pair), (name, value))


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_of_the_role_is_decided_upon(name):
    assert judged(name, "something else") == (name in FREE)


def test_only_parameters_of_the_role_are_free():
    assert set(PARAMETERS) >= FREE


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, value in PARAMETERS.items() if "{{" not in value and any(re.fullmatch(pattern, name) for pattern in extra.VALUES)],
)
def test_the_values_of_the_role_are_accepted(name, value):
    assert judged(name, value)


@pytest.mark.parametrize("name", [name for name, value in PARAMETERS.items() if "{{ postfix_" in value and name not in FREE])
def test_a_parameter_with_a_variable_of_its_own_is_refused_with_the_name_of_a_variable(name):
    variables = [variable for pattern, variable in extra.VARIABLES.items() if re.fullmatch(pattern, name)]
    assert variables
    assert variables[0] in PARAMETERS[name]


def test_the_services_of_the_role_are_refused():
    assert {name for name, kind in SERVICES if kind != "inet"} == extra.ROLE_SERVICES
    assert {name for name, kind in SERVICES if kind == "inet"} <= set(extra.SERVICE_PORTS)
    assert len(SERVICES) > 20
