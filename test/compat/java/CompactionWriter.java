/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills topics for the comparison of cleaners: few keys, tombstones, every codec, idempotent producers, transactions that
 * commit and abort and overlap, and one producer that ends with an aborted transaction. Arguments: bootstrap, round.
 */
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.Random;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class CompactionWriter {
    static final Random random = new Random(11);

    static KafkaProducer<byte[], byte[]> producer(String bootstrap, String codec, boolean idempotent, String txn) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("key.serializer", ByteArraySerializer.class.getName());
        p.put("value.serializer", ByteArraySerializer.class.getName());
        p.put("compression.type", codec);
        p.put("linger.ms", "5");
        p.put("batch.size", "3000");
        p.put("enable.idempotence", String.valueOf(idempotent));
        if (txn != null)
            p.put("transactional.id", txn);
        return new KafkaProducer<>(p);
    }

    static ProducerRecord<byte[], byte[]> record(String topic, int keys, int n) {
        byte[] key = ("key-" + random.nextInt(keys)).getBytes();
        byte[] value = random.nextInt(9) == 0 ? null : ("value-" + n + "-" + "x".repeat(random.nextInt(300))).getBytes();
        return new ProducerRecord<>(topic, 0, 1700000000000L + n * 7L, key, value);
    }

    static void plain(String bootstrap, String topic, String codec, boolean idempotent, int base) {
        try (KafkaProducer<byte[], byte[]> p = producer(bootstrap, codec, idempotent, null)) {
            for (int i = 0; i < 1200; i++) {
                p.send(record(topic, 150, base + i));
                if (i % 7 == 0)
                    p.flush();
            }
        }
    }

    static void transactions(String bootstrap, String topic, int round) {
        List<KafkaProducer<byte[], byte[]>> producers = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            producers.add(producer(bootstrap, i == 1 ? "gzip" : "none", true, "txn-" + round + "-" + i));
            producers.get(i).initTransactions();
        }
        for (int n = 0; n < 60; n++) {
            for (KafkaProducer<byte[], byte[]> p : producers)
                p.beginTransaction();
            for (int i = 0; i < 24; i++) {
                KafkaProducer<byte[], byte[]> p = producers.get(random.nextInt(3));
                p.send(record(topic, 60, n * 100 + i));
                if (i % 4 == 0)
                    p.flush();
            }
            for (int i = 0; i < 3; i++) {
                if ((n + i) % 3 == 0 || n == 59 && i == 2)
                    producers.get(i).abortTransaction();
                else
                    producers.get(i).commitTransaction();
            }
        }
        for (KafkaProducer<byte[], byte[]> p : producers)
            p.close();
    }

    /** Leaves a transaction open, with decided ones before and plain records after its beginning. */
    static void open(String bootstrap, String topic) {
        transactions(bootstrap, topic, 8);
        KafkaProducer<byte[], byte[]> p = producer(bootstrap, "none", true, "txn-open");
        p.initTransactions();
        p.beginTransaction();
        for (int i = 0; i < 5; i++)
            p.send(record(topic, 9, i));
        p.flush();
        plain(bootstrap, topic, "none", false, 5);
    }

    public static void main(String[] args) {
        int base = Integer.parseInt(args[1]) * 100000;
        for (String codec : new String[] {"none", "gzip", "snappy", "lz4", "zstd"})
            plain(args[0], "codec-" + codec, codec, codec.equals("gzip"), base);
        transactions(args[0], "txns", Integer.parseInt(args[1]));
        transactions(args[0], "txns-now", Integer.parseInt(args[1]));
        plain(args[0], "now", "none", true, base);
        if (args.length > 2)
            open(args[0], "open");
        System.out.println("written");
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
