/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the original's Admin client finds on one node without security: each check asks, asserts on the answer, and says
 * `ok NAME` or `not ok NAME: why`. Arguments: the bootstrap address, and names of checks (all without any). It compiles
 * with every client from 4.3.1 on.
 */
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterClientQuotasOptions;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.BrokerIdNotRegisteredException;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.InvalidUpdateVersionException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.ResourceNotFoundException;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;
import org.apache.kafka.common.serialization.StringSerializer;

public class AdminChecks {
	interface Check {
		void run() throws Exception;
	}

	static final long WAIT_S = 20;
	static Admin admin;
	static String bootstrap, prefix = "admin-" + UUID.randomUUID().toString().substring(0, 8);
	static final Map<String, Check> checks = new LinkedHashMap<>();

	static <T> T get(KafkaFuture<T> future) throws Exception {
		return future.get(WAIT_S, TimeUnit.SECONDS);
	}

	static void same(String what, Object wanted, Object got) {
		if (!Objects.equals(wanted, got))
			throw new AssertionError(what + " is " + got + ", not " + wanted);
	}

	static void yes(String what, boolean is) {
		if (!is)
			throw new AssertionError("not so: " + what);
	}

	static Throwable fails(Class<? extends Throwable> wanted, KafkaFuture<?> future) throws Exception {
		try {
			Object got = get(future);
			throw new AssertionError("answered " + got + ", no " + wanted.getSimpleName());
		} catch (ExecutionException e) {
			if (!wanted.isInstance(e.getCause()))
				throw new AssertionError("failed with " + e.getCause() + ", not " + wanted.getSimpleName());
			return e.getCause();
		}
	}

	static ConfigResource topic(String name) {
		return new ConfigResource(ConfigResource.Type.TOPIC, name);
	}

	static ConfigResource broker(String name) {
		return new ConfigResource(ConfigResource.Type.BROKER, name);
	}

	static String made(String name, int partitions) throws Exception {
		String full = prefix + "-" + name;
		get(admin.createTopics(List.of(new NewTopic(full, partitions, (short) 1))).all());
		until("leaders of " + full, () -> get(admin.describeTopics(List.of(full)).allTopicNames()).get(full).partitions()
			.stream().allMatch(p -> p.leader() != null && !p.leader().isEmpty()));
		return full;
	}

	interface Question {
		boolean ask() throws Exception;
	}

	static void until(String what, Question question) throws Exception {
		for (long end = System.nanoTime() + WAIT_S * 1_000_000_000L;; Thread.sleep(50)) {
			try {
				if (question.ask())
					return;
			} catch (ExecutionException e) {
				if (!(e.getCause() instanceof UnknownTopicOrPartitionException))
					throw e;
			}
			if (System.nanoTime() > end)
				throw new AssertionError("not in time: " + what);
		}
	}

	static void produce(String topic, int n) throws Exception {
		Properties p = new Properties();
		p.put("bootstrap.servers", bootstrap);
		try (var producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
			for (int i = 0; i < n; i++)
				producer.send(new ProducerRecord<>(topic, 0, 1_000_000L + i, "k", "v" + i));
		}
	}

	static void set(ConfigResource resource, AlterConfigOp.OpType op, String key, String value) throws Exception {
		get(admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry(key, value), op)))).all());
	}

	static ConfigEntry entry(ConfigResource resource, String key) throws Exception {
		var options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
		return get(admin.describeConfigs(List.of(resource), options).all()).get(resource).get(key);
	}

	static void seen(ConfigResource resource, String key, String value, ConfigEntry.ConfigSource source) throws Exception {
		until(key + "=" + value, () -> Objects.equals(value, entry(resource, key).value()));
		same("source of " + key, source, entry(resource, key).source());
	}

	static OffsetSpec[] specs() {
		return new OffsetSpec[] {OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.maxTimestamp(),
			OffsetSpec.forTimestamp(1_000_003L)};
	}

	static long offset(TopicPartition at, OffsetSpec spec) throws Exception {
		return get(admin.listOffsets(Map.of(at, spec)).all()).get(at).offset();
	}

	// ---- topics

	static void createTopics() throws Exception {
		String name = prefix + "-full";
		var result = admin.createTopics(List.of(new NewTopic(name, Map.of(0, List.of(1), 1, List.of(1)))
			.configs(Map.of("retention.ms", "1234567"))));
		same("partitions", 2, get(result.numPartitions(name)));
		same("factor", 1, get(result.replicationFactor(name)));
		same("config", "1234567", get(result.config(name)).get("retention.ms").value());
		same("config's source", ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG,
			get(result.config(name)).get("retention.ms").source());
		fails(TopicExistsException.class, admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all());
		var only = new CreateTopicsOptions().validateOnly(true);
		get(admin.createTopics(List.of(new NewTopic(prefix + "-only", Optional.empty(), Optional.empty())), only).all());
		yes("validate only makes nothing", !get(admin.listTopics().names()).contains(prefix + "-only"));
		fails(InvalidTopicException.class, admin.createTopics(List.of(new NewTopic("a b", 1, (short) 1))).all());
		fails(InvalidReplicationFactorException.class,
			admin.createTopics(List.of(new NewTopic(prefix + "-two", 1, (short) 2))).all());
		fails(InvalidPartitionsException.class,
			admin.createTopics(List.of(new NewTopic(prefix + "-zero", 0, (short) 1))).all());
		fails(InvalidConfigurationException.class, admin.createTopics(List.of(new NewTopic(prefix + "-conf", 1, (short) 1)
			.configs(Map.of("no.such.key", "1")))).all());
	}

	static void describeTopics() throws Exception {
		String name = made("described", 5);
		var one = get(admin.describeTopics(List.of(name), new DescribeTopicsOptions().partitionSizeLimitPerResponse(2))
			.allTopicNames()).get(name);
		same("partitions", 5, one.partitions().size());
		same("by id", name, get(admin.describeTopics(TopicCollection.ofTopicIds(List.of(one.topicId()))).allTopicIds())
			.get(one.topicId()).name());
		yes("listed", get(admin.listTopics(new ListTopicsOptions().listInternal(true)).namesToListings()).get(name)
			.topicId().equals(one.topicId()));
		fails(UnknownTopicOrPartitionException.class, admin.describeTopics(List.of(prefix + "-no")).allTopicNames());
		Uuid other = Uuid.randomUuid();
		fails(UnknownTopicIdException.class, admin.describeTopics(TopicCollection.ofTopicIds(List.of(other))).allTopicIds());
	}

	static void deleteTopics() throws Exception {
		String name = made("gone", 1), second = made("gone-too", 1);
		get(admin.deleteTopics(List.of(name)).all());
		Uuid id = get(admin.describeTopics(List.of(second)).allTopicNames()).get(second).topicId();
		get(admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
		until("both gone", () -> !get(admin.listTopics().names()).removeAll(List.of(name, second)));
		fails(UnknownTopicOrPartitionException.class, admin.deleteTopics(List.of(name)).all());
		fails(UnknownTopicIdException.class, admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
	}

	static int partitions(String name) throws Exception {
		return get(admin.describeTopics(List.of(name)).allTopicNames()).get(name).partitions().size();
	}

	static void createPartitions() throws Exception {
		String name = made("grows", 1);
		get(admin.createPartitions(Map.of(name, NewPartitions.increaseTo(3))).all());
		until("3 partitions", () -> partitions(name) == 3);
		get(admin.createPartitions(Map.of(name, NewPartitions.increaseTo(4, List.of(List.of(1))))).all());
		until("4 partitions", () -> partitions(name) == 4);
		get(admin.createPartitions(Map.of(name, NewPartitions.increaseTo(9)), new CreatePartitionsOptions()
			.validateOnly(true)).all());
		same("validate only", 4, partitions(name));
		fails(InvalidPartitionsException.class, admin.createPartitions(Map.of(name, NewPartitions.increaseTo(4))).all());
		fails(InvalidPartitionsException.class, admin.createPartitions(Map.of(name, NewPartitions.increaseTo(2))).all());
		fails(UnknownTopicOrPartitionException.class,
			admin.createPartitions(Map.of(prefix + "-no", NewPartitions.increaseTo(2))).all());
	}

	// ---- configs

	static void describeConfigs() throws Exception {
		String name = made("config", 1);
		ConfigEntry e = entry(topic(name), "cleanup.policy");
		same("value", "delete", e.value());
		same("source", ConfigEntry.ConfigSource.DEFAULT_CONFIG, e.source());
		same("type", ConfigEntry.ConfigType.LIST, e.type());
		same("synonyms", 1, e.synonyms().size());
		yes("documented", e.documentation() != null && !e.documentation().isBlank());
		yes("not read-only", !e.isReadOnly());
		e = entry(broker("1"), "log.retention.hours");
		same("hours", "168", e.value());
		yes("read-only", e.isReadOnly());
		e = entry(broker("1"), "ssl.keystore.password");
		yes("sensitive", e.isSensitive());
		same("hidden", null, e.value());
		same("node", ConfigEntry.ConfigSource.STATIC_BROKER_CONFIG, entry(broker("1"), "node.id").source());
		Config all = get(admin.describeConfigs(List.of(topic(name))).all()).get(topic(name));
		yes("32 keys or more, " + all.entries().size(), all.entries().size() >= 32);
		fails(UnknownTopicOrPartitionException.class, admin.describeConfigs(List.of(topic(prefix + "-no"))).all());
		var logger = new ConfigResource(ConfigResource.Type.BROKER_LOGGER, "1");
		yes("loggers", get(admin.describeConfigs(List.of(logger)).all()).get(logger).get("root") != null);
	}

	static void incrementalAlterConfigs() throws Exception {
		ConfigResource t = topic(made("altered", 1));
		set(t, AlterConfigOp.OpType.SET, "retention.ms", "777000");
		seen(t, "retention.ms", "777000", ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG);
		set(t, AlterConfigOp.OpType.APPEND, "cleanup.policy", "compact");
		seen(t, "cleanup.policy", "delete,compact", ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG);
		set(t, AlterConfigOp.OpType.SUBTRACT, "cleanup.policy", "delete");
		seen(t, "cleanup.policy", "compact", ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG);
		set(t, AlterConfigOp.OpType.DELETE, "retention.ms", null);
		seen(t, "retention.ms", "604800000", ConfigEntry.ConfigSource.DEFAULT_CONFIG);
		var wrong = new AlterConfigOp(new ConfigEntry("retention.ms", "soon"), AlterConfigOp.OpType.SET);
		fails(InvalidConfigurationException.class, admin.incrementalAlterConfigs(Map.of(t, List.of(wrong))).all());
		var append = new AlterConfigOp(new ConfigEntry("retention.ms", "1"), AlterConfigOp.OpType.APPEND);
		fails(InvalidConfigurationException.class, admin.incrementalAlterConfigs(Map.of(t, List.of(append))).all());
		var right = new AlterConfigOp(new ConfigEntry("retention.ms", "5"), AlterConfigOp.OpType.SET);
		get(admin.incrementalAlterConfigs(Map.of(t, List.of(right)), new AlterConfigsOptions().validateOnly(true)).all());
		same("validate only", "604800000", entry(t, "retention.ms").value());
		fails(UnknownTopicOrPartitionException.class,
			admin.incrementalAlterConfigs(Map.of(topic(prefix + "-no"), List.of(right))).all());
	}

	static void brokerConfigs() throws Exception {
		set(broker(""), AlterConfigOp.OpType.SET, "log.retention.ms", "5000000");
		seen(broker("1"), "log.retention.ms", "5000000", ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG);
		set(broker("1"), AlterConfigOp.OpType.SET, "log.retention.ms", "6000000");
		seen(broker("1"), "log.retention.ms", "6000000", ConfigEntry.ConfigSource.DYNAMIC_BROKER_CONFIG);
		seen(topic(made("inherits", 1)), "retention.ms", "6000000", ConfigEntry.ConfigSource.DYNAMIC_BROKER_CONFIG);
		set(broker("1"), AlterConfigOp.OpType.DELETE, "log.retention.ms", null);
		set(broker(""), AlterConfigOp.OpType.DELETE, "log.retention.ms", null);
		until("taken back", () -> entry(broker("1"), "log.retention.ms").value() == null);
		var fixed = new AlterConfigOp(new ConfigEntry("log.dirs", "/tmp/x"), AlterConfigOp.OpType.SET);
		fails(InvalidRequestException.class, admin.incrementalAlterConfigs(Map.of(broker("1"), List.of(fixed))).all());
	}

	static void listConfigResources() throws Exception {
		var metrics = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, prefix + "-m");
		var group = new ConfigResource(ConfigResource.Type.GROUP, prefix + "-g");
		set(metrics, AlterConfigOp.OpType.SET, "interval.ms", "60000");
		set(group, AlterConfigOp.OpType.SET, "consumer.session.timeout.ms", "46000");
		String name = made("resource", 1);
		until("all resources", () -> get(admin.listConfigResources().all())
			.containsAll(List.of(metrics, group, topic(name), broker("1"))));
		var kinds = Set.of(ConfigResource.Type.CLIENT_METRICS);
		same("client metrics", true, get(admin.listConfigResources(kinds,
			new org.apache.kafka.clients.admin.ListConfigResourcesOptions()).all()).stream()
			.allMatch(r -> r.type() == ConfigResource.Type.CLIENT_METRICS));
		until("interval", () -> "60000".equals(entry(metrics, "interval.ms").value()));
		same("group's source", ConfigEntry.ConfigSource.DYNAMIC_GROUP_CONFIG,
			entry(group, "consumer.session.timeout.ms").source());
		set(metrics, AlterConfigOp.OpType.DELETE, "interval.ms", null);
		until("gone", () -> !get(admin.listConfigResources().all()).contains(metrics));
	}

	// ---- the node

	static void describeCluster() throws Exception {
		var brokers = admin.describeCluster(new DescribeClusterOptions().includeFencedBrokers(true));
		same("nodes", 1, get(brokers.nodes()).size());
		same("id", 1, get(brokers.nodes()).iterator().next().id());
		same("fenced", false, get(brokers.nodes()).iterator().next().isFenced());
		same("controller", 1, get(brokers.controller()).id());
		same("operations", null, get(brokers.authorizedOperations()));
		String cluster = get(brokers.clusterId());
		same("id's length", 22, cluster.length());
		String controllers = System.getProperty("controllers");
		if (controllers == null)
			return;
		Properties p = new Properties();
		p.put("bootstrap.controllers", controllers);
		try (Admin direct = Admin.create(p)) {
			same("cluster by the controller", cluster, get(direct.describeCluster().clusterId()));
			same("controllers", 1, get(direct.describeCluster().nodes()).size());
			same("voter", 1, get(direct.describeMetadataQuorum().quorumInfo()).leaderId());
			yes("configs", get(direct.describeConfigs(List.of(broker("1"))).all()).get(broker("1")).get("node.id") != null);
		}
	}

	static void describeMetadataQuorum() throws Exception {
		var info = get(admin.describeMetadataQuorum().quorumInfo());
		same("leader", 1, info.leaderId());
		same("voters", 1, info.voters().size());
		same("observers", 0, info.observers().size());
		same("endpoints", 1, info.nodes().get(1).endpoints().size());
		yes("offset", info.voters().get(0).logEndOffset() > 0 && info.highWatermark() > 0);
		yes("directory", !info.voters().get(0).replicaDirectoryId().equals(Uuid.ZERO_UUID));
	}

	static void features() throws Exception {
		var before = get(admin.describeFeatures().featureMetadata());
		same("metadata.version", (short) 30, before.finalizedFeatures().get("metadata.version").maxVersionLevel());
		same("kraft.version", (short) 1, before.finalizedFeatures().get("kraft.version").maxVersionLevel());
		yes("epoch", before.finalizedFeaturesEpoch().isPresent());
		yes("supported", before.supportedFeatures().keySet().containsAll(List.of("metadata.version", "kraft.version")));
		var far = new FeatureUpdate((short) 9, FeatureUpdate.UpgradeType.UPGRADE);
		fails(InvalidUpdateVersionException.class,
			admin.updateFeatures(Map.of("streams.version", far), new UpdateFeaturesOptions()).all());
		// A broker without streams groups does not offer their feature; tools/ keeps which those are.
		if (before.supportedFeatures().containsKey("streams.version"))
			featureDownAndUp();
	}

	static void featureDownAndUp() throws Exception {
		var down = new FeatureUpdate((short) 0, FeatureUpdate.UpgradeType.SAFE_DOWNGRADE);
		var up = new FeatureUpdate((short) 1, FeatureUpdate.UpgradeType.UPGRADE);
		get(admin.updateFeatures(Map.of("streams.version", down), new UpdateFeaturesOptions().validateOnly(true)).all());
		get(admin.updateFeatures(Map.of("streams.version", down), new UpdateFeaturesOptions()).all());
		until("lower", () -> !get(admin.describeFeatures().featureMetadata()).finalizedFeatures()
			.containsKey("streams.version"));
		get(admin.updateFeatures(Map.of("streams.version", up), new UpdateFeaturesOptions()).all());
		until("higher", () -> get(admin.describeFeatures().featureMetadata()).finalizedFeatures()
			.containsKey("streams.version"));
	}

	static void logDirs() throws Exception {
		String name = made("dirs", 2);
		produce(name, 3);
		var dirs = get(admin.describeLogDirs(List.of(1)).allDescriptions()).get(1);
		same("directories", 1, dirs.size());
		var dir = dirs.values().iterator().next();
		same("error", null, dir.error());
		yes("bytes", dir.totalBytes().getAsLong() > dir.usableBytes().getAsLong() && dir.usableBytes().getAsLong() > 0);
		yes("size", dir.replicaInfos().get(new TopicPartition(name, 0)).size() > 0);
		same("empty", 0L, dir.replicaInfos().get(new TopicPartition(name, 1)).size());
		var replica = new TopicPartitionReplica(name, 0, 1);
		var info = get(admin.describeReplicaLogDirs(List.of(replica)).all()).get(replica);
		same("where", dirs.keySet().iterator().next(), info.getCurrentReplicaLogDir());
		same("future", null, info.getFutureReplicaLogDir());
		var nowhere = new TopicPartitionReplica(prefix + "-no", 0, 1);
		same("nowhere", null, get(admin.describeReplicaLogDirs(List.of(nowhere)).all()).get(nowhere)
			.getCurrentReplicaLogDir());
	}

	static void unregisterBroker() throws Exception {
		fails(BrokerIdNotRegisteredException.class, admin.unregisterBroker(77).all());
	}

	// ---- partitions

	static void listOffsets() throws Exception {
		String name = made("offsets", 1);
		TopicPartition at = new TopicPartition(name, 0);
		same("of nothing", 0L, offset(at, OffsetSpec.latest()));
		same("latest time of nothing", -1L, offset(at, OffsetSpec.maxTimestamp()));
		produce(name, 10);
		List<Long> got = new ArrayList<>();
		for (OffsetSpec spec : specs())
			got.add(offset(at, spec));
		same("offsets", List.of(0L, 10L, 9L, 3L), got);
		fails(UnknownTopicOrPartitionException.class, Admin.create(Map.of("bootstrap.servers", bootstrap,
			"default.api.timeout.ms", "1500", "request.timeout.ms", "1000")).listOffsets(
			Map.of(new TopicPartition(name, 7), OffsetSpec.latest())).all(), true);
	}

	/** The client asks again until its time is over; either is right. */
	static void fails(Class<? extends Throwable> wanted, KafkaFuture<?> future, boolean orTimeout) throws Exception {
		try {
			fails(wanted, future);
		} catch (AssertionError e) {
			if (!orTimeout || !e.getMessage().contains("TimeoutException"))
				throw e;
		}
	}

	static void deleteRecords() throws Exception {
		String name = made("trimmed", 1);
		TopicPartition at = new TopicPartition(name, 0);
		produce(name, 10);
		same("low watermark", 4L, get(admin.deleteRecords(Map.of(at, RecordsToDelete.beforeOffset(4)))
			.lowWatermarks().get(at)).lowWatermark());
		same("earliest", 4L, offset(at, OffsetSpec.earliest()));
		fails(OffsetOutOfRangeException.class, admin.deleteRecords(Map.of(at, RecordsToDelete.beforeOffset(99))).all());
		same("all", 10L, get(admin.deleteRecords(Map.of(at, RecordsToDelete.beforeOffset(-1)))
			.lowWatermarks().get(at)).lowWatermark());
	}

	static void electLeaders() throws Exception {
		TopicPartition at = new TopicPartition(made("elected", 1), 0), no = new TopicPartition(prefix + "-no", 0);
		var said = get(admin.electLeaders(ElectionType.PREFERRED, Set.of(at, no)).partitions());
		yes("not needed", said.get(at).get() instanceof ElectionNotNeededException);
		yes("unknown", said.get(no).get() instanceof UnknownTopicOrPartitionException);
		said = get(admin.electLeaders(ElectionType.UNCLEAN, Set.of(at)).partitions());
		yes("unclean not needed", said.get(at).get() instanceof ElectionNotNeededException);
		same("of all", Map.of(), get(admin.electLeaders(ElectionType.PREFERRED, null).partitions()));
	}

	static void reassignments() throws Exception {
		TopicPartition at = new TopicPartition(made("moved", 1), 0);
		same("none", Map.of(), get(admin.listPartitionReassignments().reassignments()));
		get(admin.alterPartitionReassignments(Map.of(at, Optional.of(new NewPartitionReassignment(List.of(1))))).all());
		same("none still", Map.of(), get(admin.listPartitionReassignments(Set.of(at)).reassignments()));
		fails(NoReassignmentInProgressException.class,
			admin.alterPartitionReassignments(Map.of(at, Optional.empty())).all());
		fails(org.apache.kafka.common.errors.InvalidReplicaAssignmentException.class,
			admin.alterPartitionReassignments(Map.of(at, Optional.of(new NewPartitionReassignment(List.of(7))))).all());
	}

	// ---- quotas and security

	static ClientQuotaEntity client(String name) {
		Map<String, String> entries = new HashMap<>();
		entries.put(ClientQuotaEntity.CLIENT_ID, name);
		return new ClientQuotaEntity(entries);
	}

	static Map<ClientQuotaEntity, Map<String, Double>> quotas(ClientQuotaFilterComponent... parts) throws Exception {
		return get(admin.describeClientQuotas(ClientQuotaFilter.contains(Arrays.asList(parts))).entities());
	}

	static void alter(ClientQuotaEntity entity, String key, Double value, boolean only) throws Exception {
		get(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(
			new ClientQuotaAlteration.Op(key, value)))), new AlterClientQuotasOptions().validateOnly(only)).all());
	}

	static void clientQuotas() throws Exception {
		ClientQuotaEntity named = client(prefix), everybody = client(null);
		var byName = ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.CLIENT_ID, prefix);
		var byDefault = ClientQuotaFilterComponent.ofDefaultEntity(ClientQuotaEntity.CLIENT_ID);
		alter(named, "producer_byte_rate", 1e6, true);
		same("validate only", Map.of(), quotas(byName));
		alter(named, "producer_byte_rate", 1e6, false);
		alter(named, "request_percentage", 12.5, false);
		until("both", () -> Map.of(named, Map.of("producer_byte_rate", 1e6, "request_percentage", 12.5))
			.equals(quotas(byName)));
		alter(everybody, "consumer_byte_rate", 2e9, false);
		until("the default", () -> Map.of(everybody, Map.of("consumer_byte_rate", 2e9)).equals(quotas(byDefault)));
		yes("all", quotas(ClientQuotaFilterComponent.ofEntityType(ClientQuotaEntity.CLIENT_ID)).keySet()
			.containsAll(List.of(named, everybody)));
		alter(everybody, "consumer_byte_rate", null, false);
		alter(named, "producer_byte_rate", null, false);
		alter(named, "request_percentage", null, false);
		until("gone", () -> quotas(byName).isEmpty() && quotas(byDefault).isEmpty());
		fails(InvalidRequestException.class, admin.alterClientQuotas(List.of(new ClientQuotaAlteration(named,
			List.of(new ClientQuotaAlteration.Op("no_such_rate", 1.0))))).all());
	}

	static void security() throws Exception {
		fails(SecurityDisabledException.class, admin.describeAcls(AclBindingFilter.ANY).values());
		same("users", Map.of(), get(admin.describeUserScramCredentials().all()));
		fails(ResourceNotFoundException.class, admin.describeUserScramCredentials(List.of("nobody")).description("nobody"));
	}

	// ----

	static void checksAdd() {
		checks.put("createTopics", AdminChecks::createTopics);
		checks.put("describeTopics", AdminChecks::describeTopics);
		checks.put("deleteTopics", AdminChecks::deleteTopics);
		checks.put("createPartitions", AdminChecks::createPartitions);
		checks.put("describeConfigs", AdminChecks::describeConfigs);
		checks.put("incrementalAlterConfigs", AdminChecks::incrementalAlterConfigs);
		checks.put("brokerConfigs", AdminChecks::brokerConfigs);
		checks.put("listConfigResources", AdminChecks::listConfigResources);
		checks.put("describeCluster", AdminChecks::describeCluster);
		checks.put("describeMetadataQuorum", AdminChecks::describeMetadataQuorum);
		checks.put("features", AdminChecks::features);
		checks.put("logDirs", AdminChecks::logDirs);
		checks.put("unregisterBroker", AdminChecks::unregisterBroker);
		checks.put("listOffsets", AdminChecks::listOffsets);
		checks.put("deleteRecords", AdminChecks::deleteRecords);
		checks.put("electLeaders", AdminChecks::electLeaders);
		checks.put("reassignments", AdminChecks::reassignments);
		checks.put("clientQuotas", AdminChecks::clientQuotas);
		checks.put("security", AdminChecks::security);
	}

	public static void main(String[] args) {
		checksAdd();
		bootstrap = args[0];
		Collection<String> wanted = new HashSet<>(Arrays.asList(args).subList(1, args.length));
		Properties p = new Properties();
		p.put("bootstrap.servers", bootstrap);
		p.put("default.api.timeout.ms", "15000");
		p.put("request.timeout.ms", "10000");
		admin = Admin.create(p);
		checks.forEach((name, check) -> {
			if (!wanted.isEmpty() && !wanted.contains(name))
				return;
			try {
				check.run();
				System.out.println("ok " + name);
			} catch (Throwable e) {
				System.out.println("not ok " + name + ": " + String.valueOf(e).replace('\n', ' '));
			}
		});
		System.exit(0);
	}
}
