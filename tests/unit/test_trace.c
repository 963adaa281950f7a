/*
 * trace: what a file of one says, and that bytes which are torn, cut or made up are refused or do
 * no harm
 */
#include "tests/unit/trace_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static err_t parse_bytes(const void *p, size_t n, struct trace **out)
{
	auto_buf struct buf file = {0};
	struct diag d = DIAG_INIT;
	*out = NULL;
	assert_int_equal(buf_append(&file, p, n), 0);
	err_t err = trace_parse(&file, out, &d);
	assert_true(!err || (d.cls == ERR_INTEGRITY && strstr(d.text, "no trace: ") == d.text));
	assert_true(err || file.p == NULL);
	return err;
}

static struct trace *parse(const struct trace_made *made)
{
	struct trace *t;
	assert_int_equal(parse_bytes(made, sizeof(*made), &t), 0);
	return t;
}

static void refuses(const struct trace_made *made)
{
	struct trace *t;
	assert_int_equal(parse_bytes(made, sizeof(*made), &t), -EBADMSG);
	assert_null(t);
}

static void says_what_was_written(void **state)
{
	(void)state;
	struct trace_made made;
	trace_make(&made);
	struct trace *t = parse(&made);
	const struct trace_info *info = trace_info(t);
	assert_int_equal(info->started_at, 1700000000);
	assert_int_equal(info->ended_ms, 5000);
	assert_int_equal(info->reads, 7);
	assert_int_equal(info->wait_ms, 33);
	assert_int_equal(info->n_fetches, 2);
	assert_int_equal(info->n_waits, 1);
	struct trace_event e = trace_fetch(t, 0);
	assert_true(e.from_ms == 10 && e.took_ms == 30 && e.chunk == 1 && e.n_chunks == 2);
	assert_true(e.bytes == 4000 && e.who == TRACE_READER && e.slot == 0);
	assert_int_equal(trace_fetch(t, 1).slot, TRACE_NONE);
	assert_int_equal(trace_wait(t, 0).file, 8);
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(trace_file_was_read(t, i), i == 1 || i == 8);
	trace_free(&t);
}

static void finds_chunks_of_the_same_cut_only(void **state)
{
	(void)state;
	struct trace_made made;
	struct trace_chunk c;
	uint32_t slot;
	trace_make(&made);
	struct trace *t = parse(&made);
	struct digest first = trace_made_digest(0), second = trace_made_digest(1),
		      third = trace_made_digest(2);
	assert_true(trace_slot(t, &first, 3, 1000, &slot));
	assert_int_equal(slot, 0);
	assert_false(trace_slot(t, &first, 4, 1000, &slot));
	assert_false(trace_slot(t, &first, 3, 1001, &slot));
	assert_false(trace_slot(t, &third, 3, 1000, &slot));
	/* Not indexed then: the layer is known, its chunks are not. */
	slot = TRACE_NONE;
	assert_false(trace_slot(t, &second, 3, 2000, &slot));
	assert_int_equal(slot, 1);
	trace_chunk_get(t, 0, 1, &c);
	assert_true(c.wait_ms == 33 && c.flags == (TRACE_READ | TRACE_WAITED) &&
		    c.who == TRACE_READER);
	trace_chunk_get(t, 0, 3, &c);
	assert_true(c.wait_ms == 0 && c.flags == 0 && c.who == TRACE_NOBODY);
	trace_chunk_get(t, 1, 0, &c);
	assert_int_equal(c.flags, 0);
	trace_free(&t);
}

/* Every length but the whole one cuts something off. */
static void refuses_what_was_cut(void **state)
{
	(void)state;
	struct trace_made made;
	struct trace *t;
	trace_make(&made);
	for (size_t n = 0; n < sizeof(made); n++)
		assert_int_equal(parse_bytes(&made, n, &t), -EBADMSG);
}

static void refuses_what_does_not_fit(void **state)
{
	(void)state;
	struct trace_made made;
#define BENT(change)                                                                               \
	do {                                                                                       \
		trace_make(&made);                                                                 \
		change;                                                                            \
		refuses(&made);                                                                    \
	} while (0)
	BENT(made.head.magic[0] ^= 1);
	BENT(made.head.version = put_le32(2));
	BENT(made.head.n_slots = put_le32(TRACE_SLOTS_MAX + 1));
	BENT(made.head.n_slots = put_le32(UINT32_MAX));
	BENT(made.head.n_files = put_le32(UINT32_MAX));
	BENT(made.head.files_off = put_le64(UINT64_MAX));
	BENT(made.head.fetches_off = put_le64(UINT64_MAX - 8));
	BENT(made.head.waits_off = put_le64(sizeof(made) - 8));
	BENT(made.head.fetches_room = put_le32(UINT32_MAX));
	BENT(made.slots[0].room = put_le32(4));
	BENT(made.slots[1].room = put_le32(UINT32_MAX));
	BENT(made.slots[0].off = put_le64(UINT64_MAX));
	BENT(made.slots[0].digest_alg = 0);
	BENT(made.slots[1].digest_alg = 3);
#undef BENT
}

static void passes_over_what_is_not_ready(void **state)
{
	(void)state;
	struct trace_made made;
	trace_make(&made);
	made.fetches[0].ready = put_le32(0);
	struct trace *t = parse(&made);
	assert_int_equal(trace_info(t)->n_fetches, 1);
	assert_int_equal(trace_fetch(t, 0).who, TRACE_FILL);
	trace_free(&t);
	/* A layer that is none, and somebody who is nobody. */
	trace_make(&made);
	made.fetches[0].slot = put_le32(2);
	made.fetches[1].who = 200;
	made.chunks[1].who = 200;
	t = parse(&made);
	assert_int_equal(trace_info(t)->n_fetches, 1);
	assert_int_equal(trace_fetch(t, 0).who, TRACE_NOBODY);
	trace_free(&t);
}

static void counts_more_than_it_keeps(void **state)
{
	(void)state;
	struct trace_made made;
	trace_make(&made);
	made.head.n_fetches = put_le32(100000);
	made.fetches[2] = made.fetches[0];
	struct trace *t = parse(&made);
	assert_int_equal(trace_info(t)->n_fetches, 3);
	assert_int_equal(trace_info(t)->fetches_seen, 100000);
	trace_free(&t);
}

static void packs_and_unpacks(void **state)
{
	(void)state;
	struct trace_made made;
	auto_buf struct buf packed = {0}, back = {0}, none = {0};
	trace_make(&made);
	assert_int_equal(trace_pack((struct bytes){(const uint8_t *)&made, sizeof(made)}, &packed),
			 0);
	assert_true(packed.n < sizeof(made) / 2);
	assert_int_equal(trace_unpack(buf_bytes(&packed), &back), 0);
	assert_true(back.n == sizeof(made) && memcmp(back.p, &made, sizeof(made)) == 0);
	packed.p[packed.n / 2] ^= 0x10;
	packed.n -= 1;
	assert_int_equal(trace_unpack(buf_bytes(&packed), &none), -EBADMSG);
	assert_int_equal(trace_unpack((struct bytes){0}, &none), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_was_written),
		cmocka_unit_test(finds_chunks_of_the_same_cut_only),
		cmocka_unit_test(refuses_what_was_cut),
		cmocka_unit_test(refuses_what_does_not_fit),
		cmocka_unit_test(passes_over_what_is_not_ready),
		cmocka_unit_test(counts_more_than_it_keeps),
		cmocka_unit_test(packs_and_unpacks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
