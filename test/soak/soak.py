#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dev/soak [MINUTES [SECONDS]] [--seed N] [--rate N]: a broker under load that dies every few seconds;
see README.md."""
import argparse
import glob
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]

from lib.broker import Moldau, NotReady  # noqa: E402

from soak_load import BROKEN, Churner, Committer, Reader, Stream, Task, Trimmer, Writer, read_whole  # noqa: E402
from soak_model import Log, Tally  # noqa: E402

SETTINGS = {
    "log.flush.offset.checkpoint.interval.ms": 700, "log.flush.start.offset.checkpoint.interval.ms": 700,
    "log.retention.check.interval.ms": 400, "log.initial.task.delay.ms": 200, "log.cleaner.backoff.ms": 200,
    "log.segment.delete.delay.ms": 300, "offsets.topic.num.partitions": 4, "offsets.topic.segment.bytes": 1048576,
}
TOPICS = {
    "plain": (8, {"segment.bytes": 1048576}),
    "trimmed": (4, {"segment.ms": 1500, "file.delete.delay.ms": 300}),
    "retained": (4, {"segment.ms": 1000, "retention.bytes": 40000, "file.delete.delay.ms": 300}),
    "compacted": (4, {"cleanup.policy": "compact", "segment.ms": 1000, "min.cleanable.dirty.ratio": "0.05",
                      "file.delete.delay.ms": 300, "delete.retention.ms": 60000}),
}
DISK_MIN = 1 << 30


class Soak:
    def __init__(self, seed, pause_s, data, bites=False):
        self.tally, self.random, self.pause_s = Tally(), random.Random(seed), pause_s
        self.bites = bites
        self.quiet, self.gone = threading.Event(), threading.Event()
        self.broker = Moldau(SETTINGS, data=data)
        self.logs, self.tasks, self.kills, self.stops, self.squeezed, self.worst_ready_s = [], [], 0, 0, 0, 0.0

    def begin(self, seed):
        self.broker.start()
        with self.broker.conn() as conn:
            for name, (partitions, configs) in TOPICS.items():
                conn.create(name, partitions, configs)
                self.logs += [Log(self.tally, name, i, name) for i in range(partitions)]
        # Two writers for each log, on different connections.
        streams = [Stream(log, writer) for writer in range(2) for log in self.logs]
        self.tasks = [Writer(self, seed + i, streams[i::6]) for i in range(6)]
        self.tasks += [Trimmer(self, seed + 10, [x for x in self.logs if x.kind == "trimmed"])]
        self.tasks += [Committer(self, seed + 20 + i, self.logs[i]) for i in range(4)]
        self.tasks += [Churner(self, seed + 30 + i) for i in range(2)]
        self.tasks += [Reader(self, seed + 40 + i, self.logs[i::2]) for i in range(2)]
        for task in self.tasks:
            task.start()

    def end_broker(self):
        """kill -9 mostly; else an orderly stop, sometimes killed while it is at it."""
        how = self.random.random()
        if how < 0.7:
            self.broker.kill()
            self.kills += 1
            return
        self.broker.signal(signal.SIGTERM)
        if how < 0.8:
            time.sleep(self.random.uniform(0, 0.05))
            self.broker.kill()
            self.kills += 1
            return
        code = self.broker.wait_exit(60)
        self.tally.check(code == 0, f"the orderly stop ended with {code}")
        self.stops += 1

    def again(self):
        if not self.tally.check(not self.broker.dead(), f"the broker died:\n{self.broker.log()[-3000:]}"):
            return False
        self.end_broker()
        if self.bites and self.broker.process.returncode < 0:
            self.bite()
        self.broker.reactors = self.random.choice("12")
        began = time.monotonic()
        try:
            self.broker.spawn().wait_ready(30)
        except NotReady as error:
            return self.tally.check(False, f"no start: {error}")
        self.worst_ready_s = max(self.worst_ready_s, time.monotonic() - began)
        return True

    def bite(self):
        """Takes the last batches of a log away, as a broker that loses what it has acknowledged would."""
        path = max(glob.glob(os.path.join(self.broker.data, "plain-0", "*.log")))
        os.truncate(path, max(os.path.getsize(path) - 2000, 0))
        self.bites = False

    def run(self, seconds):
        end, said = time.monotonic() + seconds, time.monotonic()
        while time.monotonic() < end:
            time.sleep(min(self.random.choice((0.1, 1, 2, 3, 4, 6)), max(end - time.monotonic(), 0)))
            if not self.again():
                return
            if time.monotonic() - said > 30:
                said = time.monotonic()
                print(f"{end - said:.0f} s left, {self.state()}", flush=True)

    def state(self):
        acked = sum(log.known()[0] for log in self.logs)
        gone = sum(log.known()[1] for log in self.logs if log.kind == "retained")
        return (f"{self.kills} kills, {self.stops} stops, {acked} records acknowledged, {gone} gone by "
                f"retention, {self.squeezed} by compaction, slowest start "
                f"{self.worst_ready_s * 1000:.0f} ms, {self.tally.passed} passed, {self.tally.failed} failed")

    def finish(self):
        """Writers end what they have begun; then a kill, and everything is read."""
        self.quiet.set()
        end = time.monotonic() + 60
        for task in self.tasks:
            task.join(max(end - time.monotonic(), 0.1))
            self.tally.check(not task.is_alive(), f"{type(task).__name__} did not come to an end")
        self.gone.set()
        if self.broker.dead():
            return
        for how in (self.broker.kill, self.broker.stop):
            how()
            self.squeezed = 0
            self.broker.start()
            with self.broker.conn() as conn:
                for log in self.logs:
                    conn.wait_leader(log.topic, TOPICS[log.topic][0])
                    found = read_whole(conn, log)
                    if log.kind == "compacted":
                        self.squeezed += log.known()[0] - found
        self.tally.check(self.broker.stop() == 0, "the last stop")
        for word in ("log.open_failed", "FATAL", "CHECK"):
            lines = [x for x in self.broker.log().splitlines() if word in x]
            self.tally.check(not lines, f"the log says {lines[:3]}")
        for log in self.logs:
            self.tally.check(log.kind != "retained" or log.known()[1] > 0, f"{log}: retention took nothing")
        self.tally.check(self.squeezed > 0, "compaction took nothing")


def data_root():
    """A file system in memory where there is one with room: kill -9 takes nothing from either."""
    shm = "/dev/shm"
    if os.path.isdir(shm) and shutil.disk_usage(shm).free > 2 * DISK_MIN:
        return shm
    return None


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("minutes", type=float, nargs="?", default=1)
    p.add_argument("seconds", type=float, nargs="?", default=0)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--pause-ms", type=float, default=30, help="of each writer between two rounds")
    p.add_argument("--bite", action="store_true", help="damage a log once: the run has to fail")
    p.add_argument("--data", help="an existing folder to work in")
    args = p.parse_args()
    folder = tempfile.mkdtemp(prefix="moldau-soak-", dir=args.data or data_root())
    soak = Soak(args.seed, args.pause_ms / 1000, os.path.join(folder, "data"), args.bite)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {args.seed}, in {folder}", flush=True)
    try:
        soak.begin(args.seed * 1000)
        soak.run(args.minutes * 60 + args.seconds)
        soak.finish()
    except (*BROKEN, NotReady, AssertionError) as error:
        soak.tally.check(False, f"{error!r}")
    finally:
        soak.gone.set()
        soak.broker.kill()
        print(soak.state(), flush=True)
        if soak.tally.failed:
            shutil.copy(soak.broker.log_path, "/tmp/moldau-soak.log")
            print("the broker's log is in /tmp/moldau-soak.log")
        shutil.rmtree(folder, ignore_errors=True)
        soak.broker.close()
    print(f"{soak.tally.passed} passed, {soak.tally.failed} failed", flush=True)
    return 1 if soak.tally.failed or not soak.tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
