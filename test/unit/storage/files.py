# SPDX-License-Identifier: Apache-2.0
"""Turns the golden files into lines that a C test reads: kind, bytes in hex, then what they mean.

files.py OUT files.jsonl.gz
"""
import gzip
import json
import sys


def line(row):
    kind, text = row["kind"], row.get("text", "").encode().hex() or "-"
    meaning = row["json"]
    if kind == "leader-epoch-checkpoint":
        words = [f"{e['epoch']}:{e['startOffset']}" for e in meaning]
        return ["epochs", text, *words]
    if kind.endswith("-offset-checkpoint"):
        return ["offsets", text, *(f"{k}:{v}" for k, v in meaning.items())]
    if kind == "partition.metadata":
        return ["partition", text, meaning["topicId"]]
    if kind == "meta.properties":
        return ["meta", text, meaning["version"], meaning["cluster.id"],
                meaning.get("node.id", meaning.get("broker.id")), meaning["directory.id"]]
    if kind == "producer snapshot":
        return ["snapshot", row["hex"], row["log"]]
    return None


def main():
    with gzip.open(sys.argv[2], "rt", encoding="utf-8") as f, open(sys.argv[1], "w", encoding="utf-8") as out:
        for text in f:
            words = line(json.loads(text))
            if words:
                out.write(" ".join(words) + "\n")


main()
