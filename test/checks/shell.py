# SPDX-License-Identifier: Apache-2.0
"""Runs shellcheck over all shell scripts of the tree; skips (77) where it is not installed."""
import glob
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def is_shell(path):
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as f:
        return f.readline().split(b" ")[0].rstrip() in (b"#!/bin/sh", b"#!/bin/bash")


if not shutil.which("shellcheck"):
    print("shellcheck is not installed")
    sys.exit(77)
scripts = sorted(p for pattern in ("dev/*", ".ci/*", "test/*/*") for p in glob.glob(os.path.join(ROOT, pattern))
                 if is_shell(p))
sys.exit(subprocess.call(["shellcheck", "-S", "warning", *scripts]))
