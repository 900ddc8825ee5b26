# SPDX-License-Identifier: Apache-2.0
"""confluent-kafka (librdkafka) as a compat client: see ../README.md for the three commands every client has."""
import json
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition


def unhex(text):
    return None if text is None else bytes.fromhex(text)


def tohex(data):
    return None if data is None else bytes(data).hex()


def failed(error, _=None):
    if error is not None:
        raise KafkaException(error)


def produce(bootstrap, topic, codec):
    producer = Producer({"bootstrap.servers": bootstrap, "compression.codec": codec, "acks": "all", "linger.ms": 20,
                         "enable.idempotence": True})
    for line in sys.stdin:
        r = json.loads(line)
        producer.produce(topic, unhex(r["v"]), unhex(r["k"]), 0, on_delivery=failed, timestamp=r["t"],
                         headers=[(k, unhex(v)) for k, v in r["h"]])
        producer.poll(0)
    if producer.flush(30):
        sys.exit("not everything was delivered")


def consumer_of(bootstrap):
    return Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
                     "auto.offset.reset": "earliest", "check.crcs": True, "fetch.wait.max.ms": 100})


def next_message(consumer, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        m = consumer.poll(1.0)
        if m is not None and not m.error():
            return m
        if m is not None and not m.error().retriable() and m.error().fatal():
            raise KafkaException(m.error())
    sys.exit(f"no message in time, position {consumer.position(consumer.assignment())}")


def emit(topic, m):
    print(json.dumps({"topic": topic, "k": tohex(m.key()), "v": tohex(m.value()), "t": m.timestamp()[1],
                      "o": m.offset(),
                      "h": [[k, tohex(v)] for k, v in m.headers() or []]}), flush=True)


def read(bootstrap, *wanted):
    for item in wanted:
        topic, _, count = item.rpartition(":")
        consumer = consumer_of(bootstrap)
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        for _ in range(int(count)):
            emit(topic, next_message(consumer))
        consumer.close()


def ride(bootstrap, topic):
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True,
                         "message.timeout.ms": 60000})
    consumer = consumer_of(bootstrap)
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    serial = 0
    for line in sys.stdin:
        command, count = line.split()
        for _ in range(int(count)):
            if command == "produce":
                producer.produce(topic, b"%d" % serial, partition=0, on_delivery=failed)
                producer.flush(60)
                serial += 1
            else:
                emit(topic, next_message(consumer))
        print("done", flush=True)


globals()[sys.argv[1]](*sys.argv[2:])
