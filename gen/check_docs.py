# SPDX-License-Identifier: Apache-2.0
"""Is the kept reference page that of the tables?

    check_docs.py GENERATED KEPT
"""
import sys

generated, kept = (open(path, encoding="utf-8").read() for path in sys.argv[1:3])
if generated != kept:
    print(f"{sys.argv[2]} is not that of schema/*.cfg any more. Take the new one:\n\n"
          f"    cp {sys.argv[1]} {sys.argv[2]}")
    sys.exit(1)
