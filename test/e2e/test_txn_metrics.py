# SPDX-License-Identifier: Apache-2.0
"""What the metrics say of open transactions. Only for Moldau."""
import re
import unittest

from lib.batch import Record, now_ms
from lib.broker import free_port
from test_http import get
from test_txn_data import COMMIT, TxnCase


class Metrics(TxnCase):
    own = True

    @classmethod
    def setUpClass(cls):
        cls.http = free_port()
        cls.overrides = {"http.listener": f"127.0.0.1:{cls.http}"}
        super().setUpClass()

    def value(self, name, **labels):
        status, _, text = get(self.http, "/metrics?dialect=native")
        self.assertEqual(status, 200)
        found = []
        for line in text.splitlines():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if match and match[1] == name and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"',
                                                                                match[2] or "")).items():
                found.append(float(match[3]))
        self.assertEqual(len(found), 1, (name, labels))
        return found[0]

    def lag(self, topic, wanted):
        self.eventually(lambda: self.assertEqual(
            self.value("moldau_partition_last_stable_offset_lag", topic=topic, partition="0"), wanted))

    def test_what_is_behind_an_open_transaction(self):
        t = self.topic(self.c)
        a = self.txn()
        self.plain(t, b"before")
        self.lag(t, 0)
        a.send(t, [b"x", b"y"])
        self.plain(t, b"behind")
        self.lag(t, 3)
        # Open, but not for longer than a transaction may be.
        self.assertEqual(self.value("moldau_partitions_late_transactions"), 0)
        a.end(COMMIT)
        self.wait_stable(t, 5)
        self.lag(t, 0)

    def test_a_transaction_whose_producer_is_silent_for_too_long(self):
        t = self.topic(self.c)
        a = self.txn()
        a.send(t, [Record(b"x", timestamp=now_ms() - 3600 * 1000)])
        self.eventually(lambda: self.assertEqual(self.value("moldau_partitions_late_transactions"), 1))
        a.end(COMMIT)
        self.eventually(lambda: self.assertEqual(self.value("moldau_partitions_late_transactions"), 0))


if __name__ == "__main__":
    unittest.main()
