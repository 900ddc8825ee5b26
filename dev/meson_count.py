# SPDX-License-Identifier: Apache-2.0
"""Prints what the last `meson test` in a build folder gave: names that failed, then `N passed, N failed, N skipped`."""
import json
import os
import sys

GOOD = ("OK", "EXPECTEDFAIL")


def results(folder):
    """(passed, names that failed, skipped); None when there is no result."""
    try:
        with open(os.path.join(folder, "meson-logs", "testlog.json"), encoding="utf-8") as f:
            rows = [json.loads(line) for line in f]
    except (OSError, ValueError):
        return None
    bad = [f"{r['name']} ({r['result'].lower()})" for r in rows if r["result"] not in GOOD + ("SKIP",)]
    return sum(r["result"] in GOOD for r in rows), bad, sum(r["result"] == "SKIP" for r in rows)


def main():
    found = results(sys.argv[1])
    if not found:
        print("0 passed, 1 failed, 0 skipped")
        return 1
    for name in found[1]:
        print(f"not ok {name}")
    print(f"{found[0]} passed, {len(found[1])} failed, {found[2]} skipped")
    return 1 if found[1] else 0


if __name__ == "__main__":
    sys.exit(main())
