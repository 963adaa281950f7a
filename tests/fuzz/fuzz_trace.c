/*
 * fuzz_trace - arbitrary bytes as a trace: refused with the reason, or all that is handed out lies
 * inside and can be asked for
 *
 * The first byte says what the rest is: the file (even), or packed (odd).
 */
#include "index/trace.h"

#include <string.h>

static void ask_all(const struct trace *t)
{
	const struct trace_info *info = trace_info(t);
	BUG_ON(info->n_fetches > TRACE_EVENTS_MAX || info->n_waits > TRACE_EVENTS_MAX);
	for (size_t i = 0; i < info->n_fetches + info->n_waits; i++) {
		struct trace_event e = i < info->n_fetches ? trace_fetch(t, i)
							   : trace_wait(t, i - info->n_fetches);
		BUG_ON(e.slot != TRACE_NONE && e.slot >= info->n_slots);
		BUG_ON((unsigned)e.who >= TRACE_WHO_COUNT);
	}
	for (uint32_t slot = 0; slot < info->n_slots; slot++)
		for (uint64_t i = 1; i <= UINT32_MAX; i *= 2) {
			struct trace_chunk c;
			trace_chunk_get(t, slot, (uint32_t)i - 1, &c);
			BUG_ON((unsigned)c.who >= TRACE_WHO_COUNT);
		}
	for (uint64_t i = 1; i <= UINT32_MAX; i *= 2)
		(void)trace_file_was_read(t, (uint32_t)i - 1);
	struct digest blob = {.alg = DIGEST_SHA256, .b = {1}};
	uint32_t slot;
	BUG_ON(trace_slot(t, &blob, 3, 1000, &slot) && slot >= info->n_slots);
}

static void try_file(struct bytes bytes)
{
	struct buf file = {0};
	struct trace *t = NULL;
	struct diag d = DIAG_INIT;
	BUG_ON(buf_append(&file, bytes.p, bytes.n));
	err_t err = trace_parse(&file, &t, &d);
	BUG_ON(err && (err != -EBADMSG || !strstr(d.text, "no trace: ")));
	if (!err)
		ask_all(t);
	trace_free(&t);
	buf_fini(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	const struct bytes in = {data + 1, size - 1};
	if (data[0] & 1) {
		struct buf file = {0};
		err_t err = trace_unpack(in, &file);
		BUG_ON(err && err != -EBADMSG);
		if (!err)
			try_file(buf_bytes(&file));
		buf_fini(&file);
	} else {
		try_file(in);
	}
	return 0;
}
