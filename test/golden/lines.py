# SPDX-License-Identifier: Apache-2.0
"""Turns the golden vectors into lines that a C test reads: message, version, bytes in hex, and where there are any
the other bytes that mean the same. What stands before a message in its file (types, versions) is cut off here. A
second line is the text that codec_print() must make of it, from the values that Kafka says it wrote ("=" unknown).

lines.py OUT GEN SCHEMA NAME.jsonl.gz...
"""
import base64
import gzip
import json
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[2])
import schema  # noqa: E402

MESSAGES = {}
BYTES_MAX = 32


def snake(name):
    name = name.replace("KRaft", "Kraft").replace("kRaft", "kraft").replace("2Pc", "_2pc")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def print_text(text):
    out = []
    for byte in text.encode():
        out.append(f"\\x{byte:02x}" if byte < 0x20 or byte in b'\x7f"\\' else chr(byte))
    return '"' + "".join(out) + '"'


def print_one(message, field, version, value):
    if field.struct:
        return print_struct(message, field.struct, version, value)
    if field.type == "bool":
        return "true" if value else "false"
    if field.type == "float64":
        return f"{float(value):g}"
    if field.type == "string":
        return print_text(value)
    if field.type in ("bytes", "records"):
        data = base64.b64decode(value)
        return f"{len(data)}:{data[:BYTES_MAX].hex()}" + ("..." if len(data) > BYTES_MAX else "")
    return str(value)


def print_default(message, field, version):
    if field.default == "null" or field.type == "records":
        return "null"
    if field.array:
        return "[]"
    zero = {"bool": False, "string": "", "bytes": "", "uuid": "A" * 22}
    if field.struct:
        return print_struct(message, field.struct, version, {})
    return print_one(message, field, version, field.default or zero.get(field.type, 0))


def print_struct(message, struct, version, values):
    values = {snake(name): value for name, value in values.items()}
    out = []
    for field in struct.fields:
        if not field.versions[0] <= version <= field.versions[1]:
            continue
        if field.name not in values:
            text = print_default(message, field, version)
        elif values[field.name] is None:
            text = "null"
        elif field.array:
            text = "[" + ", ".join(print_one(message, field, version, v) for v in values[field.name]) + "]"
        else:
            text = print_one(message, field, version, values[field.name])
        out.append(f"{field.name}={text}")
    return "{" + ", ".join(out) + "}"


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

    def add(self, name, version, text, other, values=None):
        self.out.append(" ".join([name, str(version), text or "-"] + ([other or "-"] if other is not None else [])))
        message = MESSAGES[name]
        self.out.append("=" if values is None else print_struct(message, message.root, version, values))

    def messages(self, row):
        self.add(f"{snake(row['api'])}_{row['kind']}", row["version"], row["hex"], row.get("in"), row["json"])

    def headers(self, row):
        kind = row["kind"]
        cut = 0 if kind.endswith("HeaderData") else 4  # the int16 version
        name = snake(kind[:-4] if kind.endswith("HeaderData") else kind)
        other = row.get("in")
        self.add(name, row["version"], row["hex"][cut:], other[cut:] if other else None, row["json"])

    def coordinator_records(self, row):
        for part, cut in (("key", 4), ("value", 4)):
            item = row[part]
            if item is None:
                continue
            other = item.get("in")
            self.add(f"{snake(row['name'])}_{part}", item.get("version", 0), item["hex"][cut:],
                     other[cut:] if other else None, item["json"])

    def metadata_records(self, row):
        number, version, text = framed(row["hex"])
        assert (number, version) == (row["type"], row["version"])
        self.metadata_names[number] = row["kind"]
        other = framed(row["in"])[2] if "in" in row else None
        self.add(snake(row["kind"]), version, text, other, row["json"])

    def raft_records(self, row):
        names = {2: "LeaderChangeMessage", 3: "SnapshotHeaderRecord", 4: "SnapshotFooterRecord",
                 5: "KRaftVersionRecord", 6: "VotersRecord"}
        for batch in row.get("batches", []):
            for record in batch["records"]:
                if batch["control"]:
                    self.add("control_record_type_schema", 0, record["key"][4:], None)
                    self.add(snake(names[int(record["key"][4:8], 16)]), 0, record["value"], None,
                             row.get("json") if row["kind"] == "control batch" else None)
                else:
                    number, version, text = framed(record["value"])
                    self.add(snake(self.metadata_names[number]), version, text, None)


def main():
    lines = Lines()
    for file in schema.read_all(sys.argv[3]):
        MESSAGES.update((message.c_name, message) for message in file.messages)
    for path in sys.argv[4:]:
        method = getattr(lines, path.split("/")[-1].split(".")[0].replace("-", "_"))
        with gzip.open(path, "rt", encoding="utf-8") as f:
            for line in f:
                method(json.loads(line))
    with open(sys.argv[1], "w", encoding="latin-1") as f:
        f.write("\n".join(lines.out) + "\n")


main()
