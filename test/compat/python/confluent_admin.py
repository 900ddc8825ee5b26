# SPDX-License-Identifier: Apache-2.0
"""The admin client of confluent-kafka (librdkafka): confluent_admin.py BOOTSTRAP [CHECK...]."""
import sys

from confluent_kafka import ElectionType, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import (AclBindingFilter, AclOperation, AclPermissionType, AdminClient, AlterConfigOpType,
                                   ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec,
                                   ResourcePatternType, ResourceType)

from checks import PREFIX, check, fails, run, same, until

WAIT_S = 15
admin = AdminClient({"bootstrap.servers": sys.argv[1]})


def one(futures):
    return next(iter(futures.values())).result(WAIT_S)


def is_error(code):
    return lambda error: isinstance(error, KafkaException) and error.args[0].code() == code


def made(name, partitions=1, **config):
    one(admin.create_topics([NewTopic(f"{PREFIX}-{name}", partitions, 1, config=config)]))
    until("partitions", partitions, lambda: count(f"{PREFIX}-{name}"))
    return f"{PREFIX}-{name}"


def count(name):
    """Partitions; the original shows a new topic a moment after it made it."""
    topic = admin.list_topics(timeout=WAIT_S).topics.get(name)
    return len(topic.partitions) if topic else 0


def produce(topic, n):
    producer = Producer({"bootstrap.servers": sys.argv[1]})
    for i in range(n):
        producer.produce(topic, b"v", partition=0, timestamp=1_000_000 + i)
    same("unsent", 0, producer.flush(WAIT_S))


def value(kind, name, key):
    return one(admin.describe_configs([ConfigResource(kind, name)]))[key].value


def alter(kind, name, key, text, op):
    entry = ConfigEntry(key, text, incremental_operation=op)
    one(admin.incremental_alter_configs([ConfigResource(kind, name, incremental_configs=[entry])]))


@check
def topics():
    name = made("t", 2)
    fails(is_error(KafkaError.TOPIC_ALREADY_EXISTS), lambda: one(admin.create_topics([NewTopic(name, 1, 1)])))
    fails(is_error(KafkaError.INVALID_REPLICATION_FACTOR),
          lambda: one(admin.create_topics([NewTopic(PREFIX + "-two", 1, 2)])))
    fails(is_error(KafkaError.TOPIC_EXCEPTION), lambda: one(admin.create_topics([NewTopic("a b", 1, 1)])))
    fails(is_error(KafkaError.INVALID_CONFIG),
          lambda: one(admin.create_topics([NewTopic(PREFIX + "-c", 1, 1, config={"retention.ms": "soon"})])))
    described = one(admin.describe_topics(TopicCollection([name])))
    same("partitions", [0, 1], sorted(p.id for p in described.partitions))
    one(admin.delete_topics([name]))
    fails(is_error(KafkaError.UNKNOWN_TOPIC_OR_PART), lambda: one(admin.delete_topics([name])))


@check
def partitions():
    name = made("grows")
    one(admin.create_partitions([NewPartitions(name, 3)]))
    until("partitions", 3, lambda: count(name))
    fails(is_error(KafkaError.INVALID_PARTITIONS), lambda: one(admin.create_partitions([NewPartitions(name, 2)])))


@check
def topic_configs():
    name, topic = made("config", **{"retention.ms": "70000"}), ResourceType.TOPIC
    same("retention.ms", "70000", value(topic, name, "retention.ms"))
    same("default", "delete", value(topic, name, "cleanup.policy"))
    alter(topic, name, "cleanup.policy", "compact", AlterConfigOpType.APPEND)
    until("appended", "delete,compact", lambda: value(topic, name, "cleanup.policy"))
    alter(topic, name, "cleanup.policy", "delete", AlterConfigOpType.SUBTRACT)
    until("subtracted", "compact", lambda: value(topic, name, "cleanup.policy"))
    alter(topic, name, "retention.ms", None, AlterConfigOpType.DELETE)
    until("deleted", "604800000", lambda: value(topic, name, "retention.ms"))
    fails(is_error(KafkaError.INVALID_CONFIG),
          lambda: alter(topic, name, "retention.ms", "soon", AlterConfigOpType.SET))
    fails(is_error(KafkaError.UNKNOWN_TOPIC_OR_PART), lambda: value(topic, PREFIX + "-no", "retention.ms"))
    # The older request sets everything anew.
    one(admin.alter_configs([ConfigResource(topic, name, set_config={"flush.ms": "12345"})]))
    until("set", "12345", lambda: value(topic, name, "flush.ms"))
    same("no longer set", "delete", value(topic, name, "cleanup.policy"))


@check
def broker_configs():
    kind = ResourceType.BROKER
    same("node.id", "1", value(kind, "1", "node.id"))
    alter(kind, "1", "log.retention.ms", "5000000", AlterConfigOpType.SET)
    until("set", "5000000", lambda: value(kind, "1", "log.retention.ms"))
    alter(kind, "1", "log.retention.ms", None, AlterConfigOpType.DELETE)
    until("deleted", None, lambda: value(kind, "1", "log.retention.ms"))
    fails(is_error(KafkaError.INVALID_REQUEST), lambda: alter(kind, "1", "log.dirs", "/x", AlterConfigOpType.SET))


@check
def records():
    name = made("records")
    at = TopicPartition(name, 0)
    produce(name, 10)
    for spec, offset in ((OffsetSpec.earliest(), 0), (OffsetSpec.latest(), 10), (OffsetSpec.max_timestamp(), 9),
                         (OffsetSpec.for_timestamp(1_000_003), 3)):
        same(f"offset of {spec}", offset, one(admin.list_offsets({at: spec})).offset)
    same("low watermark", 4, one(admin.delete_records([TopicPartition(name, 0, 4)])).low_watermark)
    same("earliest", 4, one(admin.list_offsets({at: OffsetSpec.earliest()})).offset)
    fails(is_error(KafkaError.OFFSET_OUT_OF_RANGE), lambda: one(admin.delete_records([TopicPartition(name, 0, 99)])))


@check
def elections():
    name = made("elected")
    at = TopicPartition(name, 0)
    said = admin.elect_leaders(ElectionType.PREFERRED, [at]).result(WAIT_S)
    same("election", KafkaError.ELECTION_NOT_NEEDED, said[at].code())


@check
def cluster():
    said = admin.describe_cluster().result(WAIT_S)
    same("nodes", [1], [n.id for n in said.nodes])
    same("controller", 1, said.controller.id)
    same("id's length", 22, len(said.cluster_id))


@check
def security():
    everything = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY,
                                  AclPermissionType.ANY)
    # librdkafka drops the error SECURITY_DISABLED of this answer.
    same("acls", [], admin.describe_acls(everything).result(WAIT_S))
    same("users", {}, admin.describe_user_scram_credentials().result(WAIT_S))


run(sys.argv[2:])
