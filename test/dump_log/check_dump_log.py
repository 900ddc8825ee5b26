#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What kafka-dump-log says of golden files, case by case, against a record of what the original's said.

    check_dump_log.py RECORD COMMAND...            compares; exit 1 when anything differs
    check_dump_log.py --record RECORD COMMAND...   writes the record (COMMAND runs the original's tool)

The files: a whole directory that Kafka 4.3.1 wrote (every codec, transactions that committed, aborted and stayed open,
groups of three kinds, a share group, users, quotas, ACLs, remote log metadata), and logs made of the golden records and
batches of test/golden, all types in all versions. Where the original ends in a stack trace, the record keeps only that
it failed, and the output before.
"""
import gzip
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
GOLDEN = os.path.join(HERE, "..", "golden")
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from lib.batch import Record, batch  # noqa: E402

LOG = "00000000000000000000.log"
BASE = 1700000000000


def golden(name):
    with gzip.open(os.path.join(GOLDEN, name + ".jsonl.gz"), "rt") as f:
        return [json.loads(line) for line in f]


def stored_batch(records, offset):
    """One batch of (key, value), without a producer."""
    data = bytearray(batch([Record(value, key, [], BASE + i) for i, (key, value) in enumerate(records)]))
    data[:8] = struct.pack(">q", offset)
    return bytes(data)


def log_of(records):
    out, at = b"", 0
    while at < len(records):
        part = records[at:at + 10]
        out += stored_batch(part, at)
        at += len(part)
    return out


def coordinator_log(kind):
    records = []
    for line in golden("coordinator-records"):
        if line["kind"] == kind:
            key, value = line["key"], line["value"]
            records.append((bytes.fromhex(key["hex"]), value and bytes.fromhex(value["hex"])))
    records += [(b"\0\x63what", b"\0\0"), (b"\0\x09", b"\0\0")]  # types that nobody knows
    return log_of(records)


def write(folder, name, data):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def change(folder, name, to, edit):
    with open(os.path.join(folder, name), "rb") as f:
        data = bytearray(f.read())
    write(folder, to, bytes(edit(data)))


def flip(at):
    def edit(data):
        data[at] ^= 1
        return data
    return edit


def make(folder):
    with tarfile.open(os.path.join(HERE, "kafka-4.3.1.tar.gz")) as f:
        f.extractall(folder, filter="data") if hasattr(tarfile, "data_filter") else f.extractall(folder)
    for kind in ("__consumer_offsets", "__transaction_state", "__share_group_state"):
        write(folder, f"all{kind}/{LOG}", coordinator_log(kind))
    metadata = [(None, bytes.fromhex(line["hex"])) for line in golden("metadata-records")]
    write(folder, f"all-metadata/{LOG}", log_of(metadata + [(None, b"\1\x63\0"), (None, b"\0\3\0")]))
    control = [bytes.fromhex(line["hex"]) for line in golden("raft-records") if line["kind"] == "control batch"]
    write(folder, f"all-control/{LOG}", b"".join(control))
    batches = [bytes.fromhex(line["hex"]) for line in golden("batches") if line["kind"] != "large"]
    write(folder, f"all-batches/{LOG}", b"".join(batches))
    text = [(b"\xff\xfe bad", b"a\xc3"),
            (b"\xe2\x82", b"\xed\xa0\x80|\xf0\x9f\x92|\xf4\x90\x80\x80|\xe0\x80\x80|\xc0\xaf"),
            ("\u00fc\u20ac\U0001f4a9".encode(), b"tab\there \"quoted\" \\ \x01"), (b"", b""), (None, None),
            (b"\0\0\0\x07", b"\0\0\0\0\0\0\0\x2a"), (b"\xff\xff\xff\xff12", b"\x80\0\0\0\0\0\0\0")]
    write(folder, f"text/{LOG}", stored_batch(text, 0))
    numbers = [(b"\0\0\0\x07", b"\0\0\0\0\0\0\0\x2a"), (b"\xff\xff\xff\xff12", b"\x80\0\0\0\0\0\0\0")]
    write(folder, f"numbers/{LOG}", stored_batch(numbers, 5))
    # Damage.
    change(folder, f"compacted-0/{LOG}", f"room/{LOG}", lambda data: data)
    change(folder, f"compacted-0/{LOG}", f"zeros/{LOG}", lambda data: data + bytes(100))
    for suffix in ("log", "index", "timeindex"):
        change(folder, f"compacted-0/{LOG[:-3]}{suffix}", f"cut/{LOG[:-3]}{suffix}",
               lambda data, suffix=suffix: data[:len(data) - (7 if suffix == "log" else 5)])
        change(folder, f"compacted-0/{LOG[:-3]}{suffix}", f"flipped/{LOG[:-3]}{suffix}",
               flip({"log": 100, "index": 35, "timeindex": 43}[suffix]))
        if suffix != "log":
            change(folder, f"compacted-0/{LOG[:-3]}{suffix}", f"room/{LOG[:-3]}{suffix}",
                   lambda data: data + bytes(2400))
    # Index and timestamps that point elsewhere.
    change(folder, f"compacted-0/{LOG}", f"moved/{LOG}", lambda data: data)
    change(folder, f"compacted-0/{LOG[:-3]}timeindex", f"moved/{LOG[:-3]}timeindex",
           lambda data: data[12:24] + data[:12] + struct.pack(">qi", BASE, 11) + data[36:])
    index = bytearray()
    with open(os.path.join(folder, "compacted-0", LOG), "rb") as f:
        size = struct.unpack(">i", f.read(12)[8:])[0] + 12
    index += struct.pack(">ii", 3, 0) + struct.pack(">ii", 9, size)
    write(folder, f"moved/{LOG[:-3]}index", bytes(index))
    for name, edit in (("crc", flip(20)), ("version", flip(1))):
        change(folder, "txn-0/00000000000000000051.snapshot", f"flipped/{name}.snapshot", edit)
    change(folder, "txn-0/00000000000000000008.txnindex", "flipped/00000000000000000008.txnindex", flip(1))
    change(folder, "txn-0/00000000000000000008.txnindex", "cut/00000000000000000008.txnindex", lambda data: data[:-3])


def listed(folder, sub):
    return sorted(f"{sub}/{name}" for name in os.listdir(os.path.join(folder, sub))
                  if re.search(r"^\d.*\.(log|index|timeindex|txnindex|snapshot|checkpoint)$", name))


def cases(folder):
    """Words of the command line, with the files by commas."""
    topics = sorted(name for name in os.listdir(folder)
                    if re.search(r"-\d+$", name) and not name.startswith(("__", "gone", "remote")))
    everything = ",".join(path for topic in topics for path in listed(folder, topic))
    some = ",".join(listed(folder, "txn-1"))
    out = [["--print-data-log"], ["--index-sanity-check"], ["--verify-index-only", "--max-bytes", "0"]]
    out = [["--files", everything] + more for more in out]
    out += [["--files", some] + more for more in (
        [], ["--deep-iteration"], ["--deep-iteration", "--skip-record-metadata"],
        ["--print-data-log", "--skip-record-metadata"], ["--max-bytes", "700", "--print-data-log"], ["--max-bytes=100"],
        ["--value-decoder-class"], ["--max-message-size", "100"],
        ["--deep-iteration", "--value-decoder-class", "org.apache.kafka.tools.api.StringDecoder"])]
    for sub, option in (("__consumer_offsets-0", "--offsets-decoder"),
                        ("__transaction_state-0", "--transaction-log-decoder"),
                        ("__share_group_state-0", "--share-group-state-decoder"),
                        ("__cluster_metadata-0", "--cluster-metadata-decoder"),
                        ("remote-0", "--remote-log-metadata-decoder")):
        for more in ([], ["--skip-record-metadata"], ["--print-data-log", "--deep-iteration"]):
            out.append([option, "--files", ",".join(listed(folder, sub))] + more)
    out.append(["--cluster-metadata-decoder", "--files", "bootstrap.checkpoint"])
    for sub, option in (("all__consumer_offsets", "--offsets-decoder"),
                        ("all__transaction_state", "--transaction-log-decoder"),
                        ("all__share_group_state", "--share-group-state-decoder"),
                        ("all-metadata", "--cluster-metadata-decoder"), ("all-control", "--print-data-log"),
                        ("all-control", "--cluster-metadata-decoder"), ("all-batches", "--print-data-log"),
                        ("all-batches", "--deep-iteration"), ("text", "--print-data-log")):
        out.append([option, "--files", f"{sub}/{LOG}"])
    numbers = "org.apache.kafka.tools.api."
    out.append(["--files", f"numbers/{LOG}", "--key-decoder-class", numbers + "IntegerDecoder", "--value-decoder-class",
                numbers + "LongDecoder"])
    out.append(["--files", f"text/{LOG}", "--value-decoder-class", numbers + "LongDecoder"])
    for sub in ("cut", "flipped", "room", "moved", "zeros"):
        for path in listed(folder, sub):
            # The original cuts an index to whole entries when it closes it: the check comes first.
            for more in ([],) if path.endswith(".log") else (["--index-sanity-check"], [], ["--verify-index-only"]):
                out.append(["--files", path] + more)
    for path in ("flipped/crc.snapshot", "flipped/version.snapshot", "x.foo", "nosuffix", f"a.{LOG}.deleted",
                 f"./text//{LOG}/", f"x.foo,text/{LOG}", "missing/" + LOG):
        out.append(["--files", path])
    out += [["--files", "x.foo", "more", "--", "words"], ["--bogus"], ["--files"], ["--version"],
            ["--files", "x.foo", "--files", "y.foo"]]
    return out


def run(command, args, folder):
    """Output, errors, exit code; a stack trace is only a failure."""
    env = dict(os.environ, LC_ALL="C.UTF-8", JAVA_OPTS="-Dfile.encoding=UTF-8")
    done = subprocess.run(command + args, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL,
                          timeout=60, env=env)
    err = done.stderr.decode().replace(folder, "DIR")
    if "\nException in" in "\n" + err:
        err = ""
    # Findings of several files come in the order of a hash table.
    groups = re.split(r"\n(?=\S)", err.rstrip("\n"))
    return done.stdout.decode(), "\n".join(sorted(groups)), done.returncode


def shown(args, folder):
    """A list of files is told by its length only."""
    return " ".join(f"({len(word.split(','))} files)" if word.count(",") > 3 else word for word in args)


def text_of(args, result, folder):
    out, err, code = result
    lines = [f"$ {shown(args, folder)}"] + ["1|" + line for line in out.splitlines()]
    lines += ["2|" + line for line in err.splitlines()] + [f"= {code}", ""]
    return lines


def main():
    recording = sys.argv[1] == "--record"
    record, command = sys.argv[1 + recording], sys.argv[2 + recording:]
    command = [os.path.abspath(word) if os.path.exists(word) else word for word in command]
    folder = tempfile.mkdtemp(prefix="dump-log-")
    try:
        make(folder)
        got = [text_of(args, run(command, args, folder), folder) for args in cases(folder)]
    finally:
        shutil.rmtree(folder)
    if recording:
        with open(record, "wb") as f, gzip.GzipFile("", "wb", 9, f, 0) as z:
            z.write("\n".join(line for lines in got for line in lines).encode())
        return 0
    with gzip.open(record, "rt", encoding="utf-8", newline="\n") as f:
        wanted = [("$ " + part).split("\n") for part in ("\n" + f.read()).split("\n$ ")[1:]]
    wrong = 0
    for n, lines in enumerate(got):
        want = wanted[n] if n < len(wanted) else ["(nothing)"]
        while want and not want[-1]:
            want.pop()
        lines = [line for line in lines[:-1]]
        # Where the original fell with a stack trace, what we say instead is our own.
        if want[-1] == "= 1" and not any(line.startswith("2|") for line in want):
            lines = [line for line in lines if not line.startswith("2|")]
        if lines == want:
            continue
        wrong += 1
        print(lines[0][:200])
        for a, b in zip(want + [""] * len(lines), lines + [""] * len(want)):
            if a != b:
                print("  the original:", a[:700], "\n  here:        ", b[:700])
                break
    print(f"{len(got) - wrong} of {len(got)} cases the same")
    return wrong > 0 or len(got) != len(wanted)


if __name__ == "__main__":
    sys.exit(main())
