/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills a directory of the original with one of everything, small: every codec, headers, null keys and values, a
 * compacted topic, idempotent producers, transactions that commit, abort and stay open, groups of both protocols with
 * and without members, users, quotas, settings. Members and the open transaction stay: the process ends without
 * closing anything. Clients of 3.9 and later compile and run it. Arguments: bootstrap, protocols of groups by commas
 * (classic,consumer), and optionally the number of partitions of the topic of transactions.
 */
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class DirWriter {
    static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
    static final long BASE = 1700000000000L;
    static String bootstrap;
    static int serial;

    static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    static KafkaProducer<byte[], byte[]> producer(String codec, boolean idempotent, String txn) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("key.serializer", ByteArraySerializer.class.getName());
        p.put("value.serializer", ByteArraySerializer.class.getName());
        p.put("compression.type", codec);
        p.put("linger.ms", "20");
        p.put("enable.idempotence", String.valueOf(idempotent));
        p.put("transaction.timeout.ms", "900000");
        if (txn != null)
            p.put("transactional.id", txn);
        return new KafkaProducer<>(p);
    }

    static ProducerRecord<byte[], byte[]> record(String topic, int partition, int n) {
        byte[] key = n % 5 == 4 ? null : bytes("key-" + n % 7);
        byte[] value = n % 6 == 5 && key != null ? null : bytes("value " + serial++ + " " + "xy".repeat(n % 9));
        ProducerRecord<byte[], byte[]> r = new ProducerRecord<>(topic, partition, BASE + serial * 10L - n % 3, key, value);
        if (n % 3 == 1)
            r.headers().add("n", bytes("" + n)).add("none", null).add("ö\"", new byte[] {0, -1});
        return r;
    }

    static void plain() {
        for (String codec : CODECS) {
            try (KafkaProducer<byte[], byte[]> p = producer(codec, codec.equals("lz4"), null)) {
                for (int round = 0; round < 4; round++) {
                    for (int i = 0; i < 12; i++)
                        p.send(record("codec-" + codec, i % 2, i));
                    p.flush();
                }
                p.send(record("append-time", 0, 3));
                for (int i = 0; i < 30; i++) {
                    ProducerRecord<byte[], byte[]> r = record("compacted", 0, i);
                    p.send(new ProducerRecord<>("compacted", 0, r.timestamp(), bytes("key-" + i % 4), r.value()));
                    p.flush();
                }
            }
        }
    }

    static void transactions() {
        List<KafkaProducer<byte[], byte[]>> all = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            all.add(producer(CODECS[i + (i > 0 ? 1 : 0)], true, "txn-" + i));
            all.get(i).initTransactions();
        }
        for (int round = 0; round < 5; round++) {
            for (KafkaProducer<byte[], byte[]> p : all)
                p.beginTransaction();
            for (int i = 0; i < 16; i++) {
                all.get(i % 4).send(record("txn", i % 2, i));
                if (i % 4 == 3)
                    all.get((i + round) % 4).flush();
            }
            for (int i = 0; i < 4; i++) {
                if (round == 4 && i >= 2) {
                    all.get(i).flush(); /* two stay open */
                } else if ((round + i) % 3 == 0) {
                    all.get(i).flush();
                    all.get(i).abortTransaction();
                } else {
                    if (i == 1)
                        all.get(i).sendOffsetsToTransaction(Map.of(new TopicPartition("codec-none", 0),
                                                                   new OffsetAndMetadata(round + 1, "in " + round)),
                            new org.apache.kafka.clients.consumer.ConsumerGroupMetadata("txn-group"));
                    all.get(i).commitTransaction();
                }
            }
        }
        /* Behind the open transactions: what read_committed does not see yet. */
        try (KafkaProducer<byte[], byte[]> p = producer("none", true, null)) {
            for (int i = 0; i < 4; i++)
                p.send(record("txn", i % 2, i));
        }
    }

    static KafkaConsumer<byte[], byte[]> consumer(String group, String protocol, String instance) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("key.deserializer", ByteArrayDeserializer.class.getName());
        p.put("value.deserializer", ByteArrayDeserializer.class.getName());
        p.put("group.id", group);
        p.put("auto.offset.reset", "earliest");
        p.put("enable.auto.commit", "false");
        if (!protocol.equals("classic"))
            p.put("group.protocol", protocol);
        else
            p.put("session.timeout.ms", "1800000");
        if (instance != null)
            p.put("group.instance.id", instance);
        return new KafkaConsumer<>(p);
    }

    static void groups(String protocol) {
        for (int i = 0; i < 3; i++) {
            KafkaConsumer<byte[], byte[]> c = consumer(protocol + "-" + i, protocol, i == 2 ? "static-one" : null);
            c.subscribe(List.of("codec-none", "codec-zstd"));
            long end = System.currentTimeMillis() + 20000;
            while (c.assignment().isEmpty() && System.currentTimeMillis() < end)
                c.poll(Duration.ofMillis(100));
            Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
            offsets.put(new TopicPartition("codec-none", 0), new OffsetAndMetadata(3 + i, java.util.Optional.of(0), "m" + i));
            offsets.put(new TopicPartition("codec-none", 1), new OffsetAndMetadata(7));
            c.commitSync(offsets);
            if (i < 2)
                c.close();
        }
    }

    static void settings(Admin admin) throws Exception {
        admin.incrementalAlterConfigs(Map.of(
            new ConfigResource(ConfigResource.Type.TOPIC, "codec-gzip"),
            List.of(new AlterConfigOp(new ConfigEntry("retention.bytes", "1000000000"), AlterConfigOp.OpType.SET)),
            new ConfigResource(ConfigResource.Type.BROKER, ""),
            List.of(new AlterConfigOp(new ConfigEntry("log.cleaner.threads", "1"), AlterConfigOp.OpType.SET)))).all().get();
        admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion("alice",
            new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), bytes("secret"), bytes("salt-of-alice")))).all().get();
        admin.alterClientQuotas(List.of(new ClientQuotaAlteration(
            new ClientQuotaEntity(Map.of("user", "bob", "client-id", "app")),
            List.of(new ClientQuotaAlteration.Op("request_percentage", 12.5),
                    new ClientQuotaAlteration.Op("consumer_byte_rate", 12345678.0),
                    new ClientQuotaAlteration.Op("controller_mutation_rate", 0.0005))))).all().get();
        admin.deleteTopics(List.of("gone")).all().get();
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        Map<String, String> small = Map.of("index.interval.bytes", "200", "message.timestamp.before.max.ms", "9223372036854775807", "retention.ms", "-1");
        Map<String, String> compacted = new HashMap<>(small);
        compacted.put("cleanup.policy", "compact");
        Map<String, String> append = new HashMap<>(small);
        append.put("message.timestamp.type", "LogAppendTime");
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            List<NewTopic> topics = new ArrayList<>();
            for (String codec : CODECS)
                topics.add(new NewTopic("codec-" + codec, 2, (short)1).configs(small));
            topics.add(new NewTopic("txn", 2, (short)1).configs(small));
            topics.add(new NewTopic("gone", 1, (short)1));
            topics.add(new NewTopic("compacted", 1, (short)1).configs(compacted));
            topics.add(new NewTopic("append-time", 1, (short)1).configs(append));
            admin.createTopics(topics).all().get();
            plain();
            for (String protocol : args[1].split(","))
                groups(protocol);
            transactions();
            settings(admin);
        }
        System.out.println("written");
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
