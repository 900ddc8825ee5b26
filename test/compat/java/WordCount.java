/* SPDX-License-Identifier: Apache-2.0 */
/* Counts words with Kafka Streams: lines of the topic `lines` go apart into words, through a repartition topic, into a
 * store with a changelog topic; every new count is a record of the topic `counts`, key the word, value "WORD N". Runs
 * until standard input ends; prints the client's states, and "failed: WHY" when a thread ended.
 *
 *     WordCount BOOTSTRAP at_least_once|exactly_once_v2 DIR */
import java.util.List;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Produced;

public class WordCount {
	static void say(String line)
	{
		System.out.println(line);
		System.out.flush();
	}

	static Properties config(String[] args)
	{
		Properties config = new Properties();

		config.put("application.id", "wordcount-" + args[1]);
		config.put("bootstrap.servers", args[0]);
		config.put("processing.guarantee", args[1]);
		config.put("state.dir", args[2]);
		config.put("replication.factor", "1");
		config.put("num.stream.threads", "2");
		config.put("commit.interval.ms", "200");
		/* Without a cache every word is told, so that not one count may be missing. */
		config.put("statestore.cache.max.bytes", "0");
		config.put("default.key.serde", Serdes.StringSerde.class.getName());
		config.put("default.value.serde", Serdes.StringSerde.class.getName());
		/* One that was killed is not waited for long. */
		config.put("consumer.session.timeout.ms", "6000");
		config.put("consumer.auto.offset.reset", "earliest");
		return config;
	}

	public static void main(String[] args) throws Exception
	{
		StreamsBuilder builder = new StreamsBuilder();

		builder.<String, String>stream("lines")
			.flatMapValues(line -> List.of(line.split(" ")))
			.groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
			.count()
			.toStream()
			.map((word, n) -> org.apache.kafka.streams.KeyValue.pair(word, word + " " + n))
			.to("counts", Produced.with(Serdes.String(), Serdes.String()));
		try (KafkaStreams streams = new KafkaStreams(builder.build(), config(args))) {
			streams.setStateListener((now, before) -> say("state: " + now));
			streams.setUncaughtExceptionHandler(error -> {
				say("failed: " + error);
				return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
			});
			streams.start();
			while (System.in.read() >= 0)
				;
		}
		say("ended");
	}
}
