# SPDX-License-Identifier: Apache-2.0
"""Turns the golden vectors of metadata records into lines that C tests read: record type, version, value in hex.

metadata_lines.py OUT metadata-records.jsonl.gz
"""
import gzip
import json
import sys


def main(out, source):
    with gzip.open(source, "rt", encoding="utf-8") as vectors, open(out, "w", encoding="utf-8") as f:
        for line in vectors:
            vector = json.loads(line)
            f.write(f"{vector['type']} {vector['version']} {vector['hex']}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
