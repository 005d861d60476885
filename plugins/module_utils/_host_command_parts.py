# SPDX-License-Identifier: GPL-3.0-or-later
"""Of which files the sub-commands of m365-relay are made, beside the renewal of tokens (private to the collection)."""

from __future__ import annotations

from . import (
    _certificate,
    _cli_common,
    _cli_doctor,
    _cli_explain,
    _cli_log,
    _cli_queue,
    _cli_status,
    _commands,
    _doctor,
    _doctor_host,
    _doctor_network,
    _doctor_token,
    _mail_log,
    _open_relay,
    _plugin,
    _postfix_checks,
    _postfix_proof,
    _postfix_unit,
    _queue,
    _sender_service,
    _status,
    _status_text,
    _transports,
)

MODULES = (
    _certificate, _cli_common, _cli_doctor, _cli_explain, _cli_log, _cli_queue, _cli_status, _commands, _doctor, _doctor_host, _doctor_network, _doctor_token,
    _mail_log, _open_relay, _plugin, _postfix_checks, _postfix_proof, _postfix_unit, _queue, _status, _status_text, _transports, *_sender_service.MODULES,
)
