/*
 * A range of a blob as a stream. The stream knows the next byte it owes its reader; whatever a
 * server sends (less than promised, more than promised, the whole blob instead of a part, an error
 * in the middle), it takes what is of use and asks for the rest again. It gives up at the deadline,
 * after too many failures without progress, or when the answers contradict the descriptor.
 */
#include "fetch/registry_priv.h"

#include "fetch/log.h"

#include <stdio.h>

#define PROGRESS_MIN (1u << 20) /* bytes that make up for earlier failures */
#define SKIP_PIECE   32768

struct blob_stream {
	struct source_stream base;
	struct digest digest;
	uint64_t size;	   /* of the blob */
	uint64_t pos, end; /* the next byte for the reader; behind its last one */
	struct retry retry;
	uint64_t mark;			/* pos when the failures were last forgotten */
	struct http_transfer *transfer; /* NULL: none in flight */
	uint64_t skip;			/* bytes of its body in front of pos */
	uint64_t left;			/* bytes of its body from pos on that we want */
	bool whole;			/* ranges were refused: ask for the blob from its start */
	char what[DIGEST_TEXT_MAX + 8];
};

static struct registry *registry_of(struct blob_stream *st)
{
	return (struct registry *)st->base.source;
}

static err_t bad_answer(struct blob_stream *st, const char *why, struct diag *d)
{
	return registry_bad_answer(registry_of(st), &st->retry, st->what, why, d);
}

static err_t wrong_size(struct blob_stream *st, uint64_t got, struct diag *d)
{
	st->retry.transient = ++st->retry.bad_answers < REGISTRY_BAD_ANSWERS_MAX;
	return fail(d, ERR_INTEGRITY, -EBADMSG,
		    "%s: %s: the registry has %llu bytes, the manifest says %llu",
		    st->base.source->label, st->what, (unsigned long long)got,
		    (unsigned long long)st->size);
}

/* 206: the part we asked for, or a prefix of it. */
static err_t accept_part(struct blob_stream *st, const struct http_transfer *t, struct diag *d)
{
	struct http_content_range range;
	uint64_t length;
	const char *value = http_header(t, "Content-Range", 0);
	const char *content_length = http_header(t, "Content-Length", 0);
	if (!value || http_header(t, "Content-Range", 1) ||
	    !http_content_range_parse(value, &range) || !range.has_range)
		return bad_answer(st, "malformed Content-Range", d);
	if (range.has_total && range.total != st->size)
		return wrong_size(st, range.total, d);
	if (range.first != st->pos || range.last >= st->end)
		return bad_answer(st, "another range than the one asked for", d);
	length = range.last - range.first + 1;
	if (content_length) {
		uint64_t sent;
		if (!http_decimal(content_length, &sent) || sent != length)
			return bad_answer(st, "Content-Length contradicts Content-Range", d);
	}
	st->skip = 0;
	st->left = length;
	return 0;
}

/* 200: the whole blob; what lies in front of pos is read and dropped. */
static err_t accept_whole(struct blob_stream *st, const struct http_transfer *t, struct diag *d)
{
	uint64_t length;
	const char *content_length = http_header(t, "Content-Length", 0);
	if (http_header(t, "Content-Range", 0))
		return bad_answer(st, "status 200 with a Content-Range", d);
	if (content_length) {
		if (!http_decimal(content_length, &length))
			return bad_answer(st, "malformed Content-Length", d);
		if (length != st->size)
			return wrong_size(st, length, d);
	}
	st->skip = st->pos;
	st->left = st->end - st->pos;
	return 0;
}

/* 416: either the blob is not what the manifest says, or the server can not do ranges well. */
static err_t accept_refusal(struct blob_stream *st, const struct http_transfer *t, struct diag *d)
{
	struct http_content_range range;
	const char *value = http_header(t, "Content-Range", 0);
	if (value && http_content_range_parse(value, &range) && !range.has_range &&
	    range.total != st->size)
		return wrong_size(st, range.total, d);
	if (st->whole)
		return bad_answer(st, "range refused (416) although none was asked for", d);
	st->whole = true;
	return bad_answer(st, "range refused (416)", d);
}

static err_t connect_once(struct blob_stream *st, struct diag *d)
{
	struct registry *r = registry_of(st);
	char text[DIGEST_TEXT_MAX];
	auto_free char *path =
		xasprintf("/v2/%s/blobs/%s", r->repo, digest_text(&st->digest, text));
	struct exchange x = {
		.method = "GET",
		.path = path,
		.what = st->what,
		.blob = &st->digest,
		.ranged = !st->whole && (st->pos > 0 || st->end < st->size),
		.first = st->pos,
		.last = st->end - 1,
		.no_cache = st->retry.bad_answers > 0,
	};
	err_t err = registry_exchange(r, &x, &st->retry, &st->transfer, d);
	if (err)
		return err;
	int status = http_status(st->transfer);
	if (status == 206 && x.ranged)
		err = accept_part(st, st->transfer, d);
	else if (status == 200)
		err = accept_whole(st, st->transfer, d);
	else if (status == 416)
		err = accept_refusal(st, st->transfer, d);
	else
		err = bad_answer(st, "a part was sent where the whole was asked for", d);
	if (err)
		http_close(&st->transfer);
	return err;
}

/* The transfer is over, for whatever reason; is there another attempt? */
static err_t another_attempt(struct blob_stream *st, err_t err, struct diag *d)
{
	http_close(&st->transfer);
	if (st->pos - st->mark >= PROGRESS_MIN) {
		st->mark = st->pos;
		st->retry.failures = 0;
		st->retry.bad_answers = 0;
	}
	return registry_try_again(registry_of(st), &st->retry, err, d);
}

static err_t connect(struct blob_stream *st, struct diag *d)
{
	for (;;) {
		err_t err = connect_once(st, d);
		if (err)
			err = another_attempt(st, err, d);
		if (err || st->transfer)
			return err;
	}
}

err_t registry_stream_open(struct source *s, const struct digest *digest, uint64_t size,
			   uint64_t off, uint64_t len, int64_t deadline_ms,
			   struct source_stream **out, struct diag *d)
{
	struct blob_stream *st = new_of(struct blob_stream);
	struct diag why = DIAG_INIT;
	char text[DIGEST_TEXT_MAX];
	st->base.source = s;
	st->digest = *digest;
	st->size = size;
	st->pos = st->mark = off;
	st->end = off + len;
	st->retry = (struct retry){
		.deadline_ms = deadline_ms,
		.failures_max = REGISTRY_BLOB_ATTEMPTS,
	};
	snprintf(st->what, sizeof(st->what), "blob %s", digest_text(digest, text));
	err_t err = connect(st, &why);
	if (err) {
		if (d)
			*d = why;
		registry_stream_close(&st->base);
		return err;
	}
	*out = &st->base;
	return 0;
}

static err_t ended_early(const struct blob_stream *st, struct diag *d)
{
	return fail(d, ERR_NETWORK, -ECONNRESET, "%s: the body ended too early", st->what);
}

/* Drop what lies in front of pos in a body that starts at the blob's start. */
static err_t skip(struct blob_stream *st, struct diag *d)
{
	uint8_t piece[SKIP_PIECE];
	while (st->skip) {
		size_t got;
		size_t want = (size_t)min_of(st->skip, (uint64_t)sizeof(piece));
		err_t err = http_read(st->transfer, piece, want, &got, d);
		if (err)
			return err;
		if (!got)
			return ended_early(st, d);
		st->skip -= got;
	}
	return 0;
}

/* From the transfer in flight; -ECONNRESET when it ends too early. */
static err_t read_some(struct blob_stream *st, void *p, size_t n, size_t *got, struct diag *d)
{
	err_t err = skip(st, d);
	if (err)
		return err;
	err = http_read(st->transfer, p, (size_t)min_of((uint64_t)n, st->left), got, d);
	if (!err && !*got)
		return ended_early(st, d);
	st->pos += *got;
	st->left -= *got;
	return err;
}

/* A prefix is progress as long as it is not a trickle of one-byte answers. */
static err_t connect_after_prefix(struct blob_stream *st, struct diag *d)
{
	http_close(&st->transfer);
	if (++st->retry.failures >= st->retry.failures_max)
		return fail(d, ERR_NETWORK, -EPROTO, "%s: the registry sends it in tiny pieces",
			    st->what);
	if (st->pos - st->mark >= PROGRESS_MIN) {
		st->mark = st->pos;
		st->retry.failures = 0;
	}
	return connect(st, d);
}

static err_t read_with_retries(struct blob_stream *st, void *p, size_t n, size_t *got,
			       struct diag *d)
{
	for (;;) {
		err_t err = 0;
		if (st->left == 0)
			err = connect_after_prefix(st, d);
		if (err)
			return err;
		err = read_some(st, p, n, got, d);
		if (!err)
			return 0;
		st->retry.transient = http_error_is_transient(err);
		st->retry.retry_after_ms = 0;
		err = another_attempt(st, err, d);
		if (!err)
			err = connect(st, d);
		if (err)
			return err;
	}
}

err_t registry_stream_read(struct source_stream *base, void *p, size_t n, size_t *got,
			   struct diag *d)
{
	struct blob_stream *st = (struct blob_stream *)base;
	struct diag why = DIAG_INIT;
	*got = 0;
	if (st->pos == st->end) {
		http_close(&st->transfer);
		return 0;
	}
	if (!st->transfer)
		return fail(d, ERR_NETWORK, -EIO, "%s: the stream has failed before", st->what);
	err_t err = read_with_retries(st, p, n, got, &why);
	if (err && d)
		*d = why;
	return err;
}

void registry_stream_close(struct source_stream *base)
{
	struct blob_stream *st = (struct blob_stream *)base;
	http_close(&st->transfer);
	free(st);
}
