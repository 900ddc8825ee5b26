# SPDX-License-Identifier: Apache-2.0
"""More messages in the form of schema.py: what consumers and administrators say to a group's coordinator."""

TEXT = """
api OffsetCommit 8 flex=8
request
  group string
  generation int32 def=-1
  member string
  instance string 7+ null=7+ def=null
  retention_ms int64 2-4 def=-1
  topics []
    name string 0-9
    topic_id uuid 10+
    partitions []
      index int32
      offset int64
      leader_epoch int32 6+ def=-1
      metadata string null=0+
response
  throttle_ms int32 3+
  topics []
    name string 0-9
    topic_id uuid 10+
    partitions []
      index int32
      error int16

api OffsetFetch 9 flex=6
request
  group string 0-7
  topics [] 0-7 null=2-7
    name string
    partitions int32[]
  groups [] 8+
    group string
    member string 9+ null=9+ def=null
    epoch int32 9+ def=-1
    topics [] null=8+
      name string 0-9
      topic_id uuid 10+
      partitions int32[]
  require_stable bool 7+
response
  throttle_ms int32 3+
  topics [] 0-7
    name string
    partitions []
      index int32
      offset int64
      leader_epoch int32 5+
      metadata string null=0+
      error int16
  error int16 2-7
  groups [] 8+
    group string
    topics []
      name string 0-9
      topic_id uuid 10+
      partitions []
        index int32
        offset int64
        leader_epoch int32
        metadata string null=0+
        error int16
    error int16

api JoinGroup 11 flex=6
request
  group string
  session_ms int32 def=30000
  rebalance_ms int32 1+ def=30000
  member string
  instance string 5+ null=5+ def=null
  type string
  protocols []
    name string
    metadata bytes
  reason string 8+ null=8+ def=null
response
  throttle_ms int32 2+
  error int16
  generation int32
  type string 7+ null=7+
  protocol string null=7+
  leader string
  skip_assignment bool 9+
  member string
  members []
    member string
    instance string 5+ null=5+
    metadata bytes

api SyncGroup 14 flex=4
request
  group string
  generation int32
  member string
  instance string 3+ null=3+ def=null
  type string 5+ null=5+
  protocol string 5+ null=5+
  assignments []
    member string
    assignment bytes
response
  throttle_ms int32 1+
  error int16
  type string 5+ null=5+
  protocol string 5+ null=5+
  assignment bytes

api Heartbeat 12 flex=4
request
  group string
  generation int32
  member string
  instance string 3+ null=3+ def=null
response
  throttle_ms int32 1+
  error int16

api LeaveGroup 13 flex=4
request
  group string
  member string 0-2
  members [] 3+
    member string
    instance string null=3+ def=null
    reason string 5+ null=5+ def=null
response
  throttle_ms int32 1+
  error int16
  members [] 3+
    member string
    instance string null=3+
    error int16

api DescribeGroups 15 flex=5
request
  groups string[]
  include_ops bool 3+
response
  throttle_ms int32 1+
  groups []
    error int16
    message string 6+ null=6+
    group string
    state string
    type string
    protocol string
    members []
      member string
      instance string 4+ null=4+
      client_id string
      client_host string
      metadata bytes
      assignment bytes
    ops int32 3+

api ListGroups 16 flex=3
request
  states string[] 4+
  types string[] 5+
response
  throttle_ms int32 1+
  error int16
  groups []
    group string
    protocol_type string
    state string 4+
    type string 5+

api DeleteGroups 42 flex=2
request
  groups string[]
response
  throttle_ms int32
  results []
    group string
    error int16

api OffsetDelete 47 flex=99
request
  group string
  topics []
    name string
    partitions []
      index int32
response
  error int16
  throttle_ms int32
  topics []
    name string
    partitions []
      index int32
      error int16

api ConsumerGroupHeartbeat 68 flex=0
request
  group string
  member string
  epoch int32
  instance string null=0+ def=null
  rack string null=0+ def=null
  rebalance_ms int32 def=-1
  topics string[] null=0+ def=null
  regex string 1+ null=1+ def=null
  assignor string null=0+ def=null
  owned [] null=0+ def=null
    topic_id uuid
    partitions int32[]
response
  throttle_ms int32
  error int16
  message string null=0+
  member string null=0+
  epoch int32
  interval_ms int32
  assignment {} null=0+
    topics []
      topic_id uuid
      partitions int32[]

api ConsumerGroupDescribe 69 flex=0
request
  groups string[]
  include_ops bool
response
  throttle_ms int32
  groups []
    error int16
    message string null=0+
    group string
    state string
    epoch int32
    assignment_epoch int32
    assignor string
    members []
      member string
      instance string null=0+
      rack string null=0+
      epoch int32
      client_id string
      client_host string
      topics string[]
      regex string null=0+
      assignment {}
        topics []
          topic_id uuid
          name string
          partitions int32[]
      target {}
        topics []
          topic_id uuid
          name string
          partitions int32[]
      type int8 1+
    ops int32
"""
