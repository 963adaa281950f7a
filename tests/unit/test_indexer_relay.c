/*
 * The relay: what goes in comes out, in order, on another thread; what the receiver says no to
 * stops the writer, who never waits for one that takes nothing any more.
 */
#include "tests/unit/chunk_collect.h"
#include "tests/unit/gzip_build.h"

#include "fetch/indexer_relay.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

/* The receiver: collects as the tests of the chunker do, or says no to the event number `refused`.
 */
struct receiver {
	struct collected got;
	size_t events, refused;
	pthread_t thread;
	bool slow;
};

static err_t note_event(struct receiver *r, struct diag *d)
{
	r->thread = pthread_self();
	if (r->slow)
		usleep(200);
	if (++r->events != r->refused)
		return 0;
	d->cls = ERR_INTEGRITY;
	snprintf(d->text, sizeof(d->text), "event %zu", r->events);
	return -EBADMSG;
}

static err_t on_stream(void *arg, const uint8_t *p, size_t n, struct diag *d)
{
	struct receiver *r = arg;
	err_t err = note_event(r, d);
	return err ? err : collect_stream(&r->got, p, n, d);
}

static err_t on_window(void *arg, const struct window_clues *clues, struct diag *d)
{
	struct receiver *r = arg;
	err_t err = note_event(r, d);
	return err ? err : collect_window(&r->got, clues, d);
}

static err_t on_chunk(void *arg, const struct chunk *row, const uint8_t *data, struct diag *d)
{
	struct receiver *r = arg;
	assert_null(data);
	err_t err = note_event(r, d);
	/* The collector looks at the data where there are some. */
	return err ? err : collect_chunk(&r->got, row, r->got.stream.p + row->stream_off, d);
}

static const struct chunker_sink receiver_sink = {
	.stream = on_stream, .window = on_window, .chunk = on_chunk};

static void make_blob(struct buf *blob)
{
	auto_buf struct buf data = {0};
	fill_mixed(&data, 5 << 20, 1);
	put_member(blob, &(struct member){.level = 6}, buf_bytes(&data));
	data.n = 0;
	put_giant_block(blob, 3 << 20, 2, &data);
}

static err_t send(struct bytes blob, struct relay *relay, struct diag *d)
{
	struct chunker *c = chunker_new(64 << 10, &relay_sink, relay);
	err_t err = chunker_feed(c, blob.p, blob.n, d);
	if (!err)
		err = chunker_finish(c, d);
	chunker_free(&c);
	return err;
}

static void all_comes_out_in_order(void **state)
{
	(void)state;
	for (unsigned slow = 0; slow < 2; slow++) {
		auto_buf struct buf blob = {0};
		struct receiver r = {.slow = slow};
		struct collected want;
		make_blob(&blob);
		assert_int_equal(collect(buf_bytes(&blob), 64 << 10, 0, &want), 0);
		struct relay *relay = relay_new(&receiver_sink, &r);
		assert_non_null(relay);
		assert_int_equal(send(buf_bytes(&blob), relay, NULL), 0);
		assert_int_equal(relay_end(relay, NULL), 0);
		relay_free(&relay);
		assert_false(pthread_equal(r.thread, pthread_self()));
		assert_int_equal(r.got.n, want.n);
		assert_memory_equal(r.got.rows, want.rows, want.n * sizeof(*want.rows));
		assert_true(bytes_equal(buf_bytes(&r.got.windows), buf_bytes(&want.windows)));
		assert_true(bytes_equal(buf_bytes(&r.got.stream), buf_bytes(&want.stream)));
		collected_fini(&r.got);
		collected_fini(&want);
	}
}

static void a_refusal_stops_the_writer(void **state)
{
	(void)state;
	auto_buf struct buf blob = {0};
	make_blob(&blob);
	for (size_t refused = 1; refused < 12; refused += 5) {
		struct receiver r = {.refused = refused};
		struct diag d = DIAG_INIT;
		char want[32];
		snprintf(want, sizeof(want), "event %zu", refused);
		struct relay *relay = relay_new(&receiver_sink, &r);
		assert_int_equal(send(buf_bytes(&blob), relay, &d), -EBADMSG);
		assert_string_equal(d.text, want);
		d = (struct diag)DIAG_INIT;
		assert_int_equal(relay_end(relay, &d), -EBADMSG);
		assert_string_equal(d.text, want);
		assert_int_equal(d.cls, ERR_INTEGRITY);
		assert_int_equal(r.events, refused);
		relay_free(&relay);
		collected_fini(&r.got);
	}
}

/* The last batch is not full: only the end tells what its receiver says. */
static void a_refusal_at_the_end_is_told(void **state)
{
	(void)state;
	struct receiver r = {.refused = 2};
	struct diag d = DIAG_INIT;
	struct relay *relay = relay_new(&receiver_sink, &r);
	assert_int_equal(relay_sink.stream(relay, (const uint8_t *)"a", 1, &d), 0);
	assert_int_equal(relay_sink.stream(relay, (const uint8_t *)"b", 1, &d), 0);
	assert_int_equal(relay_end(relay, &d), -EBADMSG);
	assert_string_equal(d.text, "event 2");
	relay_free(&relay);
	collected_fini(&r.got);
}

static void it_may_be_freed_at_any_time(void **state)
{
	(void)state;
	struct receiver r = {.refused = 1};
	struct relay *relay = relay_new(&receiver_sink, &r);
	relay_free(&relay);
	relay_free(&relay);
	relay = relay_new(&receiver_sink, &r);
	assert_int_equal(relay_end(relay, NULL), 0);
	relay_free(&relay);
	relay = relay_new(&receiver_sink, &r);
	assert_int_equal(relay_sink.stream(relay, (const uint8_t *)"a", 1, NULL), 0);
	relay_free(&relay);
	assert_int_equal(r.events, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_comes_out_in_order),
		cmocka_unit_test(a_refusal_stops_the_writer),
		cmocka_unit_test(a_refusal_at_the_end_is_told),
		cmocka_unit_test(it_may_be_freed_at_any_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
