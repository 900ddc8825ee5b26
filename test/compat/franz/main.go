// SPDX-License-Identifier: Apache-2.0

// franz-go as a compat client: see ../README.md for the three commands every client has.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type record struct {
	Topic     string       `json:"topic,omitempty"`
	Key       *string      `json:"k"`
	Value     *string      `json:"v"`
	Headers   [][2]*string `json:"h"`
	Timestamp int64        `json:"t"`
	Offset    int64        `json:"o"`
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func unhex(text *string) []byte {
	if text == nil {
		return nil
	}
	data, err := hex.DecodeString(*text)
	check(err)
	if data == nil {
		data = []byte{}
	}
	return data
}

func tohex(data []byte) *string {
	if data == nil {
		return nil
	}
	text := hex.EncodeToString(data)
	return &text
}

func client(bootstrap string, opts ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(bootstrap), kgo.ClientID("compat"),
		kgo.FetchMaxWait(200 * time.Millisecond)}, opts...)...)
	check(err)
	return c
}

func lines() *bufio.Scanner {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	return in
}

func emit(r *kgo.Record) {
	out := record{Topic: r.Topic, Key: tohex(r.Key), Value: tohex(r.Value), Timestamp: r.Timestamp.UnixMilli(),
		Offset: r.Offset, Headers: [][2]*string{}}
	for _, h := range r.Headers {
		key := h.Key
		out.Headers = append(out.Headers, [2]*string{&key, tohex(h.Value)})
	}
	text, err := json.Marshal(out)
	check(err)
	fmt.Println(string(text))
}

func produce(bootstrap, topic, codec string) {
	c := client(bootstrap, kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[codec]), kgo.AllowAutoTopicCreation(),
		kgo.ProducerLinger(20*time.Millisecond))
	for in := lines(); in.Scan(); {
		var r record
		check(json.Unmarshal(in.Bytes(), &r))
		out := &kgo.Record{Topic: topic, Key: unhex(r.Key), Value: unhex(r.Value),
			Timestamp: time.UnixMilli(r.Timestamp)}
		for _, h := range r.Headers {
			out.Headers = append(out.Headers, kgo.RecordHeader{Key: *h[0], Value: unhex(h[1])})
		}
		c.Produce(context.Background(), out, func(_ *kgo.Record, err error) { check(err) })
	}
	check(c.Flush(context.Background()))
	c.Close()
}

func consumer(bootstrap, topic string) *kgo.Client {
	start := kgo.NewOffset().AtStart()
	return client(bootstrap, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: start}}))
}

func take(c *kgo.Client, count int) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	for count > 0 {
		fetches := c.PollRecords(ctx, count)
		if ctx.Err() != nil {
			check(fmt.Errorf("no message in time, %d are wanting", count))
		}
		fetches.EachRecord(func(r *kgo.Record) {
			emit(r)
			count--
		})
	}
}

func read(bootstrap string, wanted []string) {
	for _, item := range wanted {
		at := strings.LastIndexByte(item, ':')
		count, err := strconv.Atoi(item[at+1:])
		check(err)
		c := consumer(bootstrap, item[:at])
		take(c, count)
		c.Close()
	}
}

func ride(bootstrap, topic string) {
	p := client(bootstrap, kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RecordDeliveryTimeout(60*time.Second))
	c := consumer(bootstrap, topic)
	serial := 0
	for in := lines(); in.Scan(); {
		words := strings.Fields(in.Text())
		count, err := strconv.Atoi(words[1])
		check(err)
		if words[0] == "read" {
			take(c, count)
			count = 0
		}
		for ; count > 0; count-- {
			r := &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(serial))}
			err := p.ProduceSync(context.Background(), r).FirstErr()
			if errors.Is(err, kerr.UnknownTopicID) {
				// franz-go keeps to the id it knows; a program that wants the new topic says so.
				p.PurgeTopicsFromClient(topic)
				again := &kgo.Record{Topic: topic, Value: r.Value}
				err = p.ProduceSync(context.Background(), again).FirstErr()
			}
			check(err)
			serial++
		}
		fmt.Println("done")
	}
}

func main() {
	args := os.Args[1:]
	switch args[0] {
	case "produce":
		produce(args[1], args[2], args[3])
	case "read":
		read(args[1], args[2:])
	case "ride":
		ride(args[1], args[2])
	}
}
