// SPDX-License-Identifier: Apache-2.0

// kadm, the admin client of franz-go: PROGRAM BOOTSTRAP [CHECK...], each check told as `ok NAME` or `not ok NAME: why`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	ctx    context.Context
	client *kgo.Client
	admin  *kadm.Client
	prefix = fmt.Sprintf("admin-%x", time.Now().UnixNano())
)

type wrong struct{ text string }

func must[T any](value T, err error) T {
	if err != nil {
		panic(wrong{err.Error()})
	}
	return value
}

func check(err error) {
	if err != nil {
		panic(wrong{err.Error()})
	}
}

func same(what string, wanted, got any) {
	if !reflect.DeepEqual(wanted, got) {
		panic(wrong{fmt.Sprintf("%s is %v, not %v", what, got, wanted)})
	}
}

func fails(wanted, got error) {
	if !errors.Is(got, wanted) {
		panic(wrong{fmt.Sprintf("failed with %v, not %v", got, wanted)})
	}
}

func until(what string, wanted any, ask func() any) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if got := ask(); reflect.DeepEqual(wanted, got) {
			return
		} else if time.Now().After(end) {
			same(what, wanted, got)
		}
	}
}

func partitionsOf(topic string) any {
	return len(must(admin.ListTopics(ctx, topic))[topic].Partitions)
}

func made(name string, partitions int32, configs map[string]*string) string {
	topic := prefix + "-" + name
	must(admin.CreateTopic(ctx, partitions, 1, configs, topic))
	until("partitions", int(partitions), func() any { return partitionsOf(topic) })
	return topic
}

func value(configs kadm.ResourceConfigs, err error, key string) string {
	check(err)
	check(configs[0].Err)
	for _, c := range configs[0].Configs {
		if c.Key == key {
			return c.MaybeValue()
		}
	}
	return "(none)"
}

func topicValue(topic, key string) any {
	configs, err := admin.DescribeTopicConfigs(ctx, topic)
	return value(configs, err, key)
}

func topics() {
	topic := made("t", 2, nil)
	_, err := admin.CreateTopic(ctx, 1, 1, nil, topic)
	fails(kerr.TopicAlreadyExists, err)
	_, err = admin.CreateTopic(ctx, 1, 2, nil, prefix+"-two")
	fails(kerr.InvalidReplicationFactor, err)
	_, err = admin.CreateTopic(ctx, 1, 1, nil, "a b")
	fails(kerr.InvalidTopicException, err)
	same("configs", nil, must(admin.ValidateCreateTopics(ctx, 1, 1, nil, prefix+"-only"))[prefix+"-only"].Err)
	same("validate only", 0, partitionsOf(prefix+"-only"))
	must(admin.DeleteTopic(ctx, topic))
	_, err = admin.DeleteTopic(ctx, topic)
	fails(kerr.UnknownTopicOrPartition, err)
}

func partitions() {
	topic := made("grows", 1, nil)
	check(must(admin.CreatePartitions(ctx, 2, topic))[topic].Err)
	until("added", 3, func() any { return partitionsOf(topic) })
	check(must(admin.UpdatePartitions(ctx, 5, topic))[topic].Err)
	until("set", 5, func() any { return partitionsOf(topic) })
	fails(kerr.InvalidPartitions, must(admin.UpdatePartitions(ctx, 1, topic))[topic].Err)
}

func topicConfigs() {
	topic := made("config", 1, map[string]*string{"retention.ms": kadm.StringPtr("70000")})
	same("retention.ms", "70000", topicValue(topic, "retention.ms"))
	alter := func(op kadm.IncrementalOp, key string, value *string) error {
		changes := []kadm.AlterConfig{{Op: op, Name: key, Value: value}}
		return must(admin.AlterTopicConfigs(ctx, changes, topic))[0].Err
	}
	check(alter(kadm.AppendConfig, "cleanup.policy", kadm.StringPtr("compact")))
	until("appended", "delete,compact", func() any { return topicValue(topic, "cleanup.policy") })
	check(alter(kadm.SubtractConfig, "cleanup.policy", kadm.StringPtr("delete")))
	until("subtracted", "compact", func() any { return topicValue(topic, "cleanup.policy") })
	check(alter(kadm.DeleteConfig, "retention.ms", nil))
	until("deleted", "604800000", func() any { return topicValue(topic, "retention.ms") })
	fails(kerr.InvalidConfig, alter(kadm.SetConfig, "retention.ms", kadm.StringPtr("soon")))
	anew := []kadm.AlterConfig{{Name: "flush.ms", Value: kadm.StringPtr("777")}}
	check(must(admin.AlterTopicConfigsState(ctx, anew, topic))[0].Err)
	until("set anew", "777 delete", func() any {
		return fmt.Sprint(topicValue(topic, "flush.ms"), " ", topicValue(topic, "cleanup.policy"))
	})
}

func brokerConfigs() {
	ask := func() any {
		configs, err := admin.DescribeBrokerConfigs(ctx, 1)
		return value(configs, err, "log.retention.ms")
	}
	set := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "log.retention.ms", Value: kadm.StringPtr("5000000")}}
	check(must(admin.AlterBrokerConfigs(ctx, set, 1))[0].Err)
	until("set", "5000000", ask)
	set[0] = kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "log.retention.ms"}
	check(must(admin.AlterBrokerConfigs(ctx, set, 1))[0].Err)
	until("deleted", "", ask)
	resources := must(kmsg.NewPtrListConfigResourcesRequest().RequestWith(ctx, client))
	same("resources' error", int16(0), resources.ErrorCode)
	same("broker listed", true, slices.ContainsFunc(resources.ConfigResources,
		func(r kmsg.ListConfigResourcesResponseConfigResource) bool {
			return r.Type == int8(kmsg.ConfigResourceTypeBroker) && r.Name == "1"
		}))
}

func records() {
	topic := made("records", 1, nil)
	for i := int64(0); i < 10; i++ {
		r := &kgo.Record{Topic: topic, Value: []byte("v"), Timestamp: time.UnixMilli(1_000_000 + i)}
		check(client.ProduceSync(ctx, r).FirstErr())
	}
	same("end", int64(10), must(admin.ListEndOffsets(ctx, topic))[topic][0].Offset)
	same("at a time", int64(3), must(admin.ListOffsetsAfterMilli(ctx, 1_000_003, topic))[topic][0].Offset)
	same("of the latest time", int64(9), must(admin.ListMaxTimestampOffsets(ctx, topic))[topic][0].Offset)
	till := kadm.Offsets{}
	till.Add(kadm.Offset{Topic: topic, Partition: 0, At: 4})
	deleted := must(admin.DeleteRecords(ctx, till))[topic][0]
	check(deleted.Err)
	same("low watermark", int64(4), deleted.LowWatermark)
	same("start", int64(4), must(admin.ListStartOffsets(ctx, topic))[topic][0].Offset)
	till.Add(kadm.Offset{Topic: topic, Partition: 0, At: 99})
	fails(kerr.OffsetOutOfRange, must(admin.DeleteRecords(ctx, till))[topic][0].Err)
}

func logDirs() {
	topic := made("dirs", 2, nil)
	wanted := kadm.TopicsSet{}
	wanted.Add(topic, 0, 1)
	until("partitions", 2, func() any {
		n := 0
		for _, dir := range must(admin.DescribeBrokerLogDirs(ctx, 1, wanted)) {
			check(dir.Err)
			n += len(dir.Topics[topic])
		}
		return n
	})
}

func moves() {
	topic := made("moved", 1, nil)
	one := kadm.TopicsSet{}
	one.Add(topic, 0)
	fails(kerr.ElectionNotNeeded, must(admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, one))[topic][0].Err)
	same("none", 0, len(must(admin.ListPartitionReassignments(ctx, one))))
	assign := kadm.AlterPartitionAssignmentsReq{}
	assign.Assign(topic, 0, []int32{1})
	check(must(admin.AlterPartitionAssignments(ctx, assign))[topic][0].Err)
	cancel := kadm.AlterPartitionAssignmentsReq{}
	cancel.CancelAssign(topic, 0)
	fails(kerr.NoReassignmentInProgress, must(admin.AlterPartitionAssignments(ctx, cancel))[topic][0].Err)
}

func node() {
	meta := must(admin.BrokerMetadata(ctx))
	same("nodes", []int32{1}, meta.Brokers.NodeIDs())
	same("controller", int32(1), meta.Controller)
	same("id's length", 22, len(meta.Cluster))
	ask := kmsg.NewPtrDescribeQuorumRequest()
	log := kmsg.NewDescribeQuorumRequestTopic()
	log.Topic = "__cluster_metadata"
	log.Partitions = append(log.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	ask.Topics = append(ask.Topics, log)
	same("leader", int32(1), must(ask.RequestWith(ctx, client)).Topics[0].Partitions[0].LeaderID)
	updates := kmsg.NewPtrUpdateFeaturesRequest()
	update := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	update.Feature, update.MaxVersionLevel, update.UpgradeType = "streams.version", 9, 1
	updates.FeatureUpdates = append(updates.FeatureUpdates, update)
	updates.TimeoutMillis = 10000
	fails(kerr.InvalidUpdateVersion, kerr.ErrorForCode(must(updates.RequestWith(ctx, client)).ErrorCode))
}

func quotas() {
	kind, rate := "client-id", 1e6
	entity := kadm.ClientQuotaEntity{{Type: kind, Name: &prefix}}
	alter := func(op kadm.AlterClientQuotaOp) error {
		entry := kadm.AlterClientQuotaEntry{Entity: entity, Ops: []kadm.AlterClientQuotaOp{op}}
		return must(admin.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{entry}))[0].Err
	}
	ask := func() any {
		filter := []kadm.DescribeClientQuotaComponent{
			{Type: kind, MatchType: kmsg.QuotasMatchTypeExact, MatchName: &prefix}}
		found := must(admin.DescribeClientQuotas(ctx, true, filter))
		if len(found) != 1 || len(found[0].Values) != 1 {
			return nil
		}
		return found[0].Values[0].Value
	}
	check(alter(kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Value: rate}))
	until("set", rate, ask)
	check(alter(kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Remove: true}))
	until("removed", nil, ask)
	fails(kerr.InvalidRequest, alter(kadm.AlterClientQuotaOp{Key: "no_such_rate", Value: rate}))
}

func security() {
	all := kadm.NewACLs().AnyResource().Allow().AllowHosts().Deny().DenyHosts().Operations().
		ResourcePatternType(kadm.ACLPatternAny)
	answer, err := admin.DescribeACLs(ctx, all)
	if err == nil && len(answer) > 0 {
		err = answer[0].Err
	}
	fails(kerr.SecurityDisabled, err)
	same("users", 0, len(must(admin.DescribeUserSCRAMs(ctx))))
}

func run(name string, body func()) {
	defer func() {
		switch said := recover().(type) {
		case nil:
			fmt.Println("ok", name)
		case wrong:
			fmt.Println("not ok", name+":", strings.ReplaceAll(said.text, "\n", " "))
		default:
			fmt.Println("not ok", name+":", said)
		}
	}()
	var cancel context.CancelFunc
	ctx, cancel = context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	body()
}

func main() {
	client = must(kgo.NewClient(kgo.SeedBrokers(os.Args[1]), kgo.ClientID("admin"),
		kgo.MetadataMinAge(10*time.Millisecond)))
	admin = kadm.NewClient(client)
	for _, c := range []struct {
		name string
		body func()
	}{{"topics", topics}, {"partitions", partitions}, {"topicConfigs", topicConfigs},
		{"brokerConfigs", brokerConfigs}, {"records", records},
		{"logDirs", logDirs}, {"moves", moves}, {"node", node}, {"quotas", quotas},
		{"security", security}} {
		if len(os.Args) == 2 || slices.Contains(os.Args[2:], c.name) {
			run(c.name, c.body)
		}
	}
}
