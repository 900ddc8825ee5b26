/* SPDX-License-Identifier: Apache-2.0 */
/* The lines that `moldau dev` prints when it is ready. They say only what is true of the running configuration. */
#include "http.h"
#include "serve.h"

/* Every address of the listener is of this computer alone. */
static bool banner_is_local(const struct broker *broker, const struct acceptor *acceptor)
{
	for (int i = 0; i < broker->acceptors.acceptors_n; i++) {
		const struct acceptor *other = &broker->acceptors.acceptors[i];
		char text[IO_ADDR_TEXT_MAX];

		if (!str_eq(other->name, acceptor->name))
			continue;
		io_addr_format(&other->addr, text);
		if (!str_starts(str_of(text), STR("127.")) && !str_starts(str_of(text), STR("[::1]")) &&
		    !str_starts(str_of(text), STR("::1")))
			return false;
	}
	return true;
}

static void banner_listeners(const struct broker *broker, FILE *out)
{
	const struct acceptor_set *set = &broker->acceptors;
	struct str before = STR("");

	for (int i = 0; i < set->acceptors_n; i++) {
		const struct acceptor *acceptor = &set->acceptors[i];
		struct str host = acceptor->advertised_host;
		bool has_colon = host.p && memchr(host.p, ':', host.len);

		/* "localhost" is bound twice, once for each family; one line is enough. */
		if (acceptor->kind != API_BROKER || str_eq(acceptor->name, before))
			continue;
		before = acceptor->name;
		fprintf(out, "  Kafka            %s%.*s%s:%u", has_colon ? "[" : "", STR_ARGS(host),
			has_colon ? "]" : "", acceptor->advertised_port);
		if (!str_eq_c(acceptor->name, "PLAINTEXT"))
			fprintf(out, "   listener %.*s", STR_ARGS(acceptor->name));
		fprintf(out, "%s\n", banner_is_local(broker, acceptor) ? "   (this computer only)" : "");
	}
}

void banner_print(const struct serve_options *options, const struct broker *broker, const struct http *http,
		  FILE *out)
{
	const struct broker_config *config = &broker->config;
	struct reactor *reactor = &broker->node->reactors[0];
	int64_t now_ns = reactor->io->ops->clock(reactor->io, IO_CLOCK_MONOTONIC);
	int64_t ready_ms = (now_ns - options->started_ns + NS_PER_MS - 1) / NS_PER_MS;

	fprintf(out, "moldau %s   cluster %.*s   data %s%s   ready in %lld ms\n", MOLDAU_VERSION,
		STR_ARGS(broker->cluster_id), options->data_dir, options->temp_dir ? " (removed at the end)" : "",
		(long long)ready_ms);
	banner_listeners(broker, out);
	if (http)
		fprintf(out, "  Metrics          http://%s:%u/metrics\n", http_host(http), http_port(http));
	fprintf(out, "Replication: 1 copy (a single node cannot survive losing its disk).   Durability: %s\n",
		config->eff.durability == DURABILITY_SYNCED ?
			"synced to disk before every acknowledgement" :
			"page cache (as Kafka; durability=synced to sync before every ack)");
	fprintf(out, "Ctrl-C stops it.\n");
	fflush(out);
}
