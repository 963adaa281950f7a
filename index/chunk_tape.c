/*
 * The tape of recent blob bytes. Blob ranges of neighbouring chunks may share a few bytes, and an
 * end is known only after more bytes have passed; so bytes are kept until both the hash of the
 * current range and the start of the next one can not need them any more.
 */
#include "index/chunker_priv.h"

#include <string.h>

/* Moving what is left to the front costs less than it frees when it is done seldom. */
#define DROP_MIN (64u << 10)

void tape_init(struct tape *t)
{
	*t = (struct tape){.hasher = hasher_new(DIGEST_SHA256)};
}

void tape_fini(struct tape *t)
{
	buf_fini(&t->bytes);
	hasher_free(&t->hasher);
}

uint64_t tape_end(const struct tape *t)
{
	return t->off + t->bytes.n;
}

err_t tape_append(struct tape *t, const uint8_t *p, size_t n, struct diag *d)
{
	err_t err = buf_append(&t->bytes, p, n);
	return err ? fail_sys(d, ERR_OTHER, err, "cannot keep %zu bytes of the blob", n) : 0;
}

struct bytes tape_from(const struct tape *t, uint64_t from)
{
	BUG_ON(from < t->off || from > tape_end(t));
	size_t skipped = (size_t)(from - t->off);
	return (struct bytes){t->bytes.p + skipped, t->bytes.n - skipped};
}

static void hash_until(struct tape *t, uint64_t end)
{
	BUG_ON(end < t->hashed || end > tape_end(t));
	hasher_update(t->hasher, tape_from(t, t->hashed).p, (size_t)(end - t->hashed));
	t->hashed = end;
}

void tape_start(struct tape *t, uint64_t from)
{
	struct digest unfinished;
	BUG_ON(from < t->off || from > tape_end(t));
	hasher_done(t->hasher, &unfinished);
	t->hashed = from;
}

void tape_release(struct tape *t, uint64_t until)
{
	if (until < t->off + DROP_MIN)
		return;
	if (until > t->hashed)
		hash_until(t, until);
	size_t dropped = (size_t)(until - t->off);
	memmove(t->bytes.p, t->bytes.p + dropped, t->bytes.n - dropped);
	t->bytes.n -= dropped;
	t->off = until;
}

void tape_sha256(struct tape *t, uint64_t end, uint8_t out[SHA256_LEN])
{
	struct digest got;
	hash_until(t, end);
	hasher_done(t->hasher, &got);
	memcpy(out, got.b, SHA256_LEN);
}
