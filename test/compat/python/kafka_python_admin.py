# SPDX-License-Identifier: Apache-2.0
"""The admin client of kafka-python: kafka_python_admin.py BOOTSTRAP [CHECK...]."""
import sys

from kafka import KafkaProducer, TopicPartition, errors
from kafka.admin import (ACLFilter, ACLOperation, ACLPermissionType, ACLResourcePatternType, ConfigResource,
                         KafkaAdminClient, OffsetSpec, ResourcePatternFilter, ResourceType)

from checks import PREFIX, check, fails, run, same, until

admin = KafkaAdminClient(bootstrap_servers=sys.argv[1], request_timeout_ms=15000)


def made(name, partitions=1, **configs):
    full = f"{PREFIX}-{name}"
    admin.create_topics({full: {"num_partitions": partitions, "configs": configs}})
    until("partitions", partitions, lambda: len(admin.describe_topics([full])[0]["partitions"]))
    return full


def config(kind, name, key):
    """The entry, or None; the client's own filter is off."""
    said = admin.describe_configs([ConfigResource(kind, name, configs={key: None})], include_synonyms=True,
                                  config_filter="all")
    return said[kind.lower()][name].get(key)


def value(kind, name, key):
    entry = config(kind, name, key)
    return entry and entry["value"]


def alter(kind, name, **values):
    configs = {k.replace("_", "."): v for k, v in values.items()}
    said = admin.alter_configs([ConfigResource(kind, name, configs=configs)])
    return said[kind.lower()][name]


@check
def topics():
    name = made("t", 2)
    fails(errors.TopicAlreadyExistsError, lambda: admin.create_topics({name: {"num_partitions": 1}}))
    fails(errors.InvalidReplicationFactorError,
          lambda: admin.create_topics({PREFIX + "-two": {"num_partitions": 1, "replication_factor": 2}}))
    fails(errors.InvalidTopicError, lambda: admin.create_topics({"a b": {"num_partitions": 1}}))
    page = admin.describe_topic_partitions([name], response_partition_limit=1)
    same("next", {"topic_name": name, "partition_index": 1}, page["next_cursor"])
    same("leaders", [1, 1], [p["leader_id"] for p in admin.describe_topics([name])[0]["partitions"]])
    admin.delete_topics([name])
    fails(errors.UnknownTopicOrPartitionError, lambda: admin.delete_topics([name]))


@check
def partitions():
    name = made("grows")
    admin.create_partitions({name: 3})
    until("partitions", 3, lambda: len(admin.describe_topics([name])[0]["partitions"]))
    fails(errors.InvalidPartitionsError, lambda: admin.create_partitions({name: 2}))


@check
def topic_configs():
    name = made("config", **{"retention.ms": "70000"})
    entry = config("TOPIC", name, "retention.ms")
    same("entry", ("70000", False, "DYNAMIC_TOPIC_CONFIG", "LONG"),
         (entry["value"], entry["read_only"], entry["config_source"], entry["config_type"]))
    same("default", "DEFAULT_CONFIG", config("TOPIC", name, "cleanup.policy")["config_source"])
    same("append", "OK", alter("TOPIC", name, cleanup_policy=("APPEND", "compact")))
    until("appended", "delete,compact", lambda: value("TOPIC", name, "cleanup.policy"))
    same("soon", True, "Invalid value soon for configuration retention.ms: Not a number of type LONG" in
         alter("TOPIC", name, retention_ms="soon"))
    admin.reset_configs([ConfigResource("TOPIC", name, configs={"retention.ms": None})])
    until("reset", "604800000", lambda: value("TOPIC", name, "retention.ms"))
    same("set anew", "OK", admin.alter_configs([ConfigResource("TOPIC", name, configs={"flush.ms": "777"})],
                                               incremental=False)["topic"][name])
    until("set", "777", lambda: value("TOPIC", name, "flush.ms"))


@check
def broker_configs():
    same("node.id", ("1", True), tuple(config("BROKER", "1", "node.id")[k] for k in ("value", "read_only")))
    same("set", "OK", alter("BROKER", "1", log_retention_ms="5000000"))
    until("set", "5000000", lambda: value("BROKER", "1", "log.retention.ms"))
    admin.reset_configs([ConfigResource("BROKER", "1", configs={"log.retention.ms": None})])
    until("reset", None, lambda: value("BROKER", "1", "log.retention.ms"))
    resources = admin.list_config_resources()
    same("brokers", ["1"], resources["broker"])


@check
def records():
    name = made("records")
    producer = KafkaProducer(bootstrap_servers=sys.argv[1])
    for i in range(10):
        producer.send(name, b"v", partition=0, timestamp_ms=1_000_000 + i)
    producer.close()
    at = TopicPartition(name, 0)
    for spec, offset in ((OffsetSpec.EARLIEST, 0), (OffsetSpec.LATEST, 10), (OffsetSpec.MAX_TIMESTAMP, 9),
                         (1_000_003, 3)):
        same(f"offset of {spec}", offset, admin.list_partition_offsets({at: spec})[at].offset)
    same("low watermark", 4, admin.delete_records({at: 4})[at]["low_watermark"])
    same("earliest", 4, admin.list_partition_offsets({at: OffsetSpec.EARLIEST})[at].offset)
    fails(errors.OffsetOutOfRangeError, lambda: admin.delete_records({at: 99}))


@check
def log_dirs():
    name = made("dirs", 2)

    def directory():
        (node,) = admin.describe_log_dirs([name])
        (only,) = node["log_dirs"]
        return only

    until("partitions", [0, 1],
          lambda: sorted(p["partition_index"] for t in directory()["topics"] for p in t["partitions"]))
    found = directory()
    same("error", 0, found["error_code"])
    same("space", True, found["total_bytes"] > found["usable_bytes"] > 0)


@check
def moves():
    at = TopicPartition(made("moved"), 0)
    said = admin.elect_leaders(0, {at.topic: [0]})
    same("election", 84, said.replica_election_results[0].partition_result[0].error_code)
    same("none", {}, admin.list_partition_reassignments())
    same("the same replicas", {at: None}, admin.alter_partition_reassignments({at: [1]}))
    same("nothing to cancel", {at: errors.NoReassignmentInProgressError},
         admin.alter_partition_reassignments({at: None}))


@check
def node():
    said = admin.describe_cluster()
    same("nodes", [1], [b["broker_id"] for b in said["brokers"]])
    same("controller", 1, said["controller_id"])
    quorum = admin.describe_metadata_quorum()
    same("leader", 1, quorum["topics"][0]["partitions"][0]["leader_id"])
    features = admin.describe_features()
    same("metadata.version", (30, 30), features["metadata.version"]["finalized"])
    same("lower", {"streams.version": "OK"},
         admin.update_features({"streams.version": ("SAFE_DOWNGRADE", 0)}, validate_only=True))
    fails(errors.InvalidUpdateVersionError, lambda: admin.update_features({"streams.version": 9}))


@check
def security():
    everything = ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY,
                           ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY))
    fails(errors.SecurityDisabledError, lambda: admin.describe_acls(everything))
    same("users", {}, admin.describe_user_scram_credentials())


run(sys.argv[2:])
