# SPDX-License-Identifier: Apache-2.0
"""More messages in the form of schema.py: those that change what the controller keeps."""

TEXT = """
api AlterConfigs 33 flex=2
request
  resources []
    type int8
    name string
    configs []
      name string
      value string null=0+
  validate_only bool
response
  throttle_ms int32
  responses []
    error int16
    message string null=0+
    type int8
    name string

api CreatePartitions 37 flex=2
request
  topics []
    name string
    count int32
    assignments [] null=0+ def=null
      brokers int32[]
  timeout_ms int32 def=10000
  validate_only bool
response
  throttle_ms int32
  results []
    name string
    error int16
    message string null=0+

api UpdateFeatures 57 flex=0
request
  timeout_ms int32 def=60000
  updates []
    feature string
    level int16
    allow_downgrade bool 0
    upgrade_type int8 1+ def=1
  validate_only bool 1+
response
  throttle_ms int32
  error int16
  message string null=0+
  results [] 0-1
    feature string
    error int16
    message string null=0+

api UnregisterBroker 64 flex=0
request
  broker_id int32
response
  throttle_ms int32
  error int16
  message string null=0+

api ElectLeaders 43 flex=2
request
  type int8 1+
  topics [] null=0+ def=null
    name string
    partitions int32[]
  timeout_ms int32 def=60000
response
  throttle_ms int32
  error int16 1+
  topics []
    name string
    partitions []
      index int32
      error int16
      message string null=0+

api AlterPartitionReassignments 45 flex=0
request
  timeout_ms int32 def=60000
  allow_factor_change bool 1+ def=1
  topics []
    name string
    partitions []
      index int32
      replicas int32[] null=0+ def=null
response
  throttle_ms int32
  allow_factor_change bool 1+
  error int16
  message string null=0+
  topics []
    name string
    partitions []
      index int32
      error int16
      message string null=0+

api ListPartitionReassignments 46 flex=0
request
  timeout_ms int32 def=60000
  topics [] null=0+ def=null
    name string
    partitions int32[]
response
  throttle_ms int32
  error int16
  message string null=0+
  topics []
    name string
    partitions []
      index int32
      replicas int32[]
      adding int32[]
      removing int32[]

api AlterUserScramCredentials 51 flex=0
request
  deletions []
    name string
    mechanism int8
  upsertions []
    name string
    mechanism int8
    iterations int32
    salt bytes
    salted_password bytes
response
  throttle_ms int32
  results []
    user string
    error int16
    message string null=0+

api DescribeAcls 29 flex=2
request
  resource_type int8 def=1
  resource_name string null=0+ def=null
  pattern_type int8 def=1
  principal string null=0+ def=null
  host string null=0+ def=null
  operation int8 def=1
  permission_type int8 def=1
response
  throttle_ms int32
  error int16
  message string null=0+
  resources []
    type int8
    name string
    pattern_type int8
    acls []
      principal string
      host string
      operation int8
      permission_type int8

api CreateAcls 30 flex=2
request
  creations []
    type int8 def=2
    name string
    pattern_type int8 def=3
    principal string
    host string
    operation int8 def=3
    permission_type int8 def=3
response
  throttle_ms int32
  results []
    error int16
    message string null=0+

api DeleteAcls 31 flex=2
request
  filters []
    resource_type int8 def=1
    resource_name string null=0+ def=null
    pattern_type int8 def=1
    principal string null=0+ def=null
    host string null=0+ def=null
    operation int8 def=1
    permission_type int8 def=1
response
  throttle_ms int32
  results []
    error int16
    message string null=0+
    matching []
      error int16
      message string null=0+
      type int8
      name string
      pattern_type int8
      principal string
      host string
      operation int8
      permission_type int8

api DescribeUserScramCredentials 50 flex=0
request
  users [] null=0+ def=null
    name string
response
  throttle_ms int32
  error int16
  message string null=0+
  results []
    user string
    error int16
    message string null=0+
    infos []
      mechanism int8
      iterations int32

api DescribeProducers 61 flex=0
request
  topics []
    name string
    partitions int32[]
response
  throttle_ms int32
  topics []
    name string
    partitions []
      index int32
      error int16
      message string null=0+
      producers []
        producer_id int64
        producer_epoch int32
        last_sequence int32
        last_timestamp int64
        coordinator_epoch int32
        txn_start int64
"""
