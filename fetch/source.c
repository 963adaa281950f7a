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

void source_watch(struct source *s, void (*trouble)(void *arg, const char *text), void *arg)
{
	s->trouble = trouble;
	s->trouble_arg = arg;
}

void source_trouble(struct source *s, const char *text)
{
	if (s->trouble)
		s->trouble(s->trouble_arg, text);
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

err_t source_referrers(struct source *s, const struct ref *ref, const struct digest *subject,
		       const char *artifact_type, referrers_page_fn page, void *arg, struct diag *d)
{
	if (!s->ops->referrers)
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP,
			    "%s: this kind of source does not list what refers to a manifest",
			    s->label);
	return s->ops->referrers(s, ref, subject, artifact_type, page, arg, d);
}

static err_t fail_read_only(const struct source *s, struct diag *d)
{
	return fail(d, ERR_UNSUPPORTED, -ENOTSUP,
		    "%s: this kind of source can only be read; a registry or an OCI layout "
		    "directory can be written to",
		    s->label);
}

static err_t check_content(const struct source *s, const struct digest *digest,
			   struct bytes content, struct diag *d)
{
	struct digest found;
	char want[DIGEST_TEXT_MAX], got[DIGEST_TEXT_MAX];
	digest_of((enum digest_alg)digest->alg, content.p, content.n, &found);
	if (digest_equal(&found, digest))
		return 0;
	return fail(d, ERR_INTEGRITY, -EBADMSG,
		    "%s: what should be written as %s has the digest %s", s->label,
		    digest_text(digest, want), digest_text(&found, got));
}

err_t source_tags(struct source *s, struct buf *json, struct diag *d)
{
	if (!s->ops->tags)
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP, "%s has no list of tags", s->label);
	return s->ops->tags(s, json, d);
}

err_t source_blob_put(struct source *s, const struct digest *digest, struct bytes content,
		      bool *was_there, struct diag *d)
{
	*was_there = false;
	if (!s->ops->blob_put)
		return fail_read_only(s, d);
	err_t err = check_content(s, digest, content, d);
	return err ? err : s->ops->blob_put(s, digest, content, was_there, d);
}

err_t source_manifest_put(struct source *s, const struct manifest_put *put, struct diag *d)
{
	if (!s->ops->manifest_put)
		return fail_read_only(s, d);
	if (put->content.n > DOCUMENT_MAX)
		return fail(d, ERR_UNSUPPORTED, -E2BIG,
			    "%s: a manifest of %zu bytes; registries take at most %u", s->label,
			    put->content.n, DOCUMENT_MAX);
	err_t err = check_content(s, &put->digest, put->content, d);
	return err ? err : s->ops->manifest_put(s, put, d);
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
