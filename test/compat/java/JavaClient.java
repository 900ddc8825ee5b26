/* SPDX-License-Identifier: Apache-2.0 */
/* The original's Java client as a compat client: see ../README.md for the three commands every client has. */
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class JavaClient {
	static final ObjectMapper json = new ObjectMapper();
	static final int READ_S = 30;

	static byte[] unhex(JsonNode node) {
		return node == null || node.isNull() ? null : HexFormat.of().parseHex(node.asText());
	}

	static String hex(byte[] data) {
		return data == null ? null : HexFormat.of().formatHex(data);
	}

	static KafkaProducer<byte[], byte[]> producer(String bootstrap, String codec) {
		Properties p = new Properties();
		p.put("bootstrap.servers", bootstrap);
		p.put("compression.type", codec);
		p.put("acks", "all");
		p.put("linger.ms", "20");
		p.put("delivery.timeout.ms", "60000");
		p.put("request.timeout.ms", "10000");
		return new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
	}

	static KafkaConsumer<byte[], byte[]> consumer(String bootstrap, String topic) {
		Properties p = new Properties();
		p.put("bootstrap.servers", bootstrap);
		p.put("enable.auto.commit", "false");
		p.put("auto.offset.reset", "earliest");
		KafkaConsumer<byte[], byte[]> c = new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
		TopicPartition partition = new TopicPartition(topic, 0);
		c.assign(List.of(partition));
		c.seekToBeginning(List.of(partition));
		return c;
	}

	static BufferedReader input() {
		return new BufferedReader(new InputStreamReader(System.in));
	}

	static void produce(String bootstrap, String topic, String codec) throws Exception {
		List<Future<?>> sent = new ArrayList<>();
		BufferedReader in = input();
		try (KafkaProducer<byte[], byte[]> producer = producer(bootstrap, codec)) {
			for (String line = in.readLine(); line != null; line = in.readLine()) {
				JsonNode r = json.readTree(line);
				Long time = r.get("t").isNull() ? null : r.get("t").asLong();
				var record = new ProducerRecord<>(topic, 0, time, unhex(r.get("k")), unhex(r.get("v")));
				for (JsonNode h : r.get("h"))
					record.headers().add(h.get(0).asText(), unhex(h.get(1)));
				sent.add(producer.send(record));
			}
			for (Future<?> f : sent)
				f.get();
		}
	}

	static void emit(ConsumerRecord<byte[], byte[]> r) {
		ObjectNode out = json.createObjectNode();
		out.put("topic", r.topic()).put("k", hex(r.key())).put("v", hex(r.value())).put("t", r.timestamp()).put("o", r.offset());
		var headers = out.putArray("h");
		for (Header h : r.headers())
			headers.addArray().add(h.key()).add(hex(h.value()));
		System.out.println(out);
	}

	static void take(KafkaConsumer<byte[], byte[]> consumer, ArrayDeque<ConsumerRecord<byte[], byte[]>> ready, int count) {
		long end = System.nanoTime() + READ_S * 1_000_000_000L;
		for (int n = 0; n < count;) {
			if (ready.isEmpty())
				consumer.poll(Duration.ofMillis(500)).forEach(ready::add);
			for (; n < count && !ready.isEmpty(); n++)
				emit(ready.poll());
			if (n < count && System.nanoTime() > end)
				throw new IllegalStateException("only " + n + " of " + count + " records");
		}
	}

	static void read(String bootstrap, String[] args) {
		for (int i = 2; i < args.length; i++) {
			int colon = args[i].lastIndexOf(':');
			try (var consumer = consumer(bootstrap, args[i].substring(0, colon))) {
				take(consumer, new ArrayDeque<>(), Integer.parseInt(args[i].substring(colon + 1)));
			}
		}
	}

	static void ride(String bootstrap, String topic) throws Exception {
		var producer = producer(bootstrap, "none");
		var consumer = consumer(bootstrap, topic);
		var ready = new ArrayDeque<ConsumerRecord<byte[], byte[]>>();
		BufferedReader in = input();
		int serial = 0;
		for (String line = in.readLine(); line != null; line = in.readLine()) {
			String[] words = line.split(" ");
			int count = Integer.parseInt(words[1]);
			if (words[0].equals("read"))
				take(consumer, ready, count);
			else
				for (int i = 0; i < count; i++)
					producer.send(new ProducerRecord<>(topic, 0, null, null, Integer.toString(serial++).getBytes())).get();
			System.out.println("done");
		}
	}

	public static void main(String[] args) throws Exception {
		switch (args[0]) {
		case "produce" -> produce(args[1], args[2], args[3]);
		case "read" -> read(args[1], args);
		default -> ride(args[1], args[2]);
		}
		System.exit(0);
	}
}
