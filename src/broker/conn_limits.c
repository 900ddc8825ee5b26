/* SPDX-License-Identifier: Apache-2.0 */
/* See conn_limits.h. */
#include "conn_limits.h"

#include "ip.h"
#include "mem.h"

struct conn_rate {
	struct rate rate;
	struct rate_sample samples[];
};

/* A limit that a quota gives an address by name. */
struct ip_bound {
	double per_s;
};

struct ip_rate {
	struct list lru;
	uint64_t key;
	struct conn_rate *rate;
};

uint64_t conn_limits_ip_key(const struct io_addr *addr)
{
	return hash_bytes(addr->ip, addr->is_v6 ? 16 : 4, addr->is_v6);
}

struct conn_rate *conn_rate_new(const struct conn_limits *limits)
{
	size_t samples_len = (size_t)(limits->samples_n + 1) * sizeof(struct rate_sample);
	struct conn_rate *rate = mem_calloc(1, sizeof(*rate) + samples_len);

	rate_init(&rate->rate, rate->samples, limits->samples_n, limits->window_ms);
	return rate;
}

void conn_rate_free(struct conn_rate *rate)
{
	mem_free(rate);
}

int64_t conn_rate_ask(struct conn_rate *rate, int32_t per_s, int64_t now_ms)
{
	rate_record(&rate->rate, 1, now_ms);
	if (per_s == INT32_MAX)
		return 0;
	return MIN(rate_throttle_ms(&rate->rate, per_s, now_ms), rate->rate.window_ms);
}

void conn_rate_undo(struct conn_rate *rate, int64_t now_ms)
{
	rate_record(&rate->rate, -1, now_ms);
}

void conn_limits_init(struct conn_limits *limits, int32_t samples_n, int64_t window_ms, uint64_t seed)
{
	*limits = (struct conn_limits){.samples_n = MIN(samples_n, RATE_SAMPLES_MAX), .window_ms = window_ms};
	limits->broker = conn_rate_new(limits);
	map_init(&limits->ip_bounds, MAP_U64, seed);
	map_init(&limits->ips, MAP_U64, seed);
	list_init(&limits->ips_lru);
}

static void conn_limits_forget_bounds(struct conn_limits *limits)
{
	struct ip_bound *bound;
	uint32_t it = 0;

	while ((bound = map_next(&limits->ip_bounds, &it)) != NULL)
		mem_free(bound);
	map_deinit(&limits->ip_bounds);
}

static void ip_rate_free(struct conn_limits *limits, struct ip_rate *ip)
{
	map_remove_u64(&limits->ips, ip->key);
	list_remove(&ip->lru);
	conn_rate_free(ip->rate);
	mem_free(ip);
}

void conn_limits_deinit(struct conn_limits *limits)
{
	if (!limits->broker)
		return;
	while (!list_is_empty(&limits->ips_lru))
		ip_rate_free(limits, list_entry(limits->ips_lru.next, struct ip_rate, lru));
	map_deinit(&limits->ips);
	conn_limits_forget_bounds(limits);
	conn_rate_free(limits->broker);
	limits->broker = NULL;
}

static void conn_limits_bound(struct conn_limits *limits, struct str name, double per_s)
{
	struct io_addr addr = {0};
	struct ip_bound *bound;

	if (!ip_parse(name, addr.ip, &addr.is_v6))
		return; /* written by a controller that asked a resolver */
	bound = MEM_NEW(struct ip_bound);
	bound->per_s = per_s;
	mem_free(map_put_u64(&limits->ip_bounds, conn_limits_ip_key(&addr), bound));
}

void conn_limits_follow(struct conn_limits *limits, const struct image *image)
{
	const struct quota_image *quota = NULL;
	uint64_t seed = limits->ips.seed;

	conn_limits_forget_bounds(limits);
	map_init(&limits->ip_bounds, MAP_U64, seed);
	limits->has_ip_default = false;
	while ((quota = image_quota_next(image, quota)) != NULL) {
		double per_s;

		if (quota->parts_n != 1 || !str_eq_c(quota->parts[0].type, "ip") ||
		    !quota_value(quota, STR("connection_creation_rate"), &per_s))
			continue;
		if (quota->parts[0].name.p) {
			conn_limits_bound(limits, quota->parts[0].name, per_s);
		} else {
			limits->has_ip_default = true;
			limits->ip_default = per_s;
		}
	}
}

static struct ip_rate *ip_rate_get(struct conn_limits *limits, uint64_t key)
{
	struct ip_rate *ip = map_get_u64(&limits->ips, key);

	if (!ip) {
		if (limits->ips.n >= CONN_LIMITS_ADDRESSES_MAX)
			ip_rate_free(limits, list_entry(limits->ips_lru.next, struct ip_rate, lru));
		ip = MEM_NEW(struct ip_rate);
		ip->key = key;
		ip->rate = conn_rate_new(limits);
		map_put_u64(&limits->ips, key, ip);
	}
	list_remove(&ip->lru);
	list_push_back(&limits->ips_lru, &ip->lru);
	return ip;
}

int64_t conn_limits_ask_ip(struct conn_limits *limits, const struct io_addr *peer, int64_t now_ms)
{
	uint64_t key = conn_limits_ip_key(peer);
	const struct ip_bound *bound = map_get_u64(&limits->ip_bounds, key);
	struct ip_rate *ip;
	int64_t wait_ms;

	if (!bound && !limits->has_ip_default)
		return 0;
	ip = ip_rate_get(limits, key);
	rate_record(&ip->rate->rate, 1, now_ms);
	wait_ms = rate_throttle_ms(&ip->rate->rate, bound ? bound->per_s : limits->ip_default, now_ms);
	if (wait_ms > 0)
		conn_rate_undo(ip->rate, now_ms);
	return MIN(wait_ms, limits->window_ms);
}
