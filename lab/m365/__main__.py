# SPDX-License-Identifier: GPL-3.0-or-later
"""python3 -m m365: runs until SIGTERM or SIGINT."""
from __future__ import annotations

import logging
import os
import signal

from .lab import Lab


def main() -> None:
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    lab = Lab(dict(os.environ))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: lab.stopping.set())
    lab.start()
    lab.stopping.wait()
    lab.stop()


main()
