# SPDX-License-Identifier: GPL-3.0-or-later
"""The set-ups that are measured beside this relay, as data, and how a bare Debian host becomes one of them.

guide:     Postfix with the plugin as the usual guide writes it: everything that the guide does not name stays as Postfix has it.
original:  what Simple M365 Relay renders: the same, IPv4 only, larger messages, no local mail.
proxy:     Postfix hands everything to email-oauth2-proxy on the same host, which speaks XOAUTH2.
plain:     Postfix without tokens and without a policy, for the throughput: no more than TLS, with connections kept open as this relay keeps them.
"""

from __future__ import annotations

import concurrent.futures
import json
import pathlib
import re
import subprocess
import tempfile

import control
import testbed
from shared import CLIENT_ID, TENANT, on_host, write_file

SECRET = "bench-client-secret-of-the-proxy"
APP = "eeeeeeee-ffff-4aaa-8bbb-cccccccccccc"
TOKEN = "/var/spool/postfix/etc/tokens/{mailbox}"

PLUGIN = {
    "relayhost": "[smtp.office365.com]:587",
    "smtp_sasl_auth_enable": "yes",
    "smtp_sasl_password_maps": "lmdb:/etc/postfix/sasl_passwd",
    "smtp_sasl_security_options": "",
    "smtp_sasl_mechanism_filter": "xoauth2",
    "smtp_tls_security_level": "encrypt",
}

ORIGINAL = {
    **PLUGIN, "inet_protocols": "ipv4", "message_size_limit": "52428800", "mydestination": "", "local_recipient_maps": "",
    "myorigin": "$mydomain", "broken_sasl_auth_clients": "yes",
}
TO_PROXY = {
    "relayhost": "[127.0.0.1]:2587",
    "smtp_sasl_auth_enable": "yes",
    "smtp_sasl_password_maps": "lmdb:/etc/postfix/sasl_passwd",
    "smtp_sasl_security_options": "noanonymous",
    "smtp_tls_security_level": "none",
}
TLS_ALONE = {
    "relayhost": "[smtp.office365.com]:587",
    "smtp_tls_security_level": "secure",
    "smtp_tls_secure_cert_match": "nexthop",
    "smtp_tls_CAfile": "/etc/ssl/certs/ca-certificates.crt",
    "smtp_tls_connection_reuse": "yes",
}

WITH_PLUGIN = "postfix sasl-xoauth2 sasl-xoauth2-tool python3-msal"
WITH_PROXY = "postfix python3-cryptography python3-jwt python3-prompt-toolkit python3-pyasyncore"
# mailbox: "" = it signs in nowhere. password: what stands behind the relayhost and the mailbox in sasl_passwd.
SETUPS = {
    "guide": {"mailbox": "guide@corp.test", "packages": WITH_PLUGIN, "password": TOKEN, "parameters": PLUGIN},
    "original": {"mailbox": "original@corp.test", "packages": WITH_PLUGIN, "password": TOKEN, "parameters": ORIGINAL},
    "proxy": {"mailbox": "proxy@corp.test", "packages": WITH_PROXY, "password": "bench", "parameters": TO_PROXY},
    "plain": {"mailbox": "", "packages": "postfix", "password": "", "parameters": TLS_ALONE},
}

PLUGIN_CONFIGURATION = {
    "client_id": CLIENT_ID, "client_secret": "", "token_endpoint": f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token",
}

PROXY_CONFIGURATION = f"""\
[SMTP-2587]
local_address = 127.0.0.1
server_address = smtp.office365.com
server_port = {{port}}
server_starttls = True

[proxy@corp.test]
token_url = https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token
oauth2_scope = https://outlook.office365.com/.default
oauth2_flow = client_credentials
client_id = {APP}
client_secret = {SECRET}
"""

PROXY_UNIT = """\
[Service]
Environment=PYTHONPATH=/opt/emailproxy
WorkingDirectory=/var/lib/emailproxy
ExecStart=/usr/bin/python3 -m emailproxy --no-gui --config-file /etc/emailproxy.config --cache-store /var/lib/emailproxy/tokens
LimitNOFILE=20000
"""

# The plugin is in Debian's suite experimental only; from it apt takes the plugin alone.
INSTALL = r"""
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
case "$PACKAGES" in *sasl-xoauth2*)
  set -- $(apt-get indextargets --format '$(REPO_URI) $(SIGNED_BY)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' | head -n 1)
  case "$2" in /*) key="Signed-By: $2";; *) key="";; esac
  printf 'Types: deb\nURIs: %s\nSuites: experimental\nComponents: main\n%s\n' "$1" "$key" > /etc/apt/sources.list.d/experimental.sources
  printf 'Package: sasl-xoauth2*\nPin: release a=experimental\nPin-Priority: 500\n\nPackage: *\nPin: release a=experimental\nPin-Priority: -1\n' \
    > /etc/apt/preferences.d/experimental.pref
  apt-get update -q;;
esac
apt-get install -q -y --no-install-recommends $PACKAGES libsasl2-modules ca-certificates
"""

SIGN_IN = f"""
set -e
postconf -F '*/*/chroot=n'
mkdir -p /var/spool/postfix/etc/tokens
sasl-xoauth2-tool get-token outlook "$TOKEN" --use-device-flow --client-id {CLIENT_ID} --tenant {TENANT} </dev/null
chown -R postfix:postfix /var/spool/postfix/etc/tokens
"""


def prepare(bed, hosts, say):
    """Make each host what it is to be; a host that already is one stays as it is."""
    mailboxes(bed)
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        for job in [pool.submit(install, bed, host, say) for host in hosts]:
            job.result()
    for host in hosts:
        if SETUPS[host]["parameters"].get("smtp_sasl_mechanism_filter") and not on_host(bed, host, "ls /etc/bench-is-signed-in 2>/dev/null || true"):
            say(f"{host} signs in")
            control.call(bed["control"], "POST", "/person", {"account": SETUPS[host]["mailbox"]})
            on_host(bed, host, f"TOKEN={TOKEN.format(mailbox=SETUPS[host]['mailbox'])}\n{SIGN_IN}touch /etc/bench-is-signed-in")
    for host in hosts:
        on_host(bed, host, "systemctl restart postfix")


def mailboxes(bed):
    """Tell Microsoft's stand-in who there is beside this relay's own mailbox."""
    for setup in SETUPS.values():
        if setup["mailbox"]:
            control.call(bed["control"], "POST", "/accounts", {"account": setup["mailbox"], "tenant": TENANT})
    control.call(bed["control"], "POST", "/apps", {
        "client_id": APP, "tenant": TENANT, "name": "Proxy", "secrets": [SECRET], "mailboxes": ["proxy@corp.test"]})


def install(bed, host, say):
    """Install and configure what the host needs."""
    setup = SETUPS[host]
    if not on_host(bed, host, "ls /etc/bench-is-installed 2>/dev/null || true"):
        say(f"{host} is installed")
        on_host(bed, host, f"PACKAGES='{setup['packages']}'\n{INSTALL}")
        write_file(bed, host, "/etc/sasl-xoauth2.conf", json.dumps(PLUGIN_CONFIGURATION))
        if host == "proxy":
            install_proxy(bed)
        on_host(bed, host, "touch /etc/bench-is-installed")
    networks = [re.sub(r"(.*:.*)/", r"[\1]/", network) for network in ["127.0.0.0/8", *bed["trusted"]]]
    configure(bed, host, {"mynetworks": " ".join(networks), "myhostname": f"{host}.corp.test", "mydomain": "corp.test"})
    if setup["password"]:
        login = f"{setup['mailbox']}:{setup['password']}".format(mailbox=setup["mailbox"])
        write_file(bed, host, "/etc/postfix/sasl_passwd", f"{setup['parameters']['relayhost']} {login}\n")
        on_host(bed, host, "postmap lmdb:/etc/postfix/sasl_passwd")


def configure(bed, host, more):
    """Write the parameters of the set-up, and more of them, into main.cf."""
    wanted = {**SETUPS[host]["parameters"], **more}
    on_host(bed, host, "postconf -e " + " ".join(f"'{name}={value}'" for name, value in wanted.items()))


def install_proxy(bed):
    """Put email-oauth2-proxy from PyPI on its host; its libraries are Debian's."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", folder, "emailproxy"], check=True)
        wheel = next(pathlib.Path(folder).glob("emailproxy-*.whl"))
        subprocess.run(["python3", "-m", "zipfile", "-e", str(wheel), folder], check=True)
        write_file(bed, "proxy", "/opt/emailproxy/emailproxy.py", pathlib.Path(folder, "emailproxy.py").read_text(encoding="utf-8"))
    on_host(bed, "proxy", "mkdir -p /var/lib/emailproxy")
    write_file(bed, "proxy", "/etc/systemd/system/emailproxy.service", PROXY_UNIT)
    start_proxy(bed, 587)


def start_proxy(bed, port):
    """Start email-oauth2-proxy towards a port of Microsoft's stand-in."""
    write_file(bed, "proxy", "/etc/emailproxy.config", PROXY_CONFIGURATION.format(port=port))
    on_host(bed, "proxy", "systemctl daemon-reload; systemctl restart emailproxy")
    testbed.wait_until("email-oauth2-proxy", lambda: on_host(bed, "proxy", "ss -ltnH 'sport = :2587'"), 30)
