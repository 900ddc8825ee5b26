# SPDX-License-Identifier: Apache-2.0
"""What members of the consumer protocol get: assignors, expressions instead of names."""
from lib.consumer import Consumer, ConsumerCase


class Assignors(ConsumerCase):
    def setUp(self):
        super().setUp()
        self.t, self.u = self.topic(self.c, 3), self.topic(self.c, 3)
        self.ids = self.c.topic_id(self.t), self.c.topic_id(self.u)

    def test_range_gives_the_same_numbers_of_all_topics(self):
        a = Consumer(self, topics=[self.t, self.u], assignor="range", member="a").join()
        self.assertEqual(self.describe().assignor, "range")
        b = Consumer(self, topics=[self.t, self.u], assignor="range", member="b").join()
        self.settle(a, b)
        self.assertEqual(a.has, {i: [0, 1] for i in self.ids})
        self.assertEqual(b.has, {i: [2] for i in self.ids})

    def test_uniform_gives_as_many_to_all(self):
        a = Consumer(self, topics=[self.t, self.u]).join()
        self.assertEqual(self.describe().assignor, "uniform")
        b = Consumer(self, topics=[self.t, self.u]).join()
        c = Consumer(self, topics=[self.t, self.u]).join()
        self.settle(a, b, c)
        self.assertEqual([m.n() for m in (a, b, c)], [2, 2, 2])

    def test_uniform_with_different_subscriptions(self):
        a = Consumer(self, topics=[self.t, self.u]).join()
        b = Consumer(self, topics=[self.t]).join()
        self.settle(a, b)
        self.assertEqual((a.n(self.ids[1]), b.n(self.ids[0]), a.n()), (3, 3, 3))

    def test_the_majority_chooses(self):
        members = []
        for assignor, expected in (("range", ("range",)), ("uniform", ("range", "uniform")), ("range", ("range",)),
                                   ("uniform", ("range", "uniform"))):
            members.append(Consumer(self, topics=[self.t], assignor=assignor).join())
            self.assertIn(self.describe().assignor, expected)
        members[0].beat(assignor="uniform")
        self.assertEqual(self.describe().assignor, "uniform")


class Expressions(ConsumerCase):
    def test_topics_by_expression(self):
        base = self.name()
        self.c.create(base + "-a", 1)
        self.c.create(base + "-b", 2)
        self.c.create("x" + base + "-a", 4)
        a = Consumer(self, regex=base + "-[ab]").join()
        self.settle(a)
        self.eventually(lambda: self.assertEqual(a.beat().n(), 3))
        member = self.describe().members[0]
        self.assertEqual((member.topics, member.regex), ([], base + "-[ab]"))
        a.beat(regex="x?" + base + "-a")
        self.eventually(lambda: self.assertEqual(a.beat().n(), 5))
        a.beat(regex="", topics=[base + "-a"])
        self.eventually(lambda: self.assertEqual(a.beat().n(), 1))

    def test_a_topic_that_comes_later(self):
        base = self.name()
        a = Consumer(self, regex=base + ".*").join()
        self.assertEqual(a.n(), 0)
        self.c.create(base + "-a", 2)
        self.eventually(lambda: self.assertEqual(a.beat().n(), 2), 30)

    def test_whole_names_match(self):
        base = self.name()
        self.c.create(base + "-abc", 1)
        a = Consumer(self, regex="abc").join()
        b = Consumer(self, regex=base + "-(?i)ABC|nothing").join()
        self.eventually(lambda: self.assertEqual((a.beat().n(), b.beat().n()), (0, 1)), 30)
