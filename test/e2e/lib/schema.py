# SPDX-License-Identifier: Apache-2.0
"""The messages these tests speak, as text: one line a field.

A line is `name type [versions] [null=versions] [tag=N] [def=VALUE]`. Versions are `3+`, `0-2` or `4`; without them a
field is in every version. `null=1+` says from where null is allowed. A type that ends in `[]` is an array; `{}` is a
structure, whose fields follow one step further in, as do those of `[]`.
It is written separately from the broker's own schema on purpose: a mistake in one shows against the other.
"""

TEXT = """
api ApiVersions 18 flex=3
request
  software_name string 3+
  software_version string 3+
response
  error int16
  apis []
    key int16
    min int16
    max int16
  throttle_ms int32 1+
  supported_features [] 3+ tag=0
    name string
    min int16
    max int16
  finalized_epoch int64 3+ tag=1 def=-1
  finalized_features [] 3+ tag=2
    name string
    max int16
    min int16
  zk_migration_ready bool 3+ tag=3

api Metadata 3 flex=9
request
  topics [] null=1+ def=null
    topic_id uuid 10+
    name string null=10+
  allow_auto_create bool 4+ def=1
  include_cluster_ops bool 8-10
  include_topic_ops bool 8+
response
  throttle_ms int32 3+
  brokers []
    node_id int32
    host string
    port int32
    rack string 1+ null=1+
  cluster_id string 2+ null=2+
  controller_id int32 1+
  topics []
    error int16
    name string null=12+
    topic_id uuid 10+
    internal bool 1+
    partitions []
      error int16
      index int32
      leader int32
      leader_epoch int32 7+
      replicas int32[]
      isr int32[]
      offline int32[] 5+
    topic_ops int32 8+
  cluster_ops int32 8-10
  error int16 13+

api Produce 0 flex=9
request
  transactional_id string 3+ null=3+ def=null
  acks int16
  timeout_ms int32
  topics []
    name string 0-12
    topic_id uuid 13+
    partitions []
      index int32
      records bytes null=0+
response
  topics []
    name string 0-12
    topic_id uuid 13+
    partitions []
      index int32
      error int16
      base_offset int64
      append_time_ms int64 2+
      log_start int64 5+
      record_errors [] 8+
        index int32
        message string null=8+
      message string 8+ null=8+
      current_leader {} 10+ tag=0
        leader int32
        leader_epoch int32
  throttle_ms int32 1+
  node_endpoints [] 10+ tag=0
    node_id int32
    host string
    port int32
    rack string null=0+

api Fetch 1 flex=12
request
  cluster_id string 12+ null=12+ tag=0 def=null
  replica_id int32 0-14 def=-1
  replica_state {} 15+ tag=1 def=null
    replica_id int32
    replica_epoch int64
  max_wait_ms int32
  min_bytes int32
  max_bytes int32 3+ def=2147483647
  isolation int8 4+
  session_id int32 7+
  session_epoch int32 7+ def=-1
  topics []
    name string 0-12
    topic_id uuid 13+
    partitions []
      index int32
      current_leader_epoch int32 9+ def=-1
      offset int64
      last_fetched_epoch int32 12+ def=-1
      log_start int64 5+ def=-1
      max_bytes int32 def=1048576
      directory_id uuid 17+ tag=0 def=null
      high_watermark int64 18+ tag=1 def=null
  forgotten [] 7+
    name string 7-12
    topic_id uuid 13+
    partitions int32[]
  rack string 11+
response
  throttle_ms int32 1+
  error int16 7+
  session_id int32 7+
  topics []
    name string 0-12
    topic_id uuid 13+
    partitions []
      index int32
      error int16
      high_watermark int64
      last_stable int64 4+
      log_start int64 5+
      diverging {} 12+ tag=0
        epoch int32
        end_offset int64
      current_leader {} 12+ tag=1
        leader int32
        leader_epoch int32
      snapshot_id {} 12+ tag=2
        end_offset int64
        epoch int32
      aborted [] 4+ null=4+
        producer_id int64
        first_offset int64
      preferred_replica int32 11+
      records bytes null=0+
  node_endpoints [] 16+ tag=0
    node_id int32
    host string
    port int32
    rack string null=0+

api ListOffsets 2 flex=6
request
  replica_id int32 def=-1
  isolation int8 2+
  topics []
    name string
    partitions []
      index int32
      current_leader_epoch int32 4+ def=-1
      timestamp int64
  timeout_ms int32 10+ def=5000
response
  throttle_ms int32 2+
  topics []
    name string
    partitions []
      index int32
      error int16
      timestamp int64 1+
      offset int64 1+
      leader_epoch int32 4+

api OffsetForLeaderEpoch 23 flex=4
request
  replica_id int32 3+ def=-2
  topics []
    name string
    partitions []
      index int32
      current_leader_epoch int32 2+ def=-1
      leader_epoch int32
response
  throttle_ms int32 2+
  topics []
    name string
    partitions []
      error int16
      index int32
      leader_epoch int32 1+
      end_offset int64

api InitProducerId 22 flex=2
request
  transactional_id string null=0+ def=null
  timeout_ms int32
  producer_id int64 3+ def=-1
  producer_epoch int16 3+ def=-1
  enable_2pc bool 6+
  keep_prepared bool 6+
response
  throttle_ms int32
  error int16
  producer_id int64
  producer_epoch int16
  ongoing_producer_id int64 6+
  ongoing_producer_epoch int16 6+

api CreateTopics 19 flex=5
request
  topics []
    name string
    partition_n int32 def=-1
    replication_factor int16 def=-1
    assignments []
      index int32
      brokers int32[]
    configs []
      name string
      value string null=0+
  timeout_ms int32 def=10000
  validate_only bool 1+
response
  throttle_ms int32 2+
  topics []
    name string
    topic_id uuid 7+
    error int16
    message string 1+ null=0+
    config_error int16 5+ tag=0
    partition_n int32 5+
    replication_factor int16 5+
    configs [] 5+ null=5+
      name string
      value string null=5+
      read_only bool
      source int8
      sensitive bool

api DeleteTopics 20 flex=4
request
  topics [] 6+
    name string null=6+ def=null
    topic_id uuid
  names string[] 0-5
  timeout_ms int32 def=10000
response
  throttle_ms int32 1+
  topics []
    name string null=6+
    topic_id uuid 6+
    error int16
    message string 5+ null=5+

api DeleteRecords 21 flex=2
request
  topics []
    name string
    partitions []
      index int32
      offset int64
  timeout_ms int32 def=10000
response
  throttle_ms int32
  topics []
    name string
    partitions []
      index int32
      low_watermark int64
      error int16

api DescribeCluster 60 flex=0
request
  include_cluster_ops bool
  endpoint_type int8 1+ def=1
  include_fenced bool 2+
response
  throttle_ms int32
  error int16
  message string null=0+
  endpoint_type int8 1+
  cluster_id string
  controller_id int32
  brokers []
    node_id int32
    host string
    port int32
    rack string null=0+
    fenced bool 2+
  cluster_ops int32

api DescribeTopicPartitions 75 flex=0
request
  topics []
    name string
  partition_limit int32 def=2000
  cursor {} null=0+ def=null
    topic string
    index int32
response
  throttle_ms int32
  topics []
    error int16
    name string null=0+
    topic_id uuid
    internal bool
    partitions []
      error int16
      index int32
      leader int32
      leader_epoch int32
      replicas int32[]
      isr int32[]
      eligible int32[] null=0+
      last_known_eligible int32[] null=0+
      offline int32[]
    topic_ops int32
  next_cursor {} null=0+
    topic string
    index int32

api FindCoordinator 10 flex=3
request
  key string 0-3
  key_type int8 1+
  keys string[] 4+
response
  throttle_ms int32 1+
  error int16 0-3
  message string 1-3 null=1+
  node_id int32 0-3
  host string 0-3
  port int32 0-3
  coordinators [] 4+
    key string
    node_id int32
    host string
    port int32
    error int16
    message string null=4+

api DescribeQuorum 55 flex=0
request
  topics []
    name string
    partitions []
      index int32
response
  error int16
  message string 2+ null=2+
  topics []
    name string
    partitions []
      index int32
      error int16
      message string 2+ null=2+
      leader int32
      leader_epoch int32
      high_watermark int64
      voters []
        id int32
        directory_id uuid 2+
        end_offset int64
        last_fetch_ms int64 1+
        last_caught_up_ms int64 1+
      observers []
        id int32
        directory_id uuid 2+
        end_offset int64
        last_fetch_ms int64 1+
        last_caught_up_ms int64 1+
  nodes [] 2+
    id int32
    listeners []
      name string
      host string
      port uint16

api DescribeConfigs 32 flex=4
request
  resources []
    type int8
    name string
    keys string[] null=0+ def=null
  include_synonyms bool
  include_documentation bool 3+
response
  throttle_ms int32
  results []
    error int16
    message string null=0+
    type int8
    name string
    configs []
      name string
      value string null=0+
      read_only bool
      source int8
      sensitive bool
      synonyms []
        name string
        value string null=0+
        source int8
      type int8 3+
      documentation string 3+ null=3+

api IncrementalAlterConfigs 44 flex=1
request
  resources []
    type int8
    name string
    configs []
      name string
      op int8
      value string null=0+
  validate_only bool
response
  throttle_ms int32
  responses []
    error int16
    message string null=0+
    type int8
    name string

api ListConfigResources 74 flex=0
request
  types int8[] 1+
response
  throttle_ms int32
  error int16
  resources []
    name string
    type int8 1+

api AlterReplicaLogDirs 34 flex=2
request
  dirs []
    path string
    topics []
      name string
      partitions int32[]
response
  throttle_ms int32
  results []
    name string
    partitions []
      index int32
      error int16

api DescribeLogDirs 35 flex=2
request
  topics [] null=0+ def=null
    name string
    partitions int32[]
response
  throttle_ms int32
  error int16 3+
  results []
    error int16
    dir string
    topics []
      name string
      partitions []
        index int32
        size int64
        offset_lag int64
        is_future bool
    total_bytes int64 4+
    usable_bytes int64 4+
    is_cordoned bool 5+

api DescribeClientQuotas 48 flex=1
request
  components []
    entity_type string
    match_type int8
    match string null=0+ def=null
  strict bool
response
  throttle_ms int32
  error int16
  message string null=0+
  entries [] null=0+
    entity []
      type string
      name string null=0+
    values []
      key string
      value float64

api AlterClientQuotas 49 flex=1
request
  entries []
    entity []
      type string
      name string null=0+ def=null
    ops []
      key string
      value float64
      remove bool
  validate_only bool
response
  throttle_ms int32
  entries []
    error int16
    message string null=0+
    entity []
      type string
      name string null=0+

api GetTelemetrySubscriptions 71 flex=0
request
  client_instance_id uuid
response
  throttle_ms int32
  error int16
  client_instance_id uuid
  subscription_id int32
  compressions int8[]
  push_interval_ms int32
  bytes_max int32
  delta bool
  metrics string[]

api PushTelemetry 72 flex=0
request
  client_instance_id uuid
  subscription_id int32
  terminating bool
  compression int8
  metrics bytes
response
  throttle_ms int32
  error int16
"""
