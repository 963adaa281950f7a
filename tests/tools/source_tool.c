/*
 * source_tool - a source from the command line, for the end-to-end tests
 *
 *   source_tool [OPTIONS] head REF
 *   source_tool [OPTIONS] manifest REF [DIGEST]
 *   source_tool [OPTIONS] small REF DIGEST SIZE
 *   source_tool [OPTIONS] blob REF DIGEST SIZE [OFF LEN]
 *   source_tool [OPTIONS] storm REF DIGEST SIZE PIECE THREADS   ranges of PIECE bytes, side by side
 *   source_tool [OPTIONS] watch REF DIGEST SIZE OFF LEN         one range per line on standard
 * input
 *   source_tool [OPTIONS] referrers REF DIGEST [ARTIFACT_TYPE [refuse]]  each page is one line;
 * refuse: the caller's callback fails at the first one
 *   source_tool [OPTIONS] blob-put REF DIGEST [then-head]       the content is standard input;
 * then-head: read on afterwards, whatever became of it
 *   source_tool [OPTIONS] manifest-put REF DIGEST MEDIA_TYPE SUBJECT|none DESCRIPTOR
 *   source_tool layout-create DIR
 *
 * Bytes go to standard output; one line of statistics or one error line to standard error. The exit
 * status is the error's class.
 */
#include "fetch/layout.h"
#include "fetch/log.h"
#include "fetch/registry.h"

#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct options {
	struct registry_options registry;
	int64_t budget_ms;
	int64_t interrupt_ms; /* 0: never */
	bool verify;	      /* blob: hash what was read and compare */
};

struct blob_arguments {
	struct digest digest;
	uint64_t size, off, len;
};

static int usage(void)
{
	fputs("usage: source_tool [OPTIONS] head|manifest|small|blob|storm|watch|referrers|"
	      "blob-put|manifest-put REF ...\n",
	      stderr);
	return ERR_USAGE;
}

static int report(const struct diag *d)
{
	fprintf(stderr, "error: %s\n", d->text);
	return (int)d->cls;
}

static void report_stats(struct source *s)
{
	struct registry_stats stats;
	registry_source_stats(s, &stats);
	fprintf(stderr, "stats: requests=%llu blob_bytes=%llu\n",
		(unsigned long long)stats.requests, (unsigned long long)stats.blob_bytes);
}

static int run_head(struct source *s, const struct ref *ref)
{
	struct diag d = DIAG_INIT;
	struct digest digest;
	char text[DIGEST_TEXT_MAX];
	err_t err = source_head(s, ref, &digest, &d);
	if (err == -ENOTSUP) {
		puts("not-supported");
		return 0;
	}
	if (err)
		return report(&d);
	puts(digest_text(&digest, text));
	return 0;
}

static int print_document(struct document *doc)
{
	char text[DIGEST_TEXT_MAX];
	fprintf(stderr, "document: %s %s\n", digest_text(&doc->digest, text), doc->media_type);
	fwrite(doc->bytes.p, 1, doc->bytes.n, stdout);
	document_fini(doc);
	return 0;
}

static int run_manifest(struct source *s, const struct ref *ref, const char *by_digest)
{
	struct diag d = DIAG_INIT;
	struct document doc;
	struct digest digest;
	if (by_digest && digest_parse(BYTES_STR(by_digest), &digest, &d))
		return report(&d);
	if (source_manifest(s, ref, by_digest ? &digest : NULL, &doc, &d))
		return report(&d);
	return print_document(&doc);
}

static int run_small(struct source *s, const struct blob_arguments *a)
{
	struct diag d = DIAG_INIT;
	struct document doc;
	if (source_small_blob(s, &a->digest, a->size, &doc, &d))
		return report(&d);
	return print_document(&doc);
}

static int run_blob(struct source *s, const struct blob_arguments *a, const struct options *options)
{
	struct diag d = DIAG_INIT;
	struct source_stream *stream;
	struct hasher *hasher = hasher_new((enum digest_alg)a->digest.alg);
	struct digest got_digest;
	size_t got = 1;
	uint8_t piece[65536];
	err_t err = source_open(s, &a->digest, a->size, a->off, a->len,
				now_ms() + options->budget_ms, &stream, &d);
	while (!err && got) {
		err = source_read(stream, piece, sizeof(piece), &got, &d);
		fwrite(piece, 1, got, stdout);
		hasher_update(hasher, piece, got);
	}
	source_close(&stream);
	hasher_done(hasher, &got_digest);
	hasher_free(&hasher);
	if (!err && options->verify && !digest_equal(&got_digest, &a->digest))
		err = fail(&d, ERR_INTEGRITY, -EBADMSG, "the blob does not match its digest");
	return err ? report(&d) : 0;
}

struct storm {
	struct source *source;
	const struct blob_arguments *blob;
	const struct options *options;
	uint64_t piece;
	uint8_t *bytes;
	_Atomic uint64_t next;
	pthread_mutex_t lock;
	struct diag failure; /* under the lock */
	bool failed;
};

static void *storm_main(void *arg)
{
	struct storm *storm = arg;
	const struct blob_arguments *a = storm->blob;
	for (;;) {
		struct diag d = DIAG_INIT;
		uint64_t off = atomic_fetch_add(&storm->next, storm->piece);
		if (off >= a->size)
			return NULL;
		uint64_t len = min_of(storm->piece, a->size - off);
		err_t err = source_read_range(storm->source, &a->digest, a->size, off, len,
					      now_ms() + storm->options->budget_ms,
					      storm->bytes + off, &d);
		pthread_mutex_lock(&storm->lock);
		if (err && !storm->failed)
			storm->failure = d;
		storm->failed |= err != 0;
		pthread_mutex_unlock(&storm->lock);
	}
}

static int run_storm(struct source *s, const struct blob_arguments *a,
		     const struct options *options, uint64_t piece, unsigned threads)
{
	pthread_t ids[64];
	struct storm storm = {.source = s, .blob = a, .options = options, .piece = piece};
	if (piece == 0 || threads == 0 || threads > ARRAY_LEN(ids))
		return usage();
	storm.bytes = xcalloc(a->size, 1);
	pthread_mutex_init(&storm.lock, NULL);
	for (unsigned i = 0; i < threads; i++)
		BUG_ON(pthread_create(&ids[i], NULL, storm_main, &storm) != 0);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	fwrite(storm.bytes, 1, storm.failed ? 0 : a->size, stdout);
	free(storm.bytes);
	pthread_mutex_destroy(&storm.lock);
	return storm.failed ? report(&storm.failure) : 0;
}

/* Each line on standard input reads the range once more; the answer is one line. */
static int run_watch(struct source *s, const struct blob_arguments *a,
		     const struct options *options)
{
	char line[16];
	uint8_t *bytes = xcalloc(a->len, 1);
	while (fgets(line, sizeof(line), stdin)) {
		struct diag d = DIAG_INIT;
		uint8_t hash[SHA256_LEN];
		err_t err = source_read_range(s, &a->digest, a->size, a->off, a->len,
					      now_ms() + options->budget_ms, bytes, &d);
		sha256_of(bytes, a->len, hash);
		if (err)
			printf("error %d %s\n", (int)d.cls, d.text);
		else
			printf("ok %02x%02x%02x%02x\n", hash[0], hash[1], hash[2], hash[3]);
		fflush(stdout);
	}
	free(bytes);
	return 0;
}

struct pages {
	unsigned n;
	bool refuse; /* the caller's own error, at the first page */
};

static err_t print_page(void *arg, struct bytes json, struct diag *d)
{
	struct pages *pages = arg;
	pages->n++;
	if (pages->refuse)
		return fail(d, ERR_OTHER, -EUCLEAN, "the caller does not like the page");
	for (size_t i = 0; i < json.n; i++)
		putchar(json.p[i] == '\n' ? ' ' : json.p[i]);
	putchar('\n');
	return 0;
}

static int run_referrers(struct source *s, const struct ref *ref, int argc, char **argv)
{
	struct diag d = DIAG_INIT;
	struct digest subject;
	struct pages pages = {.refuse = argc > 4 && strcmp(argv[4], "refuse") == 0};
	if (argc < 3 || digest_parse(BYTES_STR(argv[2]), &subject, &d))
		return usage();
	err_t err = source_referrers(s, ref, &subject, argc > 3 ? argv[3] : NULL, print_page,
				     &pages, &d);
	fprintf(stderr, "pages: %u\n", pages.n);
	return err ? report(&d) : 0;
}

static void read_input(struct buf *out)
{
	uint8_t piece[65536];
	size_t n;
	while ((n = fread(piece, 1, sizeof(piece), stdin)) > 0)
		BUG_ON(buf_append(out, piece, n) != 0);
}

static int run_blob_put(struct source *s, const struct ref *ref, int argc, char **argv)
{
	struct diag d = DIAG_INIT;
	struct digest digest;
	bool was_there;
	auto_buf struct buf content = {0};
	if (argc < 3 || digest_parse(BYTES_STR(argv[2]), &digest, &d))
		return usage();
	read_input(&content);
	err_t err = source_blob_put(s, &digest, buf_bytes(&content), &was_there, &d);
	if (!err)
		puts(was_there ? "there" : "sent");
	if (argc > 3 && strcmp(argv[3], "then-head") == 0)
		run_head(s, ref);
	return err ? report(&d) : 0;
}

static int run_manifest_put(struct source *s, int argc, char **argv)
{
	struct diag d = DIAG_INIT;
	auto_buf struct buf content = {0};
	if (argc < 6)
		return usage();
	struct manifest_put put = {.media_type = argv[3], .descriptor = argv[5]};
	if (digest_parse(BYTES_STR(argv[2]), &put.digest, &d))
		return usage();
	if (strcmp(argv[4], "none") != 0 && digest_parse(BYTES_STR(argv[4]), &put.subject, &d))
		return usage();
	read_input(&content);
	put.content = buf_bytes(&content);
	return source_manifest_put(s, &put, &d) ? report(&d) : 0;
}

static int run_layout_create(const char *dir)
{
	struct diag d = DIAG_INIT;
	return layout_create(dir, &d) ? report(&d) : 0;
}

static bool take_blob_arguments(int argc, char **argv, struct blob_arguments *a)
{
	struct diag d = DIAG_INIT;
	if (argc < 2 || digest_parse(BYTES_STR(argv[0]), &a->digest, &d))
		return false;
	a->size = strtoull(argv[1], NULL, 10);
	a->off = argc >= 4 ? strtoull(argv[2], NULL, 10) : 0;
	a->len = argc >= 4 ? strtoull(argv[3], NULL, 10) : a->size;
	return a->len && a->off + a->len <= a->size;
}

static int run(struct source *s, const struct ref *ref, const struct options *options, int argc,
	       char **argv)
{
	struct blob_arguments a;
	const char *verb = argv[0];
	bool storm = strcmp(verb, "storm") == 0;
	if (strcmp(verb, "head") == 0)
		return run_head(s, ref);
	if (strcmp(verb, "manifest") == 0)
		return run_manifest(s, ref, argc > 2 ? argv[2] : NULL);
	if (strcmp(verb, "referrers") == 0)
		return run_referrers(s, ref, argc, argv);
	if (strcmp(verb, "blob-put") == 0)
		return run_blob_put(s, ref, argc, argv);
	if (strcmp(verb, "manifest-put") == 0)
		return run_manifest_put(s, argc, argv);
	if (!take_blob_arguments(storm ? 2 : argc - 2, argv + 2, &a) || (storm && argc < 6))
		return usage();
	if (strcmp(verb, "small") == 0)
		return run_small(s, &a);
	if (strcmp(verb, "blob") == 0)
		return run_blob(s, &a, options);
	if (storm)
		return run_storm(s, &a, options, strtoull(argv[4], NULL, 10),
				 (unsigned)strtoul(argv[5], NULL, 10));
	return strcmp(verb, "watch") == 0 ? run_watch(s, &a, options) : usage();
}

struct alarm {
	struct source *source;
	int64_t after_ms;
};

static void *interrupt_main(void *arg)
{
	struct alarm *alarm = arg;
	usleep((useconds_t)alarm->after_ms * 1000);
	source_interrupt(alarm->source);
	return NULL;
}

static err_t open_source(const struct ref *ref, const struct options *options, struct source **out,
			 struct diag *d)
{
	return ref->kind == REF_OCI_LAYOUT ? layout_source_new(ref, out, d)
					   : registry_source_new(ref, &options->registry, out, d);
}

static int with_source(const struct options *options, int argc, char **argv)
{
	struct diag d = DIAG_INIT;
	struct ref ref;
	struct source *source;
	pthread_t thread;
	if (ref_parse(argv[1], &ref, &d))
		return report(&d);
	if (open_source(&ref, options, &source, &d)) {
		ref_fini(&ref);
		return report(&d);
	}
	struct alarm alarm = {source, options->interrupt_ms};
	if (alarm.after_ms)
		BUG_ON(pthread_create(&thread, NULL, interrupt_main, &alarm) != 0);
	int status = run(source, &ref, options, argc, argv);
	if (alarm.after_ms)
		pthread_join(thread, NULL);
	if (ref.kind == REF_REGISTRY)
		report_stats(source);
	source_free(&source);
	ref_fini(&ref);
	return status;
}

enum {
	OPTION_PLAIN_HTTP = 256,
	OPTION_AUTHFILE,
	OPTION_TOKEN_HOST,
	OPTION_BUDGET,
	OPTION_VERIFY,
	OPTION_FIRST_BYTE,
	OPTION_STALL,
	OPTION_CONNECT,
	OPTION_RESOLVE,
	OPTION_TARGET,
	OPTION_DENIED,
	OPTION_INTERRUPT,
};

static const struct option long_options[] = {
	{"plain-http", no_argument, NULL, OPTION_PLAIN_HTTP},
	{"authfile", required_argument, NULL, OPTION_AUTHFILE},
	{"token-host", required_argument, NULL, OPTION_TOKEN_HOST},
	{"budget-ms", required_argument, NULL, OPTION_BUDGET},
	{"verify", no_argument, NULL, OPTION_VERIFY},
	{"first-byte-ms", required_argument, NULL, OPTION_FIRST_BYTE},
	{"stall-ms", required_argument, NULL, OPTION_STALL},
	{"connect-ms", required_argument, NULL, OPTION_CONNECT},
	{"resolve-ms", required_argument, NULL, OPTION_RESOLVE},
	{"target-ms", required_argument, NULL, OPTION_TARGET},
	{"denied-ms", required_argument, NULL, OPTION_DENIED},
	{"interrupt-ms", required_argument, NULL, OPTION_INTERRUPT},
	{NULL, 0, NULL, 0},
};

static bool take_text_option(struct options *options, int option)
{
	switch (option) {
	case OPTION_PLAIN_HTTP:
		options->registry.plain_http = true;
		return true;
	case OPTION_AUTHFILE:
		options->registry.authfile = optarg;
		return true;
	case OPTION_TOKEN_HOST:
		options->registry.token_host = optarg;
		return true;
	case OPTION_VERIFY:
		options->verify = true;
		return true;
	default:
		return false;
	}
}

static bool take_time_option(struct options *options, int option)
{
	struct registry_timing *timing = &options->registry.timing;
	unsigned value = optarg ? (unsigned)strtoul(optarg, NULL, 10) : 0;
	unsigned *fields[] = {
		[OPTION_FIRST_BYTE - OPTION_FIRST_BYTE] = &timing->first_byte_ms,
		[OPTION_STALL - OPTION_FIRST_BYTE] = &timing->stall_ms,
		[OPTION_CONNECT - OPTION_FIRST_BYTE] = &timing->connect_ms,
		[OPTION_RESOLVE - OPTION_FIRST_BYTE] = &timing->resolve_ms,
		[OPTION_TARGET - OPTION_FIRST_BYTE] = &timing->target_ms,
		[OPTION_DENIED - OPTION_FIRST_BYTE] = &timing->denied_ms,
	};
	if (option == OPTION_BUDGET)
		options->budget_ms = value;
	else if (option == OPTION_INTERRUPT)
		options->interrupt_ms = value;
	else if (option >= OPTION_FIRST_BYTE && option <= OPTION_DENIED)
		*fields[option - OPTION_FIRST_BYTE] = value;
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	struct options options = {.budget_ms = 20000};
	int option;
	while ((option = getopt_long(argc, argv, "+v", long_options, NULL)) != -1) {
		if (option == 'v')
			log_set_level(LOG_LEVEL_DEBUG);
		else if (!take_text_option(&options, option) && !take_time_option(&options, option))
			return usage();
	}
	if (argc - optind < 2)
		return usage();
	if (strcmp(argv[optind], "layout-create") == 0)
		return run_layout_create(argv[optind + 1]);
	return with_source(&options, argc - optind, argv + optind);
}
