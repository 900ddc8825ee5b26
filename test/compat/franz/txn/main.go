// SPDX-License-Identifier: Apache-2.0

// Transactions of franz-go: PROGRAM BOOTSTRAP, each check told as `ok NAME` or `not ok NAME: why`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	ctx    context.Context
	prefix = fmt.Sprintf("txn-%x", time.Now().UnixNano())
)

type wrong struct{ text string }

func must[T any](value T, err error) T {
	check(err)
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

func client(options ...kgo.Opt) *kgo.Client {
	return must(kgo.NewClient(append(options, kgo.SeedBrokers(os.Args[1]),
		kgo.MetadataMinAge(10*time.Millisecond))...))
}

func producer(name, topic string) *kgo.Client {
	return client(kgo.TransactionalID(prefix+"-"+name), kgo.DefaultProduceTopic(topic))
}

func made(name string) string {
	topic, c := prefix+"-"+name, client()
	defer c.Close()
	must(kadm.NewClient(c).CreateTopic(ctx, 1, 1, nil, topic))
	return topic
}

// Of the first n, and of what comes in the moment after them.
func values(topic string, n int, isolation kgo.IsolationLevel) []string {
	c := client(kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(isolation),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer c.Close()
	var out []string
	for end, full := time.Now().Add(10*time.Second), false; time.Now().Before(end); {
		poll, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		c.PollFetches(poll).EachRecord(func(r *kgo.Record) { out = append(out, string(r.Value)) })
		cancel()
		if !full && len(out) >= n {
			end, full = time.Now().Add(300*time.Millisecond), true
		}
	}
	return out
}

func write(c *kgo.Client, texts ...string) {
	check(c.BeginTransaction())
	for _, text := range texts {
		check(c.ProduceSync(ctx, kgo.StringRecord(text)).FirstErr())
	}
}

func commitAndAbort() {
	topic := made("ends")
	c := producer("ends", topic)
	defer c.Close()
	write(c, "a", "b")
	check(c.EndTransaction(ctx, kgo.TryCommit))
	write(c, "no")
	check(c.EndTransaction(ctx, kgo.TryAbort))
	write(c, "c")
	check(c.EndTransaction(ctx, kgo.TryCommit))
	write(c, "open")
	same("committed", []string{"a", "b", "c"}, values(topic, 3, kgo.ReadCommitted()))
	same("all", []string{"a", "b", "no", "c", "open"}, values(topic, 5, kgo.ReadUncommitted()))
	check(c.EndTransaction(ctx, kgo.TryAbort))
	same("committed at the end", []string{"a", "b", "c"}, values(topic, 3, kgo.ReadCommitted()))
}

// Consumes, transforms and produces in a session: the first round is aborted and comes again.
func offsets() {
	in, out := made("in"), made("out")
	c := producer("fill", in)
	defer c.Close()
	write(c, "a", "b", "c")
	check(c.EndTransaction(ctx, kgo.TryCommit))
	group := prefix + "-group"
	session := must(kgo.NewGroupTransactSession(kgo.SeedBrokers(os.Args[1]), kgo.TransactionalID(prefix+"-session"),
		kgo.DefaultProduceTopic(out), kgo.ConsumerGroup(group), kgo.ConsumeTopics(in),
		kgo.RequireStableFetchOffsets(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())))
	defer session.Close()
	seen := 0
	for round := 0; seen < 3; round++ {
		fetches := session.PollFetches(ctx)
		check(fetches.Err())
		check(session.Begin())
		fetches.EachRecord(func(r *kgo.Record) {
			check(session.ProduceSync(ctx, kgo.StringRecord(string(r.Value))).FirstErr())
		})
		end := kgo.TransactionEndTry(round > 0)
		committed := must(session.End(ctx, end))
		same("committed", bool(end), committed)
		if committed {
			seen += fetches.NumRecords()
		}
	}
	same("results", []string{"a", "b", "c"}, values(out, 3, kgo.ReadCommitted()))
	stored := must(kadm.NewClient(c).FetchOffsets(ctx, group))
	at, _ := stored.Lookup(in, 0)
	// Behind the three records lies the marker.
	if at.At != 3 && at.At != 4 {
		panic(wrong{fmt.Sprintf("the stored offset is %d", at.At)})
	}
}

func fencing() {
	topic := made("fencing")
	first, second := producer("fencing", topic), producer("fencing", topic)
	defer first.Close()
	defer second.Close()
	write(first, "zombie")
	write(second, "new")
	check(second.EndTransaction(ctx, kgo.TryCommit))
	err := first.EndTransaction(ctx, kgo.TryCommit)
	if !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidProducerEpoch) {
		panic(wrong{fmt.Sprintf("the first one's commit says %v", err)})
	}
	same("committed", []string{"new"}, values(topic, 1, kgo.ReadCommitted()))
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
	run("commit_and_abort", commitAndAbort)
	run("offsets", offsets)
	run("fencing", fencing)
}
