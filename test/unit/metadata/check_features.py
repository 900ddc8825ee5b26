# SPDX-License-Identifier: Apache-2.0
"""Compares schema/features.tbl with a table read out of the original, where MOLDAU_FACTS names the folder that has it;
else skipped (77).

check_features.py schema/features.tbl
"""
import os
import sys

SKIPPED = 77


def ours(path):
    rows = {}
    for line in open(path, encoding="utf-8"):
        parts = line.split("#")[0].split()
        if parts:
            rows[parts[0], int(parts[1])] = parts[2]
    return rows


def theirs(path):
    rows = {}
    for line in open(path, encoding="utf-8").read().splitlines()[1:]:
        feature, level, name = line.split("\t")[:3]
        if line.endswith("unstable"):
            continue
        rows[feature, int(level)] = name if feature == "metadata.version" else "-"
    return rows


def main(table):
    facts = os.environ.get("MOLDAU_FACTS")
    if not facts:
        return SKIPPED
    a, b = ours(table), theirs(os.path.join(facts, "tables/features.tsv"))
    for key in sorted(a.keys() | b.keys()):
        if a.get(key) != b.get(key):
            print(f"{key[0]} {key[1]}: ours {a.get(key)}, the original {b.get(key)}")
    return a != b


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
