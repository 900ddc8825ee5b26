# SPDX-License-Identifier: Apache-2.0
"""Transactions of confluent-kafka (librdkafka): confluent_txn.py BOOTSTRAP [CHECK...]."""
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from checks import PREFIX, check, fails, run, same, until

WAIT_S = 15
admin = AdminClient({"bootstrap.servers": sys.argv[1]})


def made(name):
    topic = f"{PREFIX}-{name}"
    next(iter(admin.create_topics([NewTopic(topic, 1, 1)]).values())).result(WAIT_S)
    return topic


def producer_of(name):
    producer = Producer({"bootstrap.servers": sys.argv[1], "transactional.id": f"{PREFIX}-{name}", "linger.ms": 0,
                         "topic.metadata.refresh.interval.ms": 1000})
    producer.init_transactions(WAIT_S)
    return producer


def consumer_of(group, topic, isolation="read_committed"):
    consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": group, "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", "isolation.level": isolation, "fetch.wait.max.ms": 100})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    return consumer


def values(topic, n, isolation="read_committed"):
    """Of the first n, and of what comes in the moment after them."""
    consumer, out, end = consumer_of(f"{PREFIX}-reader", topic, isolation), [], time.monotonic() + WAIT_S
    while time.monotonic() < end:
        message = consumer.poll(0.1)
        if message is not None and not message.error():
            out.append(message.value())
        if len(out) == n:
            end = min(end, time.monotonic() + 0.3)
            n = -1
    consumer.close()
    return out


def transaction(producer, topic, *texts):
    producer.begin_transaction()
    for text in texts:
        producer.produce(topic, text)
    same("unsent", 0, producer.flush(WAIT_S))


@check
def commit_and_abort():
    topic, producer = made("ends"), producer_of("ends")
    transaction(producer, topic, b"a", b"b")
    producer.commit_transaction(WAIT_S)
    transaction(producer, topic, b"no")
    producer.abort_transaction(WAIT_S)
    transaction(producer, topic, b"c")
    producer.commit_transaction(WAIT_S)
    transaction(producer, topic, b"open")
    same("committed", [b"a", b"b", b"c"], values(topic, 3))
    same("all", [b"a", b"b", b"no", b"c", b"open"], values(topic, 5, "read_uncommitted"))
    producer.abort_transaction(WAIT_S)
    same("committed at the end", [b"a", b"b", b"c"], values(topic, 3))


@check
def offsets():
    topic, producer, group = made("offsets"), producer_of("offsets"), f"{PREFIX}-group"
    at = TopicPartition(topic, 0)
    transaction(producer, topic, b"a", b"b")
    producer.commit_transaction(WAIT_S)
    consumer = consumer_of(group, topic)

    def stored():
        return consumer.committed([at], WAIT_S)[0].offset

    before = stored()
    transaction(producer, topic, b"c")
    producer.send_offsets_to_transaction([TopicPartition(topic, 0, 1)], consumer.consumer_group_metadata(), WAIT_S)
    producer.abort_transaction(WAIT_S)
    until("after an abort", before, stored)
    transaction(producer, topic, b"d")
    producer.send_offsets_to_transaction([TopicPartition(topic, 0, 2)], consumer.consumer_group_metadata(), WAIT_S)
    producer.commit_transaction(WAIT_S)
    until("after a commit", 2, stored)
    consumer.close()


@check
def fencing():
    topic, first = made("fencing"), producer_of("fencing")
    transaction(first, topic, b"zombie")
    second = producer_of("fencing")
    transaction(second, topic, b"new")
    second.commit_transaction(WAIT_S)

    def fenced(error):
        return isinstance(error, KafkaException) and error.args[0].code() in (KafkaError._FENCED,
                                                                              KafkaError.PRODUCER_FENCED)

    fails(fenced, lambda: first.commit_transaction(WAIT_S))
    same("committed", [b"new"], values(topic, 1))


run(sys.argv[2:])
