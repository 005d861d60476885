# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes the place of the get-pip.py that ansible-test would download for each of its environments.

Not every build machine reaches ansible-test's own download host, but all reach a package index. ansible-test runs this
file in the new environment with the pip version it wants as argument; it ignores pip's configuration, so the certificate
authorities that the machine trusts are added to those that come inside pip.
"""

import ensurepip
import pathlib
import subprocess
import sys

MACHINE_TRUST = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")


def trust_what_the_machine_trusts():
    """Append the machine's certificate authorities to the bundle inside pip."""
    for bundle in pathlib.Path(sys.prefix).glob("lib/python*/site-packages/pip/_vendor/certifi/cacert.pem"):
        with bundle.open("a", encoding="utf-8") as stream:
            stream.write(MACHINE_TRUST.read_text(encoding="utf-8"))


ensurepip.bootstrap()
trust_what_the_machine_trusts()
wanted = [argument for argument in sys.argv[1:] if not argument.startswith("--no-")]
subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted], check=True)
trust_what_the_machine_trusts()
