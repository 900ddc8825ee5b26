/* SPDX-License-Identifier: Apache-2.0 */
/* Consume, transform, produce in transactions of Apache's Java client, a third of which are aborted at random.
 *
 *     ExactlyOnce.java BOOTSTRAP RUN RECORDS
 *
 * Says `half` when half of the records are through, so that whoever started it may kill the broker there, and
 * in the end `ok NAME` or `not ok NAME: why`: a reader of committed records has to see each record once. */
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class ExactlyOnce {
	static final long LIMIT_MS = 60000, QUIET_MS = 1500;
	static String bootstrap, in, out, run;
	static int records, through, committed, aborted;
	static boolean told;
	static final Random random = new Random(1);

	static void say(String line)
	{
		System.out.println(line);
		System.out.flush();
	}

	static KafkaProducer<String, String> producer(String transactionalId)
	{
		Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap));

		if (transactionalId != null)
			config.put("transactional.id", transactionalId);
		return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
	}

	static KafkaConsumer<String, String> consumer(String group)
	{
		return new KafkaConsumer<>(Map.of("bootstrap.servers", bootstrap, "group.id", group,
						  "enable.auto.commit", "false", "auto.offset.reset", "earliest",
						  "isolation.level", "read_committed", "max.poll.records", "20"),
					   new StringDeserializer(), new StringDeserializer());
	}

	static void fill() throws Exception
	{
		try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
			admin.createTopics(List.of(new NewTopic(in, 2, (short)1), new NewTopic(out, 3, (short)1))).all().get();
		}
		try (KafkaProducer<String, String> producer = producer(null)) {
			for (int i = 0; i < records; i++)
				producer.send(new ProducerRecord<>(in, i % 2, "k" + i, "v" + i));
		}
	}

	/* To where the group stands: what an aborted transaction read is read again. */
	static void back(KafkaConsumer<String, String> consumer)
	{
		Map<TopicPartition, OffsetAndMetadata> stored = consumer.committed(consumer.assignment());

		for (TopicPartition at : consumer.assignment()) {
			OffsetAndMetadata offset = stored.get(at);
			consumer.seek(at, offset == null ? 0 : offset.offset());
		}
	}

	static void step(KafkaConsumer<String, String> consumer, KafkaProducer<String, String> producer)
	{
		Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
		ConsumerRecords<String, String> batch = consumer.poll(Duration.ofMillis(300));

		if (batch.isEmpty())
			return;
		try {
			producer.beginTransaction();
			for (ConsumerRecord<String, String> r : batch) {
				producer.send(new ProducerRecord<>(out, r.key(), r.value()));
				offsets.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
			}
			producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
			if (random.nextInt(3) != 0) {
				producer.commitTransaction();
				committed++;
				through += batch.count();
				return;
			}
		} catch (ProducerFencedException | InvalidProducerEpochException | AuthorizationException e) {
			throw e;
		} catch (KafkaException e) {
			say("# " + e);
		}
		producer.abortTransaction();
		aborted++;
		back(consumer);
	}

	static void work()
	{
		long end = System.currentTimeMillis() + LIMIT_MS;

		try (KafkaProducer<String, String> producer = producer("tx-" + run);
		     KafkaConsumer<String, String> consumer = consumer("group-" + run)) {
			producer.initTransactions();
			consumer.subscribe(List.of(in));
			while (through < records && System.currentTimeMillis() < end) {
				step(consumer, producer);
				if (through >= records / 2 && !told) {
					told = true;
					say("half");
				}
			}
		}
	}

	/* Waits a while after the last one, for what should not be there. */
	static String look()
	{
		Set<String> seen = new HashSet<>();
		int n = 0;
		long last = System.currentTimeMillis();

		try (KafkaConsumer<String, String> consumer = consumer("check-" + run)) {
			consumer.subscribe(List.of(out));
			while (System.currentTimeMillis() - last < (n < records ? 10 * QUIET_MS : QUIET_MS)) {
				for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(200))) {
					seen.add(r.value());
					last = System.currentTimeMillis();
					n++;
				}
			}
		}
		if (n != records || seen.size() != records)
			return n + " records, " + seen.size() + " different, not " + records;
		return aborted == 0 || committed == 0 ? committed + " committed, " + aborted + " aborted" : null;
	}

	public static void main(String[] args) throws Exception
	{
		bootstrap = args[0];
		run = args[1];
		records = Integer.parseInt(args[2]);
		in = "in-" + run;
		out = "out-" + run;
		fill();
		work();
		String trouble = through == records ? look() : "only " + through + " records in time";
		say(trouble == null ? "ok exactly_once" : "not ok exactly_once: " + trouble);
	}
}
