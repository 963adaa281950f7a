/*
 * Families one after the other, each with its help and type, as the format wants it. Label values
 * are UTF-8: other bytes become U+FFFD. No number depends on a locale.
 */
#include "fs/metrics.h"

#include "fetch/image.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LABEL_MAX 512 /* bytes of a path or reference that a label shows */

struct total {
	const char *name, *help;
	size_t offset; /* in struct content_stats */
};

#define STATS(field) offsetof(struct content_stats, field)

static const struct total totals[] = {
	{"imgfs_reads_total", "Reads of file contents that the kernel asked for.", STATS(reads)},
	{"imgfs_read_bytes_total", "Bytes that these reads asked for.", STATS(read_bytes)},
	{"imgfs_chunk_hits_total", "Chunks that readers found in the store.", STATS(store_hits)},
	{"imgfs_chunk_misses_total", "Chunks that readers had to wait for.", STATS(misses)},
	{"imgfs_fetches_total", "Requests to the registry for parts of layers.", STATS(fetches)},
	{"imgfs_fetched_bytes_total", "Bytes of layers that came from the registry.",
	 STATS(fetched_bytes)},
	{"imgfs_kept_bytes_total", "Bytes of layers that came from blobs kept in the store.",
	 STATS(kept_bytes)},
	{"imgfs_decoded_bytes_total", "Bytes of layers after decompression.", STATS(decoded_bytes)},
	{"imgfs_refused_total", "Answers whose bytes did not match their digest.", STATS(refused)},
	{"imgfs_read_errors_total", "Reads that failed.", STATS(errors)},
	{"imgfs_fetch_failures_total", "Attempts to fetch that failed; most are tried again.",
	 STATS(failures)},
};

struct writer {
	FILE *out;
	const struct mount_row *row;
	char *mount; /* mountpoint="..." */
};

/* ---- labels ---- */

/* How many bytes of well-formed UTF-8 begin here; 0: none. */
static size_t utf8_len(const uint8_t *p, size_t n)
{
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (len == 0 || len > n || p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, and what lies above U+10FFFF. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

static void put_label(FILE *out, const char *name, const char *value)
{
	size_t n = min_of(strlen(value), (size_t)LABEL_MAX);
	const uint8_t *p = (const uint8_t *)value;

	fprintf(out, "%s=\"", name);
	for (size_t i = 0, len; i < n; i += max_of(len, (size_t)1)) {
		len = utf8_len(p + i, n - i);
		if (len == 0)
			fputs("\xef\xbf\xbd", out);
		else if (p[i] == '\n')
			fputs("\\n", out);
		else if (p[i] == '\\' || p[i] == '"')
			fprintf(out, "\\%c", p[i]);
		else
			fwrite(p + i, 1, len, out);
	}
	fputc('"', out);
}

static char *label_text(const char *name, const char *value)
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	BUG_ON(!out);
	put_label(out, name, value);
	fclose(out);
	return text;
}

/* ---- families ---- */

static void head(const struct writer *w, const char *name, const char *type, const char *help)
{
	fprintf(w->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_one(const struct writer *w, const char *name, const char *type, const char *help,
		    uint64_t value)
{
	head(w, name, type, help);
	fprintf(w->out, "%s{%s} %" PRIu64 "\n", name, w->mount, value);
}

static void put_mount(const struct writer *w)
{
	head(w, "imgfs_mount_info", "gauge", "What is mounted; always 1.");
	fprintf(w->out, "imgfs_mount_info{%s,", w->mount);
	put_label(w->out, "image", w->row->reference);
	fputc(',', w->out);
	put_label(w->out, "manifest", w->row->manifest);
	fputc(',', w->out);
	put_label(w->out, "version", IMGFS_VERSION);
	fputs("} 1\n", w->out);
	put_one(w, "imgfs_start_time_seconds", "gauge",
		"When the mount began, in seconds since 1970.", (uint64_t)w->row->started_at);
	put_one(w, "imgfs_image_bytes", "gauge",
		"Compressed size of the image's layers, each blob once.", w->row->size);
}

static void put_totals(const struct writer *w)
{
	for (size_t i = 0; i < ARRAY_LEN(totals); i++) {
		const char *field = (const char *)&w->row->board.stats + totals[i].offset;

		put_one(w, totals[i].name, "counter", totals[i].help, *(const uint64_t *)field);
	}
	put_one(w, "imgfs_failed_replies_total", "counter", "Answers that the kernel did not take.",
		w->row->counters.failed_replies);
	put_one(w, "imgfs_reads_waiting", "gauge", "Reads that wait right now.",
		w->row->board.n_waiting);
	put_one(w, "imgfs_fetches_running", "gauge",
		"Requests to the registry that are under way right now.", w->row->board.n_fetching);
}

static void put_upcalls(const struct writer *w)
{
	head(w, "imgfs_upcalls_total", "counter", "Messages from the kernel, by kind.");
	for (size_t i = 0; i < w->row->counters.n_upcalls; i++)
		fprintf(w->out, "imgfs_upcalls_total{%s,kind=\"%s\"} %" PRIu64 "\n", w->mount,
			w->row->counters.upcalls[i].name, w->row->counters.upcalls[i].value);
}

/* "0.005", "0.1", "30": as short as it gets. */
static void seconds_text(uint32_t ms, char text[16])
{
	size_t n =
		(size_t)snprintf(text, 16, "%u.%03u", (unsigned)(ms / 1000), (unsigned)(ms % 1000));

	while (text[n - 1] == '0')
		text[--n] = '\0';
	if (text[n - 1] == '.')
		text[n - 1] = '\0';
}

/* Of the reads that waited: those that the store answers do not, and are not timed. */
static void put_waits(const struct writer *w)
{
	static const char name[] = "imgfs_read_wait_seconds";
	static const uint32_t bounds_ms[] = BOARD_BOUNDS_MS;
	const struct board_view *b = &w->row->board;
	uint64_t sum = 0;

	head(w, name, "histogram",
	     "How long reads waited whose bytes were not in the store, in seconds.");
	for (size_t i = 0; i < BOARD_BUCKETS; i++) {
		char le[16] = "+Inf";

		sum += b->waits[i];
		if (i < ARRAY_LEN(bounds_ms))
			seconds_text(bounds_ms[i], le);
		fprintf(w->out, "%s_bucket{%s,le=\"%s\"} %" PRIu64 "\n", name, w->mount, le, sum);
	}
	fprintf(w->out, "%s_sum{%s} %" PRIu64 ".%06u\n", name, w->mount, b->waited_us / 1000000,
		(unsigned)(b->waited_us % 1000000));
	fprintf(w->out, "%s_count{%s} %" PRIu64 "\n", name, w->mount, sum);
}

enum layer_value {
	LAYER_SIZE,
	LAYER_FETCHED,
	LAYER_CHUNKS,
	LAYER_CHUNKS_STORED,
};

static uint64_t layer_value(const struct mount_layer *l, enum layer_value which)
{
	switch (which) {
	case LAYER_SIZE:
		return l->size;
	case LAYER_FETCHED:
		return l->fetched_bytes;
	case LAYER_CHUNKS:
		return l->n_chunks;
	case LAYER_CHUNKS_STORED:
		break;
	}
	return l->n_stored;
}

/* A blob that is listed twice stands here once, so that sums are right. */
static void put_layers(const struct writer *w, enum layer_value which, const char *name,
		       const char *type, const char *help)
{
	head(w, name, type, help);
	for (uint32_t i = 0; i < w->row->n_layers; i++)
		if (w->row->layers[i].same_as == i)
			fprintf(w->out, "%s{%s,layer=\"%" PRIu32 "\",digest=\"%s\"} %" PRIu64 "\n",
				name, w->mount, i, w->row->layers[i].digest,
				layer_value(&w->row->layers[i], which));
}

static void put_layer_states(const struct writer *w)
{
	static const char name[] = "imgfs_layer_state";

	head(w, name, "gauge", "What a layer's reads rest on, by state; always 1.");
	for (uint32_t i = 0; i < w->row->n_layers; i++)
		if (w->row->layers[i].same_as == i)
			fprintf(w->out, "%s{%s,layer=\"%" PRIu32 "\",state=\"%s\"} 1\n", name,
				w->mount, i, layer_state_name(w->row->layers[i].state));
}

err_t metrics_text(const struct mount_row *row, struct buf *out)
{
	char *text = NULL;
	size_t n = 0;
	struct writer w = {.out = open_memstream(&text, &n),
			   .row = row,
			   .mount = label_text("mountpoint", row->mountpoint)};
	err_t err = -ENOMEM;

	BUG_ON(!w.out);
	put_mount(&w);
	put_totals(&w);
	put_upcalls(&w);
	put_waits(&w);
	put_layers(&w, LAYER_SIZE, "imgfs_layer_bytes", "gauge", "Compressed size of a layer.");
	put_layers(&w, LAYER_FETCHED, "imgfs_layer_fetched_bytes_total", "counter",
		   "Bytes of a layer that came from the registry.");
	put_layers(&w, LAYER_CHUNKS, "imgfs_layer_chunks", "gauge",
		   "Chunks of a layer; 0 before something of it was read.");
	put_layers(&w, LAYER_CHUNKS_STORED, "imgfs_layer_chunks_stored", "gauge",
		   "Chunks of a layer that are in the store.");
	put_layer_states(&w);
	if (fclose(w.out) == 0)
		err = buf_append(out, text, n);
	free(text);
	free(w.mount);
	return err;
}
