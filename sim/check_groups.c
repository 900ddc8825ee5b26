/* SPDX-License-Identifier: Apache-2.0 */
/* See check_groups.h. */
#include "check_groups.h"

void check_group_init(struct check_group *c, struct world *w, const char *name)
{
	*c = (struct check_group){.w = w, .name = name};
	for (int p = 0; p < CHECK_GROUP_PARTS_MAX; p++)
		c->parts[p].known.acked = -1;
}

void check_group_deinit(struct check_group *c)
{
	vec_deinit(&c->doubts);
}

void check_group_owners(struct check_group *c, const struct group_owner *owners, int n)
{
	for (int i = 0; i < n; i++) {
		for (int j = i + 1; j < n; j++) {
			if (owners[i].owns & owners[j].owns)
				world_fail(c->w, "%s: members %s (%d) and %s (%d) both own partitions %x", c->name,
					   owners[i].id, owners[i].epoch, owners[j].id, owners[j].epoch,
					   (unsigned)(owners[i].owns & owners[j].owns));
		}
	}
}

/* ---- commits ---- */

static bool doubt_has(const struct check_group *c, int part, int64_t value)
{
	for (size_t i = 0; i < c->doubts.n; i++) {
		if (c->doubts.v[i].part == part && (value < 0 || c->doubts.v[i].value == value))
			return true;
	}
	return false;
}

/* Who was acknowledged is the owner: what others sent before and was not stored by now never will be. */
static void doubts_settle(struct check_group *c, struct group_author author, int part, int64_t value)
{
	size_t n = 0;

	for (size_t i = 0; i < c->doubts.n; i++) {
		struct group_doubt doubt = c->doubts.v[i];
		bool is_own = doubt.author.member == author.member && doubt.author.lives == author.lives;

		if (doubt.part != part || is_own || doubt.value > value)
			c->doubts.v[n++] = doubt;
	}
	c->doubts.n = n;
}

static void part_learn(struct check_group *c, uint32_t era, int part, int64_t value)
{
	struct group_known *known = &c->parts[part].known;

	if (era != c->w->era)
		return;
	if (known->era != era || value > known->acked) {
		known->acked = value;
		known->era = era;
	}
}

int64_t check_group_value(struct check_group *c, int part)
{
	return c->parts[part].next++;
}

void check_group_commit_sent(struct check_group *c, int part)
{
	c->parts[part].sent_n++;
	c->parts[part].out_n++;
	c->parts[part].known.is_gone = false;
}

void check_group_acked(struct check_group *c, uint32_t era, int64_t sent_ns, struct group_author author, int part,
		       int64_t value, const struct group_known *before)
{
	struct check_group_part *p = &c->parts[part];

	p->out_n--;
	if (era != c->w->era)
		return;
	if (before->era == era && value < before->acked && !before->may_be_gone)
		world_fail(c->w, "%s: the commit of %lld to partition %d is taken, and %lld was acknowledged before it "
				 "was sent",
			   c->name, (long long)value, part, (long long)before->acked);
	part_learn(c, era, part, value);
	p->acked_ns = c->w->now_ns;
	if (!c->deletes_out && !c->is_unsure && sent_ns > p->delete_done_ns)
		p->known.may_be_gone = false;
	doubts_settle(c, author, part, value);
}

void check_group_refused(struct check_group *c, int part)
{
	c->parts[part].out_n--;
}

void check_group_unknown(struct check_group *c, struct group_author author, int part, int64_t value)
{
	struct group_doubt doubt = {author, part, value};

	c->parts[part].out_n--;
	vec_push(&c->doubts, doubt);
}

void check_group_fetched(struct check_group *c, uint32_t era, int part, int64_t value,
			 const struct group_known *before)
{
	bool is_now = era == c->w->era && before->era == era;

	if (value >= c->parts[part].next)
		world_fail(c->w, "%s: offset %lld of partition %d was never committed", c->name, (long long)value,
			   part);
	if (is_now && value < before->acked && !doubt_has(c, part, value < 0 ? INT64_MAX : value) &&
	    !(value < 0 && (before->may_be_gone || c->parts[part].known.may_be_gone)))
		world_fail(c->w, "%s: offset of partition %d went back from %lld to %lld", c->name, part,
			   (long long)before->acked, (long long)value);
	if (is_now && value >= 0 && before->is_gone && before->gone_era == era && c->parts[part].known.is_gone)
		world_fail(c->w, "%s: the deleted offset %lld of partition %d is back", c->name, (long long)value,
			   part);
	if (value >= 0)
		part_learn(c, era, part, value);
}

/* ---- deletions ---- */

void check_group_delete_sent(struct check_group *c, uint32_t parts)
{
	c->deletes_out++;
	c->delete_sent_ns = c->w->now_ns;
	for (int i = 0; i < CHECK_GROUP_PARTS_MAX; i++) {
		struct check_group_part *p = &c->parts[i];

		if (!(parts >> i & 1))
			continue;
		p->known.may_be_gone = true;
		p->delete_sent_n = p->out_n ? -1 : p->sent_n;
	}
}

void check_group_delete_done(struct check_group *c, uint32_t era, uint32_t parts, bool answered, bool deleted)
{
	c->deletes_out--;
	c->is_unsure |= !answered;
	for (int i = 0; i < CHECK_GROUP_PARTS_MAX; i++) {
		struct check_group_part *p = &c->parts[i];

		if (!(parts >> i & 1))
			continue;
		p->delete_done_ns = c->w->now_ns;
		if (!deleted || era != c->w->era || p->delete_sent_n != p->sent_n || doubt_has(c, i, -1))
			continue;
		/* Nothing was on its way, before or meanwhile. */
		p->known.acked = -1;
		p->known.era = era;
		p->known.is_gone = true;
		p->known.gone_era = era;
	}
}
