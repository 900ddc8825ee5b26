# SPDX-License-Identifier: Apache-2.0
"""The admin client of kafka-python: kafka_python_admin.py BOOTSTRAP [CHECK...]."""
import sys

from kafka import KafkaProducer, TopicPartition
from kafka import errors
from kafka.admin import (ACLFilter, ACLOperation, ACLPermissionType, ConfigResource, ConfigResourceType, ElectionType,
                         KafkaAdminClient, NewPartitions, NewTopic, OffsetSpec, ResourcePatternFilter, ResourceType)

from checks import PREFIX, check, fails, run, same, until

admin = KafkaAdminClient(bootstrap_servers=sys.argv[1], request_timeout_ms=15000)
