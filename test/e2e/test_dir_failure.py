# SPDX-License-Identifier: Apache-2.0
"""A log directory fails, at the start or while the node runs: its partitions go offline, all others go on."""
import os
import shutil

from lib.case import Case, moldau_only

STORAGE, LEADER_NOT_AVAILABLE, NOT_LEADER = 56, 5, 6


class DirFailure(Case):
    def node(self, **overrides):
        node = self.moldau(overrides)
        self.dirs = [os.path.join(node.own_dir, d) for d in ("a", "b", "c")]
        node.overrides["log.dirs"] = ",".join(self.dirs)
        return node.start()

    def places(self, conn, topic):
        """{directory: [partition]} as the node tells, after every directory answered or failed."""
        return {r.dir: sorted(p.index for t in r.topics if t.name == topic for p in t.partitions)
                for r in conn.call("DescribeLogDirs", 5, topics=None).results}

    def errors(self, conn):
        return [r.error for r in conn.call("DescribeLogDirs", 5, topics=[]).results]

    def leaderless(self, conn, topic):
        return {p.index for p in conn.metadata(topic).topics[0].partitions
                if (p.error, p.leader) == (LEADER_NOT_AVAILABLE, -1)}

    def fill(self, conn, topic, n):
        for i in range(n):
            self.assertEqual(conn.produce(topic, [b"first"], i).error, 0)

    def check_left(self, conn, topic, gone, n):
        """The partitions of `gone` are refused, the others are whole and take more."""
        self.eventually(lambda: self.assertEqual(self.leaderless(conn, topic), set(gone)))
        for i in range(n):
            if i in gone:
                self.assertIn(conn.produce(topic, [b"no"], i).error, (STORAGE, NOT_LEADER))
                self.assertIn(conn.fetch(topic, 0, i).error, (STORAGE, NOT_LEADER))
            else:
                self.assertEqual(conn.produce(topic, [b"more"], i).error, 0)
                self.assertEqual(conn.fetch(topic, 0, i).error, 0)

    def break_at_start(self, path):
        os.rename(path, path + ".away")
        with open(path, "w", encoding="ascii") as f:
            f.write("no directory")

    def mend(self, path):
        if os.path.isfile(path):
            os.unlink(path)
        os.rename(path + ".away", path)

    @moldau_only
    def test_at_start(self):
        node = self.node()
        conn = self.conn(node)
        topic = self.topic(conn, 6)
        self.fill(conn, topic, 6)
        places = self.places(conn, topic)
        self.assertEqual([len(p) for p in places.values()], [2, 2, 2])
        node.stop()
        self.break_at_start(self.dirs[1])
        node.start()
        conn = self.conn(node)
        self.assertEqual(self.errors(conn), [0, STORAGE, 0])
        self.check_left(conn, topic, places[self.dirs[1]], 6)
        self.assertIn("ML1052", node.log())
        late = self.topic(conn, 4)  # is made in what is left
        self.assertEqual(self.places(conn, late)[self.dirs[1]], [])
        node.crash()
        conn = self.conn(node)
        self.check_left(conn, topic, places[self.dirs[1]], 6)
        self.assertEqual(conn.produce(late, [b"x"], 3).error, 0)
        node.stop()
        self.mend(self.dirs[1])
        node.start()
        conn = self.conn(node)
        self.eventually(lambda: self.assertEqual(self.leaderless(conn, topic), set()))
        self.assertEqual(self.errors(conn), [0, 0, 0])
        self.assertEqual(self.places(conn, topic), places)
        for i in range(6):
            self.assertEqual(conn.read_all(topic, 0, i)[0].value, b"first")

    @moldau_only
    def test_damaged_meta_properties(self):
        node = self.node()
        conn = self.conn(node)
        topic = self.topic(conn, 3)
        self.fill(conn, topic, 3)
        places = self.places(conn, topic)
        node.stop()
        path = os.path.join(self.dirs[2], "meta.properties")
        with open(path, "rb") as f:
            whole = f.read()
        with open(path, "wb") as f:
            f.write(b"\0" * len(whole))
        node.start()
        self.check_left(self.conn(node), topic, places[self.dirs[2]], 3)
        node.stop()
        with open(path, "rb") as f:
            self.assertEqual(f.read(), b"\0" * len(whole))  # nothing was changed
        with open(path, "wb") as f:
            f.write(whole)
        node.start()
        self.check_left(self.conn(node), topic, [], 3)

    @moldau_only
    def test_while_running(self):
        node = self.node(**{"log.segment.bytes": "1048576"})
        conn = self.conn(node)
        topic = self.topic(conn, 6)
        self.fill(conn, topic, 6)
        places = self.places(conn, topic)
        gone = places[self.dirs[1]]
        os.rename(self.dirs[1], self.dirs[1] + ".away")

        def fails():  # at the latest when a new segment is begun
            self.assertNotEqual(conn.produce(topic, [b"x" * 300000], gone[0]).error, 0)
        self.eventually(fails)
        self.check_left(conn, topic, gone, 6)
        self.assertEqual(self.errors(conn), [0, STORAGE, 0])
        late = self.topic(conn, 4)
        self.assertEqual(self.places(conn, late)[self.dirs[1]], [])
        node.stop()
        self.mend(self.dirs[1])
        node.start()
        conn = self.conn(node)
        self.check_left(conn, topic, [], 6)
        self.assertEqual(self.places(conn, topic), places)
        for i in range(6):
            self.assertEqual(conn.read_all(topic, 0, i)[0].value, b"first")

    @moldau_only
    def test_directory_of_the_metadata(self):
        node = self.node()
        node.stop()
        self.break_at_start(self.dirs[0])
        node.spawn()
        self.eventually(lambda: self.assertTrue(node.dead()))
        self.assertIn("ML1014", node.log())

    @moldau_only
    def test_taken_out_of_the_settings(self):
        node = self.node()
        conn = self.conn(node)
        topic = self.topic(conn, 3)
        self.fill(conn, topic, 3)
        gone = self.places(conn, topic)[self.dirs[2]]
        node.stop()
        node.overrides["log.dirs"] = ",".join(self.dirs[:2])
        node.start()
        self.check_left(self.conn(node), topic, gone, 3)
        node.stop()
        node.overrides["log.dirs"] = ",".join(self.dirs)
        node.start()
        self.check_left(self.conn(node), topic, [], 3)


class Mistakes(Case):
    """What people do to directories: refused with the reason, and nothing is changed; or only its partitions wait."""

    def make(self, **overrides):
        node = self.moldau(overrides)
        self.dirs = [os.path.join(node.own_dir, d) for d in ("a", "b", "c")]
        node.overrides.update({"log.dirs": ",".join(self.dirs)})
        node.start()
        conn = self.conn(node)
        self.name_ = self.topic(conn, 6)
        for i in range(6):
            self.assertEqual(conn.produce(self.name_, [b"first"], i).error, 0)
        node.stop()
        return node

    def files(self):
        return sorted(os.path.join(at, f) for d in self.dirs for at, _, names in os.walk(d) for f in names)

    def check_refused(self, node, *words):
        before = self.files()
        code, log = self.refused(node)
        self.assertEqual(code, 1)
        for word in words:
            self.assertIn(word, log)
        self.assertEqual(self.files(), before)

    def check_whole(self, node):
        node.start()
        conn = self.conn(node)
        for i in range(6):
            self.eventually(lambda i=i: self.assertEqual(
                [r.value for r in conn.read_all(self.name_, 0, i)], [b"first"]))
        node.stop()

    @moldau_only
    def test_copied(self):
        node = self.make()
        meta = os.path.join(self.dirs[2], "meta.properties")
        os.rename(meta, meta + ".mine")
        shutil.copy(os.path.join(self.dirs[1], "meta.properties"), meta)
        self.check_refused(node, "ML1022", self.dirs[1], self.dirs[2])
        os.rename(meta + ".mine", meta)
        self.check_whole(node)

    @moldau_only
    def test_metadata_elsewhere(self):
        node = self.make()
        node.overrides["log.dirs"] = ",".join(self.dirs[1:] + self.dirs[:1])
        self.check_refused(node, "ML1023", f"metadata.log.dir={self.dirs[0]}")
        node.overrides["metadata.log.dir"] = self.dirs[0]
        self.check_whole(node)

    @moldau_only
    def test_metadata_not_mounted(self):
        node = self.make()
        os.rename(self.dirs[0], self.dirs[0] + ".away")
        os.mkdir(self.dirs[0])
        open(os.path.join(self.dirs[0], ".lock"), "w", encoding="ascii").close()  # a lock is taken to look
        self.check_refused(node, "ML1023", f"{self.dirs[0]} holds no metadata")
        shutil.rmtree(self.dirs[0])
        os.rename(self.dirs[0] + ".away", self.dirs[0])
        self.check_whole(node)

    @moldau_only
    def test_names_swapped(self):
        """Directories are known by their ids."""
        node = self.make()
        os.rename(self.dirs[1], self.dirs[1] + "x")
        os.rename(self.dirs[2], self.dirs[1])
        os.rename(self.dirs[1] + "x", self.dirs[2])
        self.check_whole(node)
        self.assertNotRegex(node.log(), "ERROR|-stray")

    @moldau_only
    def test_replaced_by_an_empty_one(self):
        node = self.make()
        os.rename(self.dirs[2], self.dirs[2] + ".away")
        node.start()
        conn = self.conn(node)
        node.wait_log("log_dir.missing", "ML1077")
        self.assertEqual(node.log().count("log_dir.missing"), 1)
        errors = [conn.fetch(self.name_, 0, i).error for i in range(6)]
        self.assertEqual(sorted(errors), [0, 0, 0, 0, 6, 6])
        late = self.topic(conn, 3)  # the empty one is used
        self.assertEqual([p for r in conn.call("DescribeLogDirs", 5, topics=None).results if r.dir == self.dirs[2]
                          for t in r.topics if t.name == late for p in t.partitions] == [], False)
        node.stop()


class Checkpoints(Case):
    """What the checkpoint files say of a partition is of the topic that had its name then, and of no later one."""

    def new(self, conn, topic):
        """One more topic of that name; its values."""
        conn.create(topic)
        values = [b"new%d" % i for i in range(5)]
        for value in values:
            self.assertEqual(conn.produce(topic, [value]).error, 0)
        return values

    def check(self, node, topic, values):
        node.crash()
        conn = self.conn(node)
        self.assertEqual(conn.list_offset(topic, -2).offset, 0)
        self.assertEqual([r.value for r in conn.read_all(topic)], values)

    @moldau_only
    def test_topic_made_again(self):
        node = self.moldau().start()
        conn = self.conn(node)
        topic = self.topic(conn)
        for _ in range(20):
            self.assertEqual(conn.produce(topic, [b"old"]).error, 0)
        answer = conn.call("DeleteRecords", 2, timeout_ms=5000, topics=[
            {"name": topic, "partitions": [{"index": 0, "offset": 15}]}])
        self.assertEqual(answer.topics[0].partitions[0].error, 0)
        with open(os.path.join(node.data, "log-start-offset-checkpoint"), encoding="ascii") as f:
            self.assertIn(f"{topic} 0 15", f.read())
        conn.delete(topic)
        self.check(node, topic, self.new(conn, topic))

    @moldau_only
    def test_left_by_the_last_life(self):
        node = self.moldau().start()
        node.kill()
        topic = self.name()
        for name in ("log-start", "recovery-point"):
            with open(os.path.join(node.data, f"{name}-offset-checkpoint"), "w", encoding="ascii") as f:
                f.write(f"0\n1\n{topic} 0 15\n")
        node.start()
        self.check(node, topic, self.new(self.conn(node), topic))
