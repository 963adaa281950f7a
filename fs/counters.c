/*
 * counters - the table of what is counted
 *
 * Names and slots come from counters.def. An upcall is counted where the message is read from the
 * kernel (fs/loop.c), before anything looks at it, so that even an operation that we do not
 * implement shows up.
 */
#include "fs/counters.h"

#include <linux/fuse.h>

struct opcode_name {
	uint32_t opcode;
	const char *name;
};

static const struct opcode_name opcode_names[] = {
#define UPCALL(opcode, name) {opcode, name},
#define CONTENT(field)
#include "fs/counters.def"
#undef UPCALL
#undef CONTENT
};

struct content_field {
	const char *name;
	size_t offset;
};

static const struct content_field content_fields[] = {
#define UPCALL(opcode, name)
#define CONTENT(field) {#field, offsetof(struct content_stats, field)},
#include "fs/counters.def"
#undef UPCALL
#undef CONTENT
};

_Static_assert(ARRAY_LEN(opcode_names) < COUNTERS_UPCALL_KINDS, "room for every name and other");
_Static_assert(ARRAY_LEN(content_fields) <= COUNTERS_CONTENT, "room for every figure");
_Static_assert(sizeof(struct content_stats) == ARRAY_LEN(content_fields) * sizeof(uint64_t),
	       "counters.def lists every figure of content_stats");

static bool opcode_is_named(uint32_t opcode)
{
	for (size_t i = 0; i < ARRAY_LEN(opcode_names); i++)
		if (opcode_names[i].opcode == opcode)
			return true;
	return false;
}

void counters_upcall(struct counters *c, uint32_t opcode)
{
	uint32_t slot = opcode < COUNTERS_OPCODES ? opcode : 0;

	atomic_fetch_add_explicit(&c->upcalls[slot], 1, memory_order_relaxed);
}

void counters_failed_reply(struct counters *c)
{
	atomic_fetch_add_explicit(&c->failed_replies, 1, memory_order_relaxed);
}

static void copy_upcalls(const struct counters *c, struct counters_view *out)
{
	uint64_t other = 0;

	for (size_t i = 0; i < ARRAY_LEN(opcode_names); i++) {
		struct counter_value *row = &out->upcalls[out->n_upcalls++];

		row->name = opcode_names[i].name;
		row->value = atomic_load_explicit(&c->upcalls[opcode_names[i].opcode],
						  memory_order_relaxed);
		out->upcalls_total += row->value;
	}
	for (uint32_t opcode = 0; opcode < COUNTERS_OPCODES; opcode++)
		if (!opcode_is_named(opcode))
			other += atomic_load_explicit(&c->upcalls[opcode], memory_order_relaxed);
	out->upcalls[out->n_upcalls++] = (struct counter_value){"other", other};
	out->upcalls_total += other;
}

void counters_copy(const struct counters *c, const struct content_stats *stats,
		   struct counters_view *out)
{
	*out = (struct counters_view){0};
	copy_upcalls(c, out);
	out->failed_replies = atomic_load_explicit(&c->failed_replies, memory_order_relaxed);
	for (size_t i = 0; i < ARRAY_LEN(content_fields); i++) {
		const char *field = (const char *)stats + content_fields[i].offset;

		out->content[out->n_content++] =
			(struct counter_value){content_fields[i].name, *(const uint64_t *)field};
	}
}
