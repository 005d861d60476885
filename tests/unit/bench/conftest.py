# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmarks are programs, not a package: tests find them by their folder."""

import pathlib
import sys

for folder in ("lab", "bench"):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / folder))
