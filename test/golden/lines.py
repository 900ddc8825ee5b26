# SPDX-License-Identifier: Apache-2.0
"""Turns the golden vectors into lines that a C test reads: message, version, bytes in hex, and where there are any
the other bytes that mean the same. What stands before a message in its file (types, versions) is cut off here.

lines.py OUT NAME.jsonl.gz...
"""
import gzip
import json
import re
import sys


def snake(name):
    name = name.replace("KRaft", "Kraft")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def uvarint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def framed(text):
    """A metadata record: frame version, type, version, message."""
    data = bytes.fromhex(text)
    _, at = uvarint(data, 0)
    number, at = uvarint(data, at)
    version, at = uvarint(data, at)
    return number, version, data[at:].hex()


class Lines:
    def __init__(self):
        self.out, self.metadata_names = [], {}

    def add(self, name, version, text, other):
        self.out.append(" ".join([name, str(version), text or "-"] + ([other or "-"] if other is not None else [])))

    def messages(self, row):
        self.add(f"{snake(row['api'])}_{row['kind']}", row["version"], row["hex"], row.get("in"))

    def headers(self, row):
        kind = row["kind"]
        cut = 0 if kind.endswith("HeaderData") else 4  # the int16 version
        name = snake(kind[:-4] if kind.endswith("HeaderData") else kind)
        other = row.get("in")
        self.add(name, row["version"], row["hex"][cut:], other[cut:] if other else None)

    def coordinator_records(self, row):
        for part, cut in (("key", 4), ("value", 4)):
            item = row[part]
            if item is None:
                continue
            other = item.get("in")
            self.add(f"{snake(row['name'])}_{part}", item.get("version", 0), item["hex"][cut:],
                     other[cut:] if other else None)

    def metadata_records(self, row):
        number, version, text = framed(row["hex"])
        assert (number, version) == (row["type"], row["version"])
        self.metadata_names[number] = row["kind"]
        other = framed(row["in"])[2] if "in" in row else None
        self.add(snake(row["kind"]), version, text, other)

    def raft_records(self, row):
        names = {2: "LeaderChangeMessage", 3: "SnapshotHeaderRecord", 4: "SnapshotFooterRecord",
                 5: "KRaftVersionRecord", 6: "VotersRecord"}
        for batch in row.get("batches", []):
            for record in batch["records"]:
                if batch["control"]:
                    self.add("control_record_type_schema", 0, record["key"][4:], None)
                    self.add(snake(names[int(record["key"][4:8], 16)]), 0, record["value"], None)
                else:
                    number, version, text = framed(record["value"])
                    self.add(snake(self.metadata_names[number]), version, text, None)


def main():
    lines = Lines()
    for path in sys.argv[2:]:
        method = getattr(lines, path.split("/")[-1].split(".")[0].replace("-", "_"))
        with gzip.open(path, "rt", encoding="utf-8") as f:
            for line in f:
                method(json.loads(line))
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        f.write("\n".join(lines.out) + "\n")


main()
