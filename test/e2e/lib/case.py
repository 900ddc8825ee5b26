# SPDX-License-Identifier: Apache-2.0
"""The base of all test classes here."""
import itertools
import os
import time
import unittest

from . import broker as brokers
from .broker import Moldau, NotReady, OwnKafka, target
from .client import Closed

moldau_only = unittest.skipIf(target() != "moldau", "only for Moldau")
kafka_only = unittest.skipIf(target() != "kafka", "only for the original")
_serial = itertools.count(1)


class Case(unittest.TestCase):
    """`self.broker` is the shared broker; topics get names of their own, so that tests do not meet."""

    maxDiff = 4000
    own = False  # True: the class has a broker of its own, with `overrides`
    overrides = {}
    is_fair = False  # with `own`: the same settings mean the same to an original, which is asked too with KAFKA_OWN=1

    @classmethod
    def setUpClass(cls):
        if cls.own and target() != "moldau" and not (cls.is_fair and "KAFKA_OWN" in os.environ):
            raise unittest.SkipTest("KAFKA_OWN is not set" if cls.is_fair else "only for Moldau")
        if not cls.own:
            cls.broker = brokers.shared()
        else:
            cls.broker = (Moldau if target() == "moldau" else OwnKafka)(cls.overrides)
            cls.broker.start()

    @classmethod
    def tearDownClass(cls):
        if cls.own:
            cls.broker.close()

    def conn(self, broker=None, **values):
        conn = (broker or self.broker).conn(**values)
        self.addCleanup(conn.close)
        return conn

    def name(self):
        return f"{self._testMethodName.replace('test_', '')[:60]}-{os.getpid()}-{next(_serial)}"

    def topic(self, conn, partitions=1, **configs):
        name = self.name()
        conn.create(name, partitions, {k.replace("_", "."): v for k, v in configs.items()})
        return name

    def moldau(self, overrides=None, **values):
        """A process of this test alone, not started yet."""
        broker = Moldau(overrides, **values)
        self.addCleanup(broker.close)
        return broker

    def crash(self):
        if not self.broker.can_crash():
            self.skipTest("KAFKA_CRASH is not set")
        self.broker.crash()

    def refused(self, broker, seconds=40):
        """Starts a process that must end by itself; (exit code, output)."""
        broker.spawn()
        try:
            code = broker.wait_exit(seconds)
        except AssertionError:
            broker.kill()
            raise
        return code, broker.log()

    def served(self, broker, n):
        """n connections that have had an answer. One that ended just before may still hold its place."""
        out = []

        def more():
            while len(out) < n:
                conn = self.conn(broker)
                try:
                    conn.call("ApiVersions", 0)
                except (Closed, OSError) as error:
                    conn.close()
                    raise AssertionError(f"{len(out)} of {n} are served: {error}") from None
                out.append(conn)
        self.eventually(more)
        return out

    def eventually(self, check, seconds=20):
        """Until what `check` asserts is so; gives what it returned. Files may go while it looks at them."""
        end = time.monotonic() + seconds
        while True:
            try:
                answer = check()
                if isinstance(answer, bool):
                    raise TypeError("a check asserts; True or False would be looked at by nobody")
                return answer
            except (AssertionError, FileNotFoundError):
                if time.monotonic() > end:
                    raise
            time.sleep(0.02)


class CoordinatorCase(Case):
    """A Moldau of the class with `common` and `settings`; an original is the shared one, which has them already. Each
    test has a group's name, and finds all coordinators there."""
    common = {}
    settings = {}

    @classmethod
    def setUpClass(cls):
        moldau = target() == "moldau"
        cls.broker = Moldau({**cls.common, **cls.settings}).start() if moldau else brokers.shared()

    @classmethod
    def tearDownClass(cls):
        if target() == "moldau":
            cls.broker.close()

    def setUp(self):
        self.c = self.conn()
        self.g = self.name()
        self.c.wait_coordinators()


__all__ = ["Case", "CoordinatorCase", "NotReady", "kafka_only", "moldau_only"]
