/*
 * The base of all sources: dispatch, and the two helpers that are the same for every kind. The
 * border checks on ranges stand here once, so that implementations may rely on them.
 */
#include "fetch/source.h"

#include <string.h>

void document_fini(struct document *doc)
{
	buf_fini(&doc->bytes);
	*doc = (struct document){0};
}

err_t source_head(struct source *s, const struct ref *ref, struct digest *out, struct diag *d)
{
	return s->ops->head(s, ref, out, d);
}

err_t source_manifest(struct source *s, const struct ref *ref, const struct digest *by_digest,
		      struct document *out, struct diag *d)
{
	*out = (struct document){0};
	return s->ops->manifest(s, ref, by_digest, out, d);
}

err_t source_small_blob(struct source *s, const struct digest *digest, uint64_t size,
			struct document *out, struct diag *d)
{
	*out = (struct document){0};
	if (size > DOCUMENT_MAX)
		return fail(d, ERR_UNSUPPORTED, -E2BIG,
			    "%s: a document of %llu bytes; imgfs reads at most %u", s->label,
			    (unsigned long long)size, DOCUMENT_MAX);
	return s->ops->small_blob(s, digest, size, out, d);
}

err_t source_open(struct source *s, const struct digest *digest, uint64_t size, uint64_t off,
		  uint64_t len, int64_t deadline_ms, struct source_stream **out, struct diag *d)
{
	uint64_t end;
	BUG_ON(len == 0 || !add_u64(off, len, &end) || end > size);
	*out = NULL;
	return s->ops->open(s, digest, size, off, len, deadline_ms, out, d);
}

err_t source_read(struct source_stream *st, void *p, size_t n, size_t *got, struct diag *d)
{
	*got = 0;
	return n ? st->source->ops->read(st, p, n, got, d) : 0;
}

void source_close(struct source_stream **st)
{
	struct source_stream *stream = take(st);
	if (stream)
		stream->source->ops->close(stream);
}

void source_interrupt(struct source *s)
{
	if (s->ops->interrupt)
		s->ops->interrupt(s);
}

void source_free(struct source **s)
{
	struct source *source = take(s);
	if (source)
		source->ops->free(source);
}

err_t source_read_range(struct source *s, const struct digest *digest, uint64_t size, uint64_t off,
			uint64_t len, int64_t deadline_ms, void *p, struct diag *d)
{
	struct source_stream *stream;
	err_t err = source_open(s, digest, size, off, len, deadline_ms, &stream, d);
	if (err)
		return err;
	for (uint8_t *at = p; len && !err;) {
		size_t got;
		err = source_read(stream, at, len, &got, d);
		BUG_ON(!err && got == 0); /* the contract of source_open: all bytes or an error */
		at += got;
		len -= got;
	}
	source_close(&stream);
	return err;
}
