# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts for a tenant: whatever stands in the inventory stays text in them, and they are whole.

There is no PowerShell where these tests run. They read what is written with PowerShell's rules for text, comments and brackets.
"""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _tenant_setup
from ansible_collections.simple_m365.relay.plugins.module_utils._preflight import Wrong

TEMPLATES = Path(__file__).parents[4] / "roles" / "xoauth2" / "templates"
TENANT = "11111111-2222-4333-8444-555555555555"
OTHER = "66666666-7777-4888-8999-000000000000"
CLIENT = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
QUOTES = "'\u2018\u2019\u201a\u201b"
NASTY = [
    "o'brien@corp.test", "'';Remove-Mailbox-scans@corp.test", "$(calc)@corp.test", "a`b", "{x}", "# no comment",
    '"', "\u2019; calc; \u2018", "'@\u201b'", "#>", "",
]


def identity(**fields):
    """One identity, changed by `fields`."""
    return {"mailbox": "scans@corp.test", "tenant_id": TENANT, "client_id": CLIENT, "sign_in_as": "scans@corp.test", **fields}


def text_at(script, start):
    """Return the text that begins with the quote at `start`, and where it ends, as PowerShell reads it."""
    kinds = QUOTES if script[start] in QUOTES else '"\u201c\u201d\u201e'
    read, place = "", start + 1
    while True:
        if script[place] in kinds:
            if script[place + 1:place + 2] not in kinds or not script[place + 1:place + 2]:
                return read, place + 1
            place += 1
        read += script[place]
        place += 1


def tokens(script):
    """Return the texts of a script, in order, and its brackets without anything between them."""
    texts, brackets, place = [], "", 0
    while place < len(script):
        sign = script[place]
        if sign == "#" and (place == 0 or script[place - 1] in " \n"):
            place = script.index("\n", place)
        elif sign in QUOTES or sign == '"':
            read, place = text_at(script, place)
            texts.append(read)
        else:
            brackets += sign if sign in "(){}[]" else ""
            place += 1
    return texts, brackets


def balanced(brackets):
    """Tell whether every bracket has its other half."""
    before = None
    while before != brackets:
        before = brackets
        for pair in ("()", "{}", "[]"):
            brackets = brackets.replace(pair, "")
    return not brackets


def rendered(name, tenant):
    """Return a script as the playbook writes it."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.filters["simple_m365.relay.powershell"] = _tenant_setup.literal
    template = environment.from_string((TEMPLATES / f"{name}.ps1.j2").read_text(encoding="utf-8"))
    return template.render(item=[tenant, name], ansible_managed="Ansible managed")


@pytest.mark.parametrize("value", NASTY)
def test_text_is_read_back_as_it_was_and_nothing_of_it_is_code(value):
    written = _tenant_setup.literal(value)
    assert text_at(written, 0) == (value, len(written))


@pytest.mark.parametrize(("value", "written"), [
    (True, "$true"), (False, "$false"), (5, "5"), ([], "@(\n)"), ({}, "@{\n}"), (["a", 1], "@(\n    'a'\n    1\n)"),
    ({"A": {"B": "c"}}, "@{\n    A = @{\n        B = 'c'\n    }\n}"),
])
def test_other_values(value, written):
    assert _tenant_setup.literal(value) == written


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "a\u2028b", {"a b": "c"}, {1: "c"}, {"$x": "c"}, None, 1.5])
def test_what_has_no_place_in_a_script_is_refused(value):
    with pytest.raises(Wrong):
        _tenant_setup.literal(value)


def test_identities_are_sorted_by_tenant_and_app_and_counted_once():
    tenants = _tenant_setup.plan([
        identity(), identity(), identity(mailbox="bills@corp.test", sign_in_as=""), identity(mailbox="hr@corp.test", client_id=CLIENT.upper()),
        identity(mailbox="app@corp.test", grant="client_secret"), identity(mailbox="relay@other.test", tenant_id=OTHER, cloud="usgov"),
    ])
    assert [tenant["TenantId"] for tenant in tenants] == [TENANT, OTHER]
    assert [(app["Grant"], [mailbox["Address"] for mailbox in app["Mailboxes"]]) for app in tenants[0]["Apps"]] == [
        ("device_code", ["scans@corp.test", "bills@corp.test", "hr@corp.test"]), ("client_secret", ["app@corp.test"]),
    ]
    assert tenants[0]["Apps"][0]["Mailboxes"][1]["SignInAs"] == "bills@corp.test"
    assert [tenant["Environments"]["Graph"] for tenant in tenants] == ["Global", "USGov"]


BAD = {
    "a mailbox that is a command": (identity(mailbox="x@corp.test'; calc"), "mailbox of an identity"),
    "a mailbox with a line break": (identity(mailbox="x@corp.test\ncalc"), "line break"),
    "a tenant that is a domain": (identity(tenant_id="corp.test"), "is not a GUID"),
    "a tenant that is a placeholder": (identity(tenant_id=_tenant_setup.PLACEHOLDER), "is a placeholder"),
    "an app that is code": (identity(client_id=f"{CLIENT}' or true"), "is not a GUID"),
    "an unknown grant": (identity(grant="password"), "is not a choice"),
}


@pytest.mark.parametrize(("one", "said"), BAD.values(), ids=BAD)
def test_an_identity_that_cannot_be_used_is_named(one, said):
    with pytest.raises(Wrong, match=said):
        _tenant_setup.plan([identity(), one])


def test_an_unknown_access_is_named():
    with pytest.raises(Wrong, match=r"tenant_access: 'acl'"):
        _tenant_setup.plan([identity()], access="acl")


def test_an_app_that_is_to_be_made_has_no_id_yet():
    assert _tenant_setup.plan([identity(client_id=_tenant_setup.PLACEHOLDER)])[0]["Apps"][0]["ClientId"] == _tenant_setup.PLACEHOLDER


def test_of_a_certificate_the_public_part_alone_is_read(tmp_path):
    path = tmp_path / "app.pem"
    path.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\nTUlJ\nQg==\n-----END CERTIFICATE-----\n",
                    encoding="ascii")
    app = _tenant_setup.plan([identity(grant="client_certificate", client_certificate=str(path), client_certificate_passphrase="hunter2")])[0]["Apps"][0]
    assert app["Certificate"] == "TUlJQg=="
    assert "c2VjcmV0" not in str(app)
    assert "hunter2" not in str(app)


@pytest.mark.parametrize("content", [None, b"", b"\x30\x82binary", b"$ANSIBLE_VAULT;1.1;AES256\n6162\n"])
def test_a_certificate_that_cannot_be_read_is_asked_for(tmp_path, content):
    path = tmp_path / "app.pfx"
    if content is not None:
        path.write_bytes(content)
    assert _tenant_setup.public_certificate(str(path)) == ""


def test_no_secret_gets_into_a_script():
    tenant = _tenant_setup.plan([identity(grant="client_secret", client_secret="hunter2")])[0]
    assert "hunter2" not in rendered("tenant-setup", tenant) + rendered("tenant-undo", tenant)


@pytest.mark.parametrize("grant", _tenant_setup.GRANTS)
@pytest.mark.parametrize("name", ["tenant-setup", "tenant-undo"])
def test_a_script_is_whole_and_holds_the_inventory_as_text(name, grant):
    tenant = _tenant_setup.plan([identity(grant=grant, mailbox="o'brien@corp.test")])[0]
    texts, brackets = tokens(rendered(name, tenant))
    assert balanced(brackets)
    assert TENANT in texts
    assert ("o'brien@corp.test" in texts) == (name == "tenant-setup")


def test_the_undo_knows_everything_that_the_setup_makes():
    tenant = _tenant_setup.plan([identity()])[0]
    setup, undo = rendered("tenant-setup", tenant), rendered("tenant-undo", tenant)
    made = {part.split("'")[1] for part in setup.split("Add-Made @{ Kind = ")[1:]}
    known = {line.split("'")[1] for line in undo.splitlines() if line.startswith("        '")}
    assert made == known
    assert len(made) == 17
