# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the tests of signing in with the msal that Debian 12 and Debian 13 have; the newest is tested with all the others."""

from __future__ import annotations

import pathlib
import subprocess
import sys

TREE = pathlib.Path(__file__).resolve().parent.parent
VERSIONS = {"Debian 12": "1.21.0", "Debian 13": "1.32.3"}
NAMES = ("tokens", "signin", "identity", "credentials", "grants", "renewal", "renewal_accidents")
TESTS = [f"tests/unit/plugins/module_utils/test_{name}.py" for name in NAMES]


def environment(version):
    """Return the Python of a virtual environment with this version of msal, making it on first use."""
    folder = TREE / ".cache" / f"msal-{version}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"msal=={version}", "pytest", "pyyaml"], check=True)
        (folder / "complete").touch()
    return python


def main():
    """Run the tests with each version; return 0 when all have passed."""
    codes = []
    for release, version in VERSIONS.items():
        print(f"msal {version}, as in {release}", flush=True)
        codes.append(subprocess.run([str(environment(version)), "-m", "pytest", "-q", *TESTS], cwd=TREE, check=False).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
