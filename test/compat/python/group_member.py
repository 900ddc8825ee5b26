# SPDX-License-Identifier: Apache-2.0
"""One member of a group, of confluent-kafka (either protocol) or kafka-python: reads, prints each record ("R partition
offset"), commits now and then and prints what it committed ("C partition offset"), until stdin ends.

    group_member.py confluent|confluent-consumer|python BOOTSTRAP TOPIC GROUP [INSTANCE]"""
import select
import sys


def ended():
    return bool(select.select([sys.stdin], [], [], 0)[0])


def say(*words):
    print(*words, flush=True)


def confluent_consumer(bootstrap, topic, group, instance):
    confluent(bootstrap, topic, group, instance, "consumer")


def confluent(bootstrap, topic, group, instance, protocol="classic"):
    from confluent_kafka import Consumer, KafkaException
    config = {"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False,
              "auto.offset.reset": "earliest"}
    if protocol == "consumer":
        config["group.protocol"] = protocol
    else:
        config.update({"session.timeout.ms": 6000, "heartbeat.interval.ms": 500, "partition.assignment.strategy":
                       "range" if "sticky" not in group else "cooperative-sticky"})
    if instance:
        config["group.instance.id"] = instance
    consumer = Consumer(config)
    consumer.subscribe([topic])
    n = 0
    while not ended():
        message = consumer.poll(0.2)
        if message is not None and not message.error():
            say("R", message.partition(), message.offset())
            n += 1
        if n >= 20 or (message is None and n):
            try:
                for done in consumer.commit(asynchronous=False) or []:
                    if not done.error and done.offset >= 0:
                        say("C", done.partition, done.offset)
            except KafkaException as error:
                say("#", str(error))
            n = 0
    consumer.close()


def python(bootstrap, topic, group, instance):
    from kafka import KafkaConsumer
    from kafka.errors import KafkaError
    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False,
                             auto_offset_reset="earliest", session_timeout_ms=6000, heartbeat_interval_ms=500)
    while not ended():
        batches = consumer.poll(200)
        for partition, records in batches.items():
            for record in records:
                say("R", partition.partition, record.offset)
        if batches:
            ends = {p.partition: r[-1].offset + 1 for p, r in batches.items()}
            try:
                consumer.commit()
                for partition, offset in ends.items():
                    say("C", partition, offset)
            except KafkaError as error:
                say("#", repr(error))
    consumer.close()


CLIENTS = {"confluent": confluent, "confluent-consumer": confluent_consumer, "python": python}
CLIENTS[sys.argv[1]](*sys.argv[2:5], sys.argv[5] if len(sys.argv) > 5 else None)
