// SPDX-License-Identifier: Apache-2.0

// One member of a group, of franz-go: what python/group_member.py does, with the same lines.
//
//	member classic|consumer BOOTSTRAP TOPIC GROUP [INSTANCE]
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	args := os.Args[1:]
	opts := []kgo.Opt{kgo.SeedBrokers(args[1]), kgo.ConsumeTopics(args[2]), kgo.ConsumerGroup(args[3]),
		kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// A partition is not handed on between reading and committing.
		kgo.BlockRebalanceOnPoll(), kgo.FetchMaxWait(200 * time.Millisecond)}
	if args[0] == "consumer" {
		opts = append(opts, kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer())
	} else {
		opts = append(opts, kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(500*time.Millisecond))
	}
	if len(args) > 4 {
		opts = append(opts, kgo.InstanceID(args[4]))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		fmt.Println("#", err)
		os.Exit(1)
	}
	ended := make(chan struct{})
	go func() {
		if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
			fmt.Println("#", err)
		}
		close(ended)
	}()
	for {
		select {
		case <-ended:
			client.Close()
			return
		default:
			step(client)
		}
	}
}

func step(client *kgo.Client) {
	defer client.AllowRebalance()
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	wait, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	fetches := client.PollFetches(wait)
	cancel()
	fetches.EachError(func(topic string, index int32, err error) {
		if err != context.DeadlineExceeded {
			fmt.Fprintln(out, "#", topic, index, err)
		}
	})
	records := fetches.Records()
	if len(records) == 0 {
		return
	}
	ends := map[int32]int64{}
	for _, r := range records {
		fmt.Fprintln(out, "R", r.Partition, r.Offset)
		ends[r.Partition] = r.Offset + 1
	}
	// Told before it is committed: a member may be killed in between.
	out.Flush()
	wait, cancel = context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := client.CommitRecords(wait, records...); err != nil {
		fmt.Fprintln(out, "#", err)
		return
	}
	for index, end := range ends {
		fmt.Fprintln(out, "C", index, end)
	}
}
