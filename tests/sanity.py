# SPDX-License-Identifier: GPL-3.0-or-later
"""Run `ansible-test sanity`, all tests, nothing ignored, on a copy of the tree.

ansible-test wants the collection in a folder ansible_collections/NAMESPACE/NAME, follows no link there, and judges nothing
that git ignores; so the copy lies outside the tree.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import types

from ansible_test._internal import python_requirements

TREE = pathlib.Path(__file__).resolve().parent.parent
HOME = TREE / ".cache" / "sanity"  # its environments are kept for the next run
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def copy_tree(target):
    """Copy what git knows, or would take, of the tree as it is now; only the collection itself is judged."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=TREE, capture_output=True, check=True, text=True)
    for name in listed.stdout.splitlines():
        source = TREE / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)


def wanted_pip():
    """Return the version of pip that ansible-test is going to ask for."""
    return python_requirements.get_venv_packages(types.SimpleNamespace(version=PYTHON))["pip"]


def main():
    """Prepare the copy and run; return ansible-test's exit code."""
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    shutil.copy(TREE / "tests" / "get_pip.py", cache / f"get_pip_{wanted_pip().replace('.', '_')}.py")
    environment = {**os.environ, "HOME": str(HOME)}
    environment.pop("ANSIBLE_CONFIG", None)
    command = ["ansible-test", "sanity", "--local", "--python", PYTHON, "--requirements", "--color", "no", *sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix="m365-lab-sanity-") as folder:
        collection = pathlib.Path(folder, "ansible_collections", "simple_m365", "relay")
        copy_tree(collection)
        return subprocess.run(command, cwd=collection, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
