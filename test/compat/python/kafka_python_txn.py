# SPDX-License-Identifier: Apache-2.0
"""Transactions of kafka-python: kafka_python_txn.py BOOTSTRAP [CHECK...]."""
import sys
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from checks import PREFIX, check, fails, run, same, until

WAIT_S = 15
admin = KafkaAdminClient(bootstrap_servers=sys.argv[1], request_timeout_ms=15000)


def made(name):
    topic = f"{PREFIX}-{name}"
    admin.create_topics({topic: {"num_partitions": 1}})
    return topic


def producer_of(name):
    producer = KafkaProducer(bootstrap_servers=sys.argv[1], transactional_id=f"{PREFIX}-{name}")
    producer.init_transactions()
    return producer


def consumer_of(group, topic, isolation="read_committed"):
    consumer = KafkaConsumer(bootstrap_servers=sys.argv[1], group_id=group, enable_auto_commit=False,
                             auto_offset_reset="earliest", isolation_level=isolation, fetch_max_wait_ms=100)
    consumer.assign([TopicPartition(topic, 0)])
    return consumer


def values(topic, n, isolation="read_committed"):
    """Of the first n, and of what comes in the moment after them."""
    consumer, out, end = consumer_of(None, topic, isolation), [], time.monotonic() + WAIT_S
    while time.monotonic() < end:
        for records in consumer.poll(100).values():
            out += [r.value for r in records]
        if n >= 0 and len(out) >= n:
            end = min(end, time.monotonic() + 0.3)
            n = -1
    consumer.close()
    return out


def transaction(producer, topic, *texts):
    producer.begin_transaction()
    for sent in [producer.send(topic, text) for text in texts]:
        sent.get(WAIT_S)


@check
def commit_and_abort():
    topic, producer = made("ends"), producer_of("ends")
    transaction(producer, topic, b"a", b"b")
    producer.commit_transaction()
    transaction(producer, topic, b"no")
    producer.abort_transaction()
    transaction(producer, topic, b"c")
    producer.commit_transaction()
    transaction(producer, topic, b"open")
    same("committed", [b"a", b"b", b"c"], values(topic, 3))
    same("all", [b"a", b"b", b"no", b"c", b"open"], values(topic, 5, "read_uncommitted"))
    producer.abort_transaction()
    same("committed at the end", [b"a", b"b", b"c"], values(topic, 3))
    producer.close()


@check
def offsets():
    topic, producer = made("offsets"), producer_of("offsets")
    at = TopicPartition(topic, 0)
    transaction(producer, topic, b"a", b"b")
    producer.commit_transaction()
    consumer = consumer_of(f"{PREFIX}-group", topic)

    def send(offset):
        producer.send_offsets_to_transaction({at: OffsetAndMetadata(offset, "", -1)}, consumer.group_metadata())

    transaction(producer, topic, b"c")
    send(1)
    producer.abort_transaction()
    until("after an abort", None, lambda: consumer.committed(at))
    transaction(producer, topic, b"d")
    send(2)
    producer.commit_transaction()
    until("after a commit", 2, lambda: consumer.committed(at))
    consumer.close()
    producer.close()


@check
def fencing():
    topic, first = made("fencing"), producer_of("fencing")
    transaction(first, topic, b"zombie")
    second = producer_of("fencing")
    transaction(second, topic, b"new")
    second.commit_transaction()
    fails(lambda error: isinstance(error, (errors.ProducerFencedError, errors.InvalidProducerEpochError)),
          first.commit_transaction)
    same("committed", [b"new"], values(topic, 1))
    second.close()


run(sys.argv[2:])
