# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for Microsoft 365: sign-in, SMTP submission, DNS and a control API, in one process."""
