# SPDX-License-Identifier: Apache-2.0
"""Every kind of file, damaged while the node is down: what the next start makes of it, and what `debug check` says.

Records that were told are all there, or those of one partition are missing from the damage on, or the directory is out
of service: the table says which. The other partition is whole in every case. What is damaged in the middle is refused,
file and position are told, and what is behind it is served."""
import glob
import os
import re
import shutil
import subprocess

from lib.broker import binary
from lib.case import Case, moldau_only
from lib.client import batches

N = 40


def flip(path, at=0.5):
    with open(path, "r+b") as f:
        size = os.fstat(f.fileno()).st_size
        pos = min(int(size * at), size - 1)
        f.seek(pos)
        byte = f.read(1)[0]
        f.seek(pos)
        f.write(bytes([byte ^ 0x41]))


def zero_tail(path):
    with open(path, "r+b") as f:
        size = os.fstat(f.fileno()).st_size
        f.seek(size - size // 3)
        f.write(bytes(size // 3))


def cut(path):
    os.truncate(path, max(os.stat(path).st_size * 2 // 3 - 1, 1))


def junk(path):
    with open(path, "wb") as f:
        f.write(b"\xffdamaged\n")


def flip_length(path):
    """Of the batch that is there, so that the next one is not found by it."""
    with open(path, "r+b") as f:
        data, pos = f.read(), 0
        while pos < len(data) // 2:
            pos += 12 + int.from_bytes(data[pos + 8:pos + 12], "big")
        f.seek(pos + 8)
        f.write(b"\x7f")


def flip_id(path):
    """A character of the topic id, so that it is one all the same."""
    with open(path, "r+b") as f:
        data = f.read()
        at = data.index(b"topic_id: ") + 15
        f.seek(at)
        f.write(b"B" if data[at:at + 1] != b"B" else b"C")


def flip_id_bit(path):
    """So that it is none."""
    with open(path, "r+b") as f:
        f.seek(f.read().index(b"topic_id: ") + 15)
        f.write(b"\x01")


WHOLE, SHORTER, OFFLINE, REFUSED = "whole", "shorter", "offline", "refused"
CORRUPT_MESSAGE = 2
# what, the file (the first in order of names), how, clean stop before, outcome, does the check find it
TABLE = [
    ("flipped offset index", "t/*.index", flip, True, WHOLE, None),
    ("zeroed offset index", "t/*.index", zero_tail, True, WHOLE, None),
    ("cut offset index", "t/*.index", cut, True, WHOLE, None),
    ("flipped time index", "t/*.timeindex", flip, True, WHOLE, None),
    ("zeroed time index", "t/*.timeindex", zero_tail, True, WHOLE, None),
    ("cut time index", "t/*.timeindex", cut, True, WHOLE, None),
    ("missing indexes", "t/*index", os.unlink, True, WHOLE, False),
    ("flipped snapshot", "t/*.snapshot", flip, True, WHOLE, True),
    ("cut snapshot", "t/*.snapshot", cut, True, WHOLE, True),
    ("junk epochs", "t/leader-epoch-checkpoint", junk, True, WHOLE, True),
    ("missing epochs", "t/leader-epoch-checkpoint", os.unlink, True, WHOLE, False),
    ("other topic id", "t/partition.metadata", flip_id, True, WHOLE, False),
    ("other topic id after a kill", "t/partition.metadata", flip_id, False, WHOLE, False),
    ("no topic id", "t/partition.metadata", flip_id_bit, True, WHOLE, True),
    ("junk recovery points", "recovery-point-offset-checkpoint", junk, True, WHOLE, True),
    ("junk start offsets", "log-start-offset-checkpoint", junk, True, WHOLE, True),
    ("junk high watermarks", "replication-offset-checkpoint", junk, True, WHOLE, True),
    ("junk cleaner offsets", "cleaner-offset-checkpoint", junk, True, WHOLE, True),
    ("junk clean mark", ".kafka_cleanshutdown", junk, True, WHOLE, True),
    ("cut tail after a kill", "t/*.log", cut, False, SHORTER, True),
    ("zeroed tail after a kill", "t/*.log", zero_tail, False, SHORTER, True),
    ("flipped batch after a kill", "t/*.log", flip, False, REFUSED, True),
    ("flipped length after a kill", "t/*.log", flip_length, False, REFUSED, True),
    ("flipped batch after a clean stop", "t/*.log", flip, True, REFUSED, True),
    ("flipped length after a clean stop", "t/*.log", flip_length, True, REFUSED, True),
    ("junk meta.properties", "meta.properties", junk, True, OFFLINE, True),
]


def cut_at_batch(path):
    """About two thirds stay, and the last of it is whole."""
    with open(path, "rb") as f:
        data, pos = f.read(), 0
    while pos < len(data) * 2 // 3:
        pos += 12 + int.from_bytes(data[pos + 8:pos + 12], "big")
    os.truncate(path, pos)


def empty(path):
    os.truncate(path, 0)


# what, which .log of several, how; after a clean stop. Whatever is missing, it is said which offsets.
LOST = [
    ("last segment, cut between batches", -1, cut_at_batch),
    ("last segment, empty", -1, empty),
    ("last segment, gone", -1, os.unlink),
    ("old segment, cut between batches", 1, cut_at_batch),
    ("old segment, empty", 1, empty),
    ("old segment, gone", 1, os.unlink),
    ("directory of the partition, gone", None, shutil.rmtree),
]
# the same of the metadata log; clean stop before
METADATA = [
    ("cut between batches", cut_at_batch, True),
    ("cut within a batch", cut, True),
    ("empty", empty, True),
    ("gone", os.unlink, True),
    ("zeroed tail", zero_tail, True),
    ("flipped", flip, True),
    ("flipped after a kill", flip, False),
    ("empty after a kill", empty, False),
    ("gone after a kill", os.unlink, False),
]


class Damage(Case):
    def check(self, path):
        done = subprocess.run([binary(), "debug", "check", path], capture_output=True, text=True, check=False,
                              timeout=60)
        self.assertIn(done.returncode, (0, 6), done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(bool(lines), done.returncode == 6)
        return lines

    def make(self, **configs):
        node = self.moldau({"log.index.interval.bytes": "200", "durability": "synced"})
        self.dirs = [os.path.join(node.own_dir, d) for d in ("a", "b")]
        node.overrides["log.dirs"] = ",".join(self.dirs)
        node.start()
        conn = self.conn(node)
        topic = self.topic(conn, 2, **configs)
        for i in range(N):
            for index in (0, 1):
                self.assertEqual(conn.produce(topic, [b"%04d" % i + b"v" * 96], index).error, 0)
        second = {p.index for r in conn.call("DescribeLogDirs", 5, topics=None).results if r.dir == self.dirs[1]
                  for t in r.topics for p in t.partitions}
        return node, topic, next(iter(second))

    def values(self, conn, topic, index):
        """What can be read from the beginning on, and the error that ends it."""
        out = []
        while True:
            got = conn.fetch(topic, len(out), index, max_wait_ms=0)
            if got.error or not got.records:
                return out, got.error
            out += [r.value for b in batches(got.records) for r in b.records]

    def one(self, what, pattern, how, is_clean, outcome, is_found):
        node, topic, index = self.make()
        if is_clean:
            node.stop()
            self.assertEqual(self.check(self.dirs[1]), [])
        else:
            node.kill()
        paths = sorted(glob.glob(os.path.join(self.dirs[1], pattern.replace("t/", f"{topic}-{index}/"))))
        self.assertTrue(paths, what)
        how(paths[0])
        lines = self.check(self.dirs[1])
        if is_found is not None:
            self.assertEqual(any(line.startswith(f"{paths[0]}: position ") for line in lines), is_found, lines)
        node.start()
        conn = self.conn(node)
        want = [b"%04d" % i + b"v" * 96 for i in range(N)]
        self.assertEqual(self.values(conn, topic, 1 - index), (want, 0))  # the other directory
        if outcome == OFFLINE:
            self.assertIn(conn.fetch(topic, 0, index).error, (56, 6))
        elif outcome == WHOLE:
            self.assertEqual(self.values(conn, topic, index), (want, 0))
            self.assertEqual(conn.produce(topic, [b"new"], index).base_offset, N)
        elif outcome == REFUSED:
            got, error = self.values(conn, topic, index)
            self.assertEqual((got, error), (want[:len(got)], CORRUPT_MESSAGE))
            node.wait_log("log.not_served", "ML1075", paths[0], "position=")
            errors = [conn.fetch(topic, i, index, max_wait_ms=0).error for i in range(N)]
            first = next(i for i in range(len(got), N) if not errors[i])
            self.assertEqual(set(errors[len(got):first]), {CORRUPT_MESSAGE})
            self.assertEqual(errors[first:], [0] * (N - first))
            self.assertLess(first - len(got), 6)
            self.assertEqual([r.value for r in conn.read_all(topic, first, index)], want[first:])
            self.assertEqual(conn.produce(topic, [b"new"], index).base_offset, N)
        elif outcome == SHORTER:
            got, error = self.values(conn, topic, index)
            self.assertEqual((got, error), (want[:len(got)], 0))
            self.assertTrue(0 < len(got) < N)
            self.assertEqual(conn.produce(topic, [b"new"], index).base_offset, len(got))
        node.stop()
        self.assertNotRegex(node.log(), r"(?m)^(info|warn|error) ")  # helpers write lines like everybody else
        node.close()

    @moldau_only
    def test_table(self):
        for row in TABLE:
            with self.subTest(row[0]):
                self.one(*row)

    @moldau_only
    def test_metadata_topic_id(self):
        """Whose the metadata log is everybody knows."""
        node, topic, index = self.make()
        path = os.path.join(self.dirs[0], "__cluster_metadata-0", "partition.metadata")
        for how in (flip_id, flip_id_bit, junk, empty):
            with self.subTest(how.__name__):
                node.stop()
                with open(path, "rb") as f:
                    before = f.read()
                how(path)
                node.start()
                node.wait_log("log.metadata_damaged", "ML1080", path)
                self.assertEqual(len(self.values(self.conn(node), topic, index)[0]), N)
                with open(path, "rb") as f:
                    self.assertEqual(f.read(), before)
                self.assertNotIn("-stray", " ".join(os.listdir(self.dirs[0]) + os.listdir(self.dirs[1])))
        node.stop()
        node.close()

    @moldau_only
    def test_meta_properties(self):
        """Made again from that of another directory, as the message says; without an id a directory gets one."""
        node, topic, index = self.make()
        node.stop()
        paths = [os.path.join(d, "meta.properties") for d in self.dirs]
        contents = []
        for path in paths:
            with open(path, encoding="ascii") as f:
                contents.append(f.read())
        want = [b"%04d" % i + b"v" * 96 for i in range(N)]
        junk(paths[1])
        with open(paths[1], "w", encoding="ascii") as f:
            f.write(re.sub("directory.id=.*\n", "", contents[0]))
        for _ in range(2):
            node.start()
            conn = self.conn(node)
            conn.wait_leader(topic, 2)
            for i in (0, 1):
                self.assertEqual(self.values(conn, topic, i), (want, 0))
            node.stop()
        with open(paths[1], encoding="ascii") as f:
            self.assertRegex(f.read(), "directory.id=.{22}\n")
        junk(paths[0])
        self.assertIn("ML1014", self.refused(node)[1])
        with open(paths[0], "w", encoding="ascii") as f:
            f.write(re.sub("directory.id=.*\n", "", contents[0]))
        had = re.search("directory.id=(.*)\n", contents[0])[1]
        self.assertIn(f"belongs to directory {had}, ", self.refused(node)[1])
        with open(paths[0], "w", encoding="ascii") as f:
            f.write(contents[0])
        node.start()
        self.conn(node).wait_leader(topic, 2)
        self.assertEqual(self.values(self.conn(node), topic, index), (want, 0))
        node.stop()
        node.close()

    @moldau_only
    def test_check_reads(self):
        """What no row of the table is about: the files of the metadata, and a copy that was on its way."""
        node, topic, index = self.make()
        node.stop()
        metadata = os.path.join(self.dirs[0], "__cluster_metadata-0")
        future = os.path.join(self.dirs[0], f"{topic}-{index}.{'0a' * 16}-future")
        shutil.copytree(os.path.join(self.dirs[1], f"{topic}-{index}"), future)
        for path in glob.glob(os.path.join(future, "*index")):  # they come with the rest
            os.unlink(path)
        log = os.path.join(future, f"{0:020}.log")
        for path, how, is_found in [
                (os.path.join(metadata, "quorum-state"), junk, True),
                (os.path.join(metadata, "quorum-state"), cut, True),
                (os.path.join(self.dirs[0], "bootstrap.checkpoint"), flip, True),
                (os.path.join(self.dirs[0], "bootstrap.checkpoint"), cut_at_batch, True),
                (os.path.join(self.dirs[0], "bootstrap.checkpoint"), empty, True),
                (log, flip, True),
                (log, cut, False),  # the copy goes on there
                (os.path.join(future, "leader-epoch-checkpoint"), junk, True)]:
            with self.subTest(os.path.basename(path) + " " + how.__name__):
                self.assertEqual(self.check(self.dirs[0]), [])
                shutil.copy(path, path + ".copy")
                how(path)
                lines = self.check(self.dirs[0])
                self.assertEqual([line.startswith(f"{path}: position ") for line in lines], [True] * is_found, lines)
                os.rename(path + ".copy", path)
        node.close()

    def lost(self, at, how):
        node, topic, index = self.make(internal_segment_bytes=2000)
        node.stop()
        folder = os.path.join(self.dirs[1], f"{topic}-{index}")
        path = folder if at is None else sorted(glob.glob(f"{folder}/*.log"))[at]
        how(path)
        node.start()
        conn = self.conn(node)
        self.assertEqual(self.values(conn, topic, 1 - index)[1], 0)
        end = conn.list_offset(topic, -1, index).offset
        there = {r.offset for r in conn.read_all(topic, 0, index)}
        missing = sorted(set(range(N)) - there)
        self.assertTrue(missing)
        line = node.wait_log("log.lost", "ML1078", f"log={topic}-{index}")
        first, behind = (int(n) for n in re.search(r" offset=(\d+) end_offset=(\d+)", line).groups())
        self.assertEqual(list(range(first, behind)), missing)
        self.assertEqual(node.log().count("log.lost"), 1)
        self.assertEqual(conn.produce(topic, [b"new"], index).base_offset, end)
        node.stop()
        node.start()  # said once: from here on it is what there is
        self.assertEqual(self.conn(node).list_offset(topic, -1, index).offset, end + 1)
        node.stop()
        if at in (None, -1):
            self.assertEqual(node.log().count("log.lost"), 1)
        node.close()

    @moldau_only
    def test_lost(self):
        for what, at, how in LOST:
            with self.subTest(what):
                self.lost(at, how)

    def refuses(self, node, *words):
        """The start, and leaves the metadata log as it is; mended, all is there."""
        path = os.path.join(self.dirs[0], "__cluster_metadata-0", "00000000000000000000.log")

        def content():
            if not os.path.exists(path):
                return b""
            with open(path, "rb") as f:
                return f.read()
        before = content()
        code, log = self.refused(node)
        self.assertEqual(code, 1)
        for word in words:
            self.assertIn(word, log)
        self.assertEqual(content(), before)
        self.assertNotIn("-stray", " ".join(os.listdir(self.dirs[0]) + os.listdir(self.dirs[1])))
        return path

    @moldau_only
    def test_metadata_log(self):
        """Without it there are no topics: nothing of it is given up, and no partition is put aside."""
        for what, how, is_clean in METADATA:
            with self.subTest(what):
                node, topic, index = self.make()
                if is_clean:
                    node.stop()
                else:
                    node.kill()
                path = os.path.join(self.dirs[0], "__cluster_metadata-0", "00000000000000000000.log")
                shutil.copy(path, path + ".copy")
                how(path)
                self.refuses(node, "controller.failed", self.dirs[0])
                os.rename(path + ".copy", path)
                node.start()
                want = [b"%04d" % i + b"v" * 96 for i in range(N)]
                self.assertEqual(self.values(self.conn(node), topic, index), (want, 0))
                node.stop()
                node.close()
