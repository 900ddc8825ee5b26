# SPDX-License-Identifier: Apache-2.0
"""kafka-python as a compat client: see ../README.md for the three commands every client has."""
import json
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

CODECS = {"none": None, "gzip": "gzip", "snappy": "snappy", "lz4": "lz4", "zstd": "zstd"}


def unhex(text):
    return None if text is None else bytes.fromhex(text)


def tohex(data):
    return None if data is None else bytes(data).hex()


def send(producer, topic, r):
    return producer.send(topic, value=unhex(r["v"]), key=unhex(r["k"]), partition=0, timestamp_ms=r["t"],
                         headers=[(k, unhex(v)) for k, v in r["h"]])


def produce(bootstrap, topic, codec):
    producer = KafkaProducer(bootstrap_servers=bootstrap, compression_type=CODECS[codec], acks="all", linger_ms=20,
                             max_request_size=1 << 20)
    futures = [send(producer, topic, json.loads(line)) for line in sys.stdin]
    for future in futures:
        future.get(timeout=30)
    producer.close()


def consumer_of(bootstrap, **values):
    return KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False,
                         auto_offset_reset="earliest", **values)


def emit(topic, m):
    print(json.dumps({"topic": topic, "k": tohex(m.key), "v": tohex(m.value), "t": m.timestamp, "o": m.offset,
                      "h": [[k, tohex(v)] for k, v in m.headers]}), flush=True)


def read(bootstrap, *wanted):
    for item in wanted:
        topic, _, count = item.rpartition(":")
        consumer = consumer_of(bootstrap, consumer_timeout_ms=15000)
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek_to_beginning()
        for n, m in enumerate(consumer, 1):
            emit(topic, m)
            if n == int(count):
                break
        consumer.close()


def ride(bootstrap, topic):
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", retries=100, request_timeout_ms=10000)
    consumer = consumer_of(bootstrap, consumer_timeout_ms=30000)
    consumer.assign([TopicPartition(topic, 0)])
    serial = 0
    for line in sys.stdin:
        command, count = line.split()
        for _ in range(int(count)):
            if command == "produce":
                producer.send(topic, value=b"%d" % serial, partition=0).get(timeout=60)
                serial += 1
            else:
                emit(topic, next(consumer))
        print("done", flush=True)


globals()[sys.argv[1]](*sys.argv[2:])
