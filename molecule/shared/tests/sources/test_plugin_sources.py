# SPDX-License-Identifier: GPL-3.0-or-later
"""The plugin comes from a signed repository or an https address of the administrator's, on a host that has none; what fails leaves apt as it was.

The shop is a web server with a certificate, on the relay itself: it has Debian's own package of the plugin, another package, and a signature.
"""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from conftest import TREE, fingerprint

URL = "https://localhost:8443"
OPEN_SHOP = """
set -e
export DEBIAN_FRONTEND=noninteractive GNUPGHOME=/srv/shop/.gnupg
apt-get install -q -y --no-install-recommends apt-utils gnupg openssl >/dev/null
mkdir -p -m 700 /srv/shop/.gnupg
chmod 755 /srv/shop
cd /srv/shop
apt-get -q download sasl-xoauth2 hello
apt-ftparchive packages . > Packages
apt-ftparchive release . > Release
for name in shop stranger; do
  gpg --quiet --batch --passphrase '' --quick-generate-key "$name@corp.test" rsa3072 sign never
  gpg --quiet --batch --armor --export "$name@corp.test" > "$name.asc"
done
gpg --quiet --batch --local-user shop@corp.test --clearsign --output InRelease Release
openssl req -x509 -newkey rsa:2048 -noenc -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key.pem -out certificate.pem 2>&1
cp certificate.pem /usr/local/share/ca-certificates/shop.crt
update-ca-certificates >/dev/null
cat > serve.py <<'EOT'
import http.server, ssl
http.server.SimpleHTTPRequestHandler.protocol_version = "HTTP/1.1"    # apt wants a connection that stays
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain("certificate.pem", "key.pem")
server = http.server.ThreadingHTTPServer(("localhost", 8443), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
EOT
systemd-run --quiet --unit shop --working-directory /srv/shop python3 serve.py
"""
CLOSE_SHOP = """
systemctl stop shop
rm -rf /srv/shop /usr/local/share/ca-certificates/shop.crt /etc/apt/keyrings/m365-relay-xoauth2.asc
update-ca-certificates --fresh >/dev/null 2>&1
"""
NO_PLUGIN = """
export DEBIAN_FRONTEND=noninteractive
apt-get remove -q -y sasl-xoauth2 >/dev/null
rm -f /etc/apt/sources.list.d/m365-relay-xoauth2.sources /etc/apt/preferences.d/m365-relay-xoauth2.pref
"""


@pytest.fixture(scope="module")
def install(inventories):
    """Run what installs the plugin, as site.yml does; give the finished process, with all its output."""
    def run(variables=None):
        argv = ["ansible-playbook", *(f"--inventory={inventory}" for inventory in inventories), "--extra-vars", json.dumps(variables or {})]
        argv += [str(TREE / "molecule" / "shared" / "plugin.yml")]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return run


@pytest.fixture(scope="module", autouse=True)
def shop(relay_for_module, install):
    """A repository with its keys; afterwards the plugin comes from Debian again."""
    relay_for_module.check_output(OPEN_SHOP)
    yield relay_for_module
    relay_for_module.check_output(CLOSE_SHOP + NO_PLUGIN)
    done = install()
    assert done.returncode == 0, done.stdout
    assert "xoauth2_plugin_source is auto: on Debian forky it is debian." in done.stdout


@pytest.fixture
def bare(shop):
    """The relay without the plugin and without a source for it."""
    shop.check_output(NO_PLUGIN)
    return shop


@pytest.fixture
def key(shop, tmp_path):
    """Bring a public key of the shop to the controller; give its path."""
    def bring(name="shop"):
        path = tmp_path / f"{name}.asc"
        path.write_text(shop.check_output("cat /srv/shop/%s.asc", name), encoding="ascii")
        return str(path)
    return bring


def repository(key, **fields):
    """The variables for the shop, with this key."""
    return {"xoauth2_plugin_source": "repository", "xoauth2_plugin_repository": {"uris": [URL], "suites": ["./"], "key": key, **fields}}


def changed(done):
    """Return the figure that Ansible's recap gives."""
    return int(re.search(r"^relay\s.*changed=(\d+)", done.stdout, re.MULTILINE)[1])


def test_the_plugin_comes_from_a_repository_and_nothing_else_does(bare, install, key):
    variables = repository(key())
    done = install(variables)
    assert done.returncode == 0, done.stdout
    assert "SASL mechanism: XOAUTH2" in bare.check_output("saslpluginviewer -c -m XOAUTH2")
    policy = bare.check_output("apt-cache policy sasl-xoauth2")
    assert re.search(rf"^ \*\*\* \S+ 500\n\s+-?[0-9]+ {URL} ", policy, re.MULTILINE), policy
    assert f"-1 {URL}" in bare.check_output("apt-cache policy hello")
    again = install(variables)
    assert (again.returncode, changed(again)) == (0, 0), again.stdout


def test_a_repository_with_a_foreign_key_leaves_apt_as_it_was(bare, install, key):
    before = fingerprint(bare)
    done = install(repository(key("stranger")))
    assert done.returncode == 2, done.stdout
    assert f"The plugin sasl-xoauth2 cannot be installed from {URL} on Debian forky" in done.stdout
    assert "xoauth2_plugin_source: debian" in done.stdout
    assert fingerprint(bare) == before


def test_a_foreign_key_does_not_replace_the_one_that_works(bare, install, key):
    assert install(repository(key())).returncode == 0
    before = fingerprint(bare)
    done = install(repository(key("stranger")))
    assert done.returncode == 2, done.stdout
    assert fingerprint(bare) == before


def test_a_repository_on_the_host_of_other_packages_is_refused(bare, install, key):
    mirror = bare.check_output("apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1").split("/")[2]
    before = fingerprint(bare)
    done = install(repository(key(), uris=[f"https://{mirror}/relay"]))
    assert done.returncode == 2, done.stdout
    assert "is on the same host" in done.stdout
    assert fingerprint(bare) == before


def test_the_key_of_a_repository_and_a_package_come_by_https_with_their_checksums(bare, install):
    sums = {name: "sha256:" + bare.check_output("sha256sum /srv/shop/%s", name).split()[0] for name in ("shop.asc", "stranger.asc")}
    done = install(repository(f"{URL}/shop.asc", key_checksum=sums["stranger.asc"]))
    assert done.returncode == 2, done.stdout
    done = install(repository(f"{URL}/shop.asc", key_checksum=sums["shop.asc"]))
    assert done.returncode == 0, done.stdout


def test_a_package_comes_by_https(bare, install):
    name = bare.check_output("basename /srv/shop/sasl-xoauth2_*.deb")
    checksum = bare.check_output("sha256sum /srv/shop/sasl-xoauth2_*.deb").split()[0]
    variables = {"xoauth2_plugin_source": "deb", "xoauth2_plugin_deb": f"{URL}/{name}", "xoauth2_plugin_deb_checksum": f"sha256:{'0' * 64}"}
    done = install(variables)
    assert done.returncode == 2, done.stdout
    assert not bare.package("sasl-xoauth2").is_installed
    done = install({**variables, "xoauth2_plugin_deb_checksum": f"sha256:{checksum}"})
    assert done.returncode == 0, done.stdout
    assert "SASL mechanism: XOAUTH2" in bare.check_output("saslpluginviewer -c -m XOAUTH2")
    again = install({**variables, "xoauth2_plugin_deb_checksum": f"sha256:{checksum}"})
    assert (again.returncode, changed(again)) == (0, 0), again.stdout
