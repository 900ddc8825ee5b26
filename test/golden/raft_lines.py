# SPDX-License-Identifier: Apache-2.0
"""Turns the golden vectors of the quorum into lines that C tests read:

quorum-state TEXT
voters HEX                                                    the value of a voters record
snapshot KRAFT_VERSION OFFSET EPOCH NAME RECORDS HEX          a whole file

raft_lines.py OUT raft-records.jsonl.gz
"""
import gzip
import json
import sys


def line_of(vector):
    if vector["kind"] == "quorum-state":
        return "quorum-state " + vector["text"]
    if vector["kind"] == "snapshot":
        records = sum(batch["recordCount"] for batch in vector["batches"] if not batch["control"])
        return (f"snapshot {vector['kraftVersion']} {vector['offset']} {vector['epoch']} {vector['file']} {records} "
                + vector["hex"])
    if vector.get("name") == "VotersRecord":
        return "voters " + vector["batches"][0]["records"][0]["value"]
    return None


def main(out, source):
    with gzip.open(source, "rt", encoding="utf-8") as vectors:
        lines = [line_of(json.loads(vector)) for vector in vectors]
    with open(out, "w", encoding="utf-8") as f:
        f.writelines(line + "\n" for line in lines if line)


if __name__ == "__main__":
    main(*sys.argv[1:])
