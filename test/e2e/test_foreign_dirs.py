# SPDX-License-Identifier: Apache-2.0
"""Directories that others wrote: what cannot be served without harm is refused with the reason, and nothing is changed.

The directory is Kafka 4.3.1's (test/dump_log), with records added to its metadata log that a newer Kafka could have
written there."""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "compat"))
import kafka_legacy  # noqa: E402
from lib import broker as brokers
from lib.batch import Record, batch
from lib.case import Case, moldau_only

HERE = os.path.dirname(os.path.realpath(__file__))
GOLDEN = os.path.join(HERE, "..", "dump_log", "kafka-4.3.1.tar.gz")
LOG = "__cluster_metadata-0/00000000000000000000.log"
NEXT_OFFSET = 150
EPOCH = 1


def uvarint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def text(s):
    return uvarint(len(s) + 1) + s.encode()


def record(number, version, body):
    return b"\1" + uvarint(number) + uvarint(version) + body


def feature(name, level):
    return record(12, 0, text(name) + level.to_bytes(2, "big", signed=True) + b"\0")


def digest(folder):
    """Of every file but the lock, with names and sizes."""
    out = {}
    for at, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(at, name)
            if name != ".lock":
                with open(path, "rb") as f:
                    out[os.path.relpath(path, folder)] = hashlib.sha256(f.read()).hexdigest()
    return out


class Directory:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="foreign-")
        self.data = os.path.join(self.dir, "data")
        with tarfile.open(GOLDEN) as f:
            f.extractall(self.data, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        shutil.rmtree(os.path.join(self.data, "remote-0"))  # made by hand, for the reader of files
        self.port = brokers.free_port()
        self.file = os.path.join(self.dir, "server.properties")
        with open(self.file, "w") as f:
            f.write(f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{self.port + 1}
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.port + 1}
controller.listener.names=CONTROLLER
log.dirs={self.data}
http.listener=
""")

    def add(self, *values):
        data = bytearray(batch([Record(value) for value in values]))
        data[:8] = NEXT_OFFSET.to_bytes(8, "big")
        data[12:16] = EPOCH.to_bytes(4, "big")
        with open(os.path.join(self.data, LOG), "ab") as f:
            f.write(data)

    def refused(self, *words):
        before = digest(self.data)
        done = subprocess.run([brokers.binary(), "server", "start", self.file], capture_output=True, text=True,
                              timeout=20, stdin=subprocess.DEVNULL)
        said = done.stdout + done.stderr
        assert done.returncode == 1, f"exit {done.returncode}: {said}"
        for word in words:
            assert word in said, f"{word!r} is not in {said}"
        after = digest(self.data)
        changed = sorted(k for k in {**before, **after} if before.get(k) != after.get(k))
        assert not changed, f"{changed} changed; said: {said}"

    def started(self, *words):
        """Starts, serves, ends; what it said holds the words."""
        broker = brokers.Moldau(args=["server", "start", self.file], port=self.port)
        try:
            broker.start()
            with broker.conn() as conn:
                names = {t.name for t in conn.call("Metadata", 12, topics=None).topics}
            assert {"codec-none", "txn", "__share_group_state"} <= names, names
            assert broker.stop() == 0, broker.log()
            for word in words:
                assert word in broker.log(), broker.log()
        finally:
            broker.close()


@moldau_only
class ForeignDirs(Case):
    @classmethod
    def setUpClass(cls):
        cls.broker = None

    def directory(self):
        directory = Directory()
        self.addCleanup(shutil.rmtree, directory.dir, True)
        return directory

    def test_newer_metadata_version(self):
        directory = self.directory()
        directory.add(feature("metadata.version", 31))
        directory.refused("ML1024", "metadata.version is 31", "7 (3.3-IV3) to 30 (4.3-IV0)")

    def test_unknown_record(self):
        directory = self.directory()
        directory.add(record(99, 0, b"\0"))
        directory.refused("ML1024", "type 99")

    def test_newer_record(self):
        directory = self.directory()
        directory.add(record(2, 9, text("t") + bytes(16) + b"\0"))
        directory.refused("ML1024", "newer version of Kafka")

    def test_unknown_feature(self):
        directory = self.directory()
        directory.add(feature("flux.version", 1))
        directory.refused("flux.version")

    def test_newer_feature(self):
        directory = self.directory()
        directory.add(feature("share.version", 2))
        directory.refused("share.version")

    def test_zookeeper(self):
        directory = self.directory()
        with open(os.path.join(directory.data, "meta.properties"), "w") as f:
            f.write("#\n#Sat Jan 01 00:00:00 UTC 2022\nbroker.id=7\ncluster.id=MkU3OEVBNTcwNTJENDM2Qk\nversion=0\n")
        directory.refused("ML1015", "ZooKeeper", "MkU3OEVBNTcwNTJENDM2Qk", "moldau explain ML1015")

    def test_damaged_meta(self):
        directory = self.directory()
        with open(os.path.join(directory.data, "meta.properties"), "w") as f:
            f.write("version=2\nnode.id=1\ncluster.id=x\n")
        directory.refused("ML1014")

    def test_what_is_not_honoured_is_kept(self):
        """Share groups, their state, ACLs: not a byte of their logs changes, and they are in the metadata again."""
        directory = self.directory()
        before = digest(directory.data)
        directory.started("access rules")
        after = digest(directory.data)
        for name, value in before.items():
            if name.startswith(("__share_group_state-0/0", "__consumer_offsets-0/0", "txn-0/0")) and ".log" in name:
                self.assertEqual(after.get(name), value, name)

    def test_old_message_formats(self):
        """Segments of formats 0 and 1, without indexes: every answer is what Kafka 4.3.1 gave (kafka_legacy.json)."""
        node, parts = kafka_legacy.Node(), kafka_legacy.segments()
        self.addCleanup(node.close, False)
        with open(os.path.join(HERE, "kafka_legacy.json"), encoding="utf-8") as f:
            wanted = json.load(f)
        node.start("moldau")
        with node.conn() as conn:
            conn.create("old", len(parts), {"retention.ms": -1})
        node.end("clean")
        kafka_legacy.plant(node.data, parts)
        for how in ("clean", "kill"):
            node.start("moldau")
            got = json.loads(json.dumps(kafka_legacy.answers(kafka_legacy.look(node, len(parts)))))
            self.assertEqual(got, wanted)
            node.end(how)
