# SPDX-License-Identifier: Apache-2.0
"""Messages of transactions; see schema.py for the form."""
TEXT = """
api AddPartitionsToTxn 24 flex=3
request
  transactions [] 4+
    transactional_id string
    producer_id int64
    producer_epoch int16
    verify_only bool
    topics []
      name string
      partitions int32[]
  transactional_id string 0-3
  producer_id int64 0-3
  producer_epoch int16 0-3
  topics [] 0-3
    name string
    partitions int32[]
response
  throttle_ms int32
  error int16 4+
  transactions [] 4+
    transactional_id string
    topics []
      name string
      partitions []
        index int32
        error int16
  topics [] 0-3
    name string
    partitions []
      index int32
      error int16

api AddOffsetsToTxn 25 flex=3
request
  transactional_id string
  producer_id int64
  producer_epoch int16
  group_id string
response
  throttle_ms int32
  error int16

api EndTxn 26 flex=3
request
  transactional_id string
  producer_id int64
  producer_epoch int16
  committed bool
response
  throttle_ms int32
  error int16
  producer_id int64 5+
  producer_epoch int16 5+

api WriteTxnMarkers 27 flex=1
request
  markers []
    producer_id int64
    producer_epoch int16
    commit bool
    topics []
      name string
      partitions int32[]
    coordinator_epoch int32
    transaction_version int8 2+
response
  markers []
    producer_id int64
    topics []
      name string
      partitions []
        index int32
        error int16

api TxnOffsetCommit 28 flex=3
request
  transactional_id string
  group_id string
  producer_id int64
  producer_epoch int16
  generation_id int32 3+ def=-1
  member_id string 3+
  group_instance_id string 3+ null=3+ def=null
  topics []
    name string
    partitions []
      index int32
      offset int64
      leader_epoch int32 2+ def=-1
      metadata string null=0+
response
  throttle_ms int32
  topics []
    name string
    partitions []
      index int32
      error int16

api DescribeTransactions 65 flex=0
request
  transactional_ids string[]
response
  throttle_ms int32
  states []
    error int16
    transactional_id string
    state string
    timeout_ms int32
    start_ms int64
    producer_id int64
    producer_epoch int16
    topics []
      name string
      partitions int32[]

api ListTransactions 66 flex=0
request
  state_filters string[]
  producer_id_filters int64[]
  duration_filter int64 1+ def=-1
  pattern string 2+ null=2+ def=null
response
  throttle_ms int32
  error int16
  unknown_state_filters string[]
  states []
    transactional_id string
    producer_id int64
    state string
"""
