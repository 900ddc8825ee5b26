/* SPDX-License-Identifier: Apache-2.0 */
/* One member of a group, of Apache's Java client: what python/group_member.py does, with the same lines.
 *
 *     GroupMember.java classic|consumer BOOTSTRAP TOPIC GROUP [INSTANCE] */
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public class GroupMember {
	static volatile boolean ended;

	static void say(String line)
	{
		System.out.println(line);
		System.out.flush();
	}

	public static void main(String[] args) throws Exception
	{
		Map<String, Object> config = new HashMap<>();
		Thread watch = new Thread(() -> {
			try {
				while (System.in.read() >= 0)
					;
			} catch (java.io.IOException e) {
				say("# " + e);
			}
			ended = true;
		});

		config.put("bootstrap.servers", args[1]);
		config.put("group.id", args[3]);
		config.put("group.protocol", args[0]);
		config.put("enable.auto.commit", "false");
		config.put("auto.offset.reset", "earliest");
		if (args[0].equals("classic")) {
			config.put("session.timeout.ms", "6000");
			config.put("heartbeat.interval.ms", "500");
		}
		if (args.length > 4)
			config.put("group.instance.id", args[4]);
		watch.setDaemon(true);
		watch.start();
		try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(),
										   new ByteArrayDeserializer())) {
			consumer.subscribe(List.of(args[2]));
			while (!ended)
				step(consumer);
		}
	}

	static void step(KafkaConsumer<byte[], byte[]> consumer)
	{
		try {
			ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
			Map<TopicPartition, OffsetAndMetadata> ends = new HashMap<>();

			for (ConsumerRecord<byte[], byte[]> record : records) {
				say("R " + record.partition() + " " + record.offset());
				ends.put(new TopicPartition(record.topic(), record.partition()),
					 new OffsetAndMetadata(record.offset() + 1));
			}
			if (ends.isEmpty())
				return;
			consumer.commitSync(ends, Duration.ofSeconds(5));
			ends.forEach((partition, end) -> say("C " + partition.partition() + " " + end.offset()));
		} catch (KafkaException e) {
			say("# " + e);
		}
	}
}
