/*
 * Indexing: the bytes of a blob pass by once, from the kept blob or the source, through the layer
 * builder and, when they come from the source, into a new kept blob. The builder's second half has
 * a thread of its own (indexer_relay.c). Nothing is published before the builder has compared blob
 * digest and DiffID at the end.
 */
#include "fetch/indexer.h"
#include "fetch/indexer_relay.h"
#include "fetch/log.h"
#include "index/layer_build.h"

#include <unistd.h>

#define BLOCK_LEN (256u << 10) /* bytes of the blob moved at a time */
#define RELAY_MIN (1u << 20)   /* bytes of a blob that are worth a thread: tens of milliseconds */

/* Where the bytes come from, one after the other: exactly one of the two is used. */
struct feed {
	const struct indexer_job *job;
	struct source_stream *stream;
	int fd;
	uint64_t at;
	struct blob_writer *writer; /* NULL: the bytes are not kept */
};

static err_t feed_read(struct feed *f, uint8_t *block, size_t *got, struct diag *d)
{
	uint64_t left = f->job->layer->desc.size - f->at;
	size_t n = min_of(left, (uint64_t)BLOCK_LEN);
	if (f->job->cancelled && atomic_load(f->job->cancelled))
		return fail(d, ERR_OTHER, -ECANCELED, "interrupted");
	if (f->stream)
		return source_read(f->stream, block, n, got, d);
	*got = n;
	err_t err = read_at(f->fd, block, n, f->at);
	return err ? fail_sys(d, ERR_STORE, err, "read the kept blob") : 0;
}

static err_t feed_all(struct feed *f, struct layer_build *build, uint8_t *block, struct diag *d)
{
	while (f->at < f->job->layer->desc.size) {
		size_t got = 0;
		err_t err = feed_read(f, block, &got, d);
		if (!err && !got)
			err = fail(d, ERR_INTEGRITY, -EBADMSG, "the blob ended too early");
		if (!err)
			err = layer_build_feed(build, block, got, d);
		if (err)
			return err;
		if (f->writer)
			blob_writer_write(f->writer, block, got);
		f->at += got;
		progress_add(f->job->progress, f->job->progress_row, got);
	}
	return 0;
}

/* What a layer costs is spent on two threads, unless it is so small that a thread costs more. */
static struct relay *relay_for(const struct feed *f, struct layer_build *build)
{
	if (f->job->layer->desc.size < RELAY_MIN)
		return NULL;
	struct relay *relay = relay_new(&layer_build_second, build);
	if (relay)
		layer_build_relay(build, &relay_sink, relay);
	return relay;
}

static err_t feed_through(struct feed *f, struct layer_build *build, uint8_t *block, struct diag *d)
{
	struct diag second = DIAG_INIT;
	struct relay *relay = relay_for(f, build);
	err_t err = feed_all(f, build, block, d);
	if (!err)
		err = layer_build_end(build, d);
	/* The second half lags behind: what it has met lies before what the first has met. */
	err_t before = relay ? relay_end(relay, &second) : 0;
	if (before && d)
		*d = second;
	relay_free(&relay);
	return before ? before : err;
}

static err_t build_from(struct feed *f, struct buf *out, struct diag *d)
{
	const struct layer_desc *layer = f->job->layer;
	progress_start(f->job->progress, f->job->progress_row, layer->desc.size);
	struct layer_build_options options = {
		.chunk_target = f->job->chunk_target,
		.blob_alg = layer->desc.digest.alg,
		.diff_alg = layer->diff_id.alg,
	};
	auto_free uint8_t *block = malloc(BLOCK_LEN);
	if (!block)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "index a layer");
	struct layer_build *build = layer_build_new(&options);
	err_t err = feed_through(f, build, block, d);
	if (!err)
		err = layer_build_finish(build, &layer->desc.digest, layer->desc.size,
					 &layer->diff_id, out, d);
	layer_build_free(&build);
	return err;
}

/* -ENOENT: there is no kept blob, or there is none any more. */
static err_t build_from_kept(const struct indexer_job *job, struct buf *out, struct diag *d)
{
	const struct descriptor *desc = &job->layer->desc;
	auto_fd int fd = store_blob_open(job->store, &desc->digest, desc->size);
	if (fd < 0)
		return -ENOENT;
	struct feed feed = {.job = job, .fd = fd};
	err_t err = build_from(&feed, out, d);
	if (!err || err == -ENOMEM || err == -ECANCELED)
		return err;
	char text[DIGEST_TEXT_MAX];
	log_warn("blob.refused", "digest=%s reason=\"%s\" next=source",
		 digest_text(&desc->digest, text), d ? d->text : "");
	store_blob_drop(job->store, &desc->digest);
	buf_fini(out);
	return -ENOENT;
}

static err_t build_from_source(const struct indexer_job *job, struct buf *out, struct diag *d)
{
	const struct descriptor *desc = &job->layer->desc;
	struct feed feed = {.job = job, .fd = -1};
	err_t err = 0;
	/* A stream of no bytes can not be opened, and needs not be. The source finds out when a
	 * transfer stalls; how long all of it takes is the line's affair. */
	if (desc->size)
		err = source_open(job->source, &desc->digest, desc->size, 0, desc->size, INT64_MAX,
				  &feed.stream, d);
	if (err)
		return err;
	if (desc->size && job->keep_blob &&
	    store_blob_create(job->store, &desc->digest, &feed.writer))
		feed.writer = NULL;
	err = build_from(&feed, out, d);
	if (feed.stream)
		source_close(&feed.stream);
	if (err && feed.writer)
		blob_writer_abort(&feed.writer);
	else if (feed.writer && blob_writer_commit(&feed.writer))
		log_info("blob.not_kept", "bytes=%llu", (unsigned long long)desc->size);
	return err;
}

err_t indexer_run(const struct indexer_job *job, struct buf *out, struct diag *d)
{
	const struct descriptor *desc = &job->layer->desc;
	struct diag kept_diag = DIAG_INIT;
	int64_t start = now_ms();
	bool kept = true;
	err_t err = build_from_kept(job, out, &kept_diag);
	if (err == -ENOENT) {
		kept = false;
		err = job->source ? build_from_source(job, out, d)
				  : fail(d, ERR_NOT_FOUND, -ENOENT,
					 "it is not in the store, and may not be fetched");
	} else if (err && d) {
		*d = kept_diag;
	}
	char text[DIGEST_TEXT_MAX];
	if (!err)
		progress_finish(job->progress, job->progress_row);
	if (!err)
		log_info("layer.indexed", "digest=%s from=%s bytes=%llu index_bytes=%zu ms=%lld",
			 digest_text(&desc->digest, text), kept ? "kept_blob" : "source",
			 (unsigned long long)desc->size, out->n, (long long)(now_ms() - start));
	return err;
}
