/*
 * imgfs store verify: all of the store, read again.
 */
#include "fetch/catalog_verify.h"
#include "tools/cmd_store_priv.h"
#include "tools/format.h"
#include "tools/interrupt.h"
#include "tools/json_out.h"
#include "tools/progress.h"

#include <inttypes.h>
#include <string.h>

#define SHOWN_MAX 50 /* lines; a disk that rots has thousands of bad chunks */

struct verify_command {
	const struct command *self;
	struct verify_options options;
	bool json;
	uint64_t n_shown;
};

static void show_bad(void *arg, const char *what, const char *why)
{
	struct verify_command *v = arg;
	if (v->json || v->n_shown++ >= SHOWN_MAX)
		return;
	progress_hold();
	printf("%s: %s%s\n", what, why, v->options.repair ? "; removed" : "");
	fflush(stdout);
	progress_release();
}

static bool is_interrupted(void *arg)
{
	(void)arg;
	return interrupt_signal() != 0;
}

static void print_json(const struct verify_command *v, const struct verify_counts *n)
{
	struct json_out json;
	json_out_start(&json, stdout, 1);
	json_put_object(&json, NULL);
	json_put_number(&json, "documents", n->documents);
	json_put_number(&json, "indexes", n->indexes);
	json_put_number(&json, "chunks", n->chunks);
	json_put_number(&json, "blobs", n->blobs);
	json_put_number(&json, "bytes", n->bytes);
	json_put_number(&json, "bad", n->bad);
	json_put_bool(&json, "repaired", v->options.repair && n->bad);
	json_put_end(&json);
}

static void print_count(uint64_t n, const char *what, const char *plural, const char *behind)
{
	printf("%" PRIu64 " %s%s%s", n, what, n == 1 ? "" : plural, behind);
}

static void print_text(const struct verify_command *v, const struct verify_counts *n)
{
	char size[FORMAT_TEXT_MAX];
	if (v->n_shown > SHOWN_MAX)
		printf("and %" PRIu64 " more\n", v->n_shown - SHOWN_MAX);
	print_count(n->documents, "document", "s", ", ");
	print_count(n->indexes, "index", "es", ", ");
	print_count(n->chunks, "chunk", "s", " and ");
	print_count(n->blobs, "blob", "s", "");
	printf(" (%s) were read: %s\n", format_size(n->bytes, size),
	       n->bad ? "not all are right" : "all are right");
}

static int verify(struct verify_command *v, struct store *store, bool quiet)
{
	struct verify_counts n = {0};
	struct diag d = DIAG_INIT;
	v->options.progress = progress_begin(v->self, NULL);
	interrupt_watch(NULL);
	err_t err = store_verify(store, &v->options, &n, &d);
	interrupt_unwatch();
	progress_end();
	if (interrupt_signal()) {
		fprintf(stderr, "imgfs %s: interrupted\n", v->self->name);
		return 128 + interrupt_signal();
	}
	if (err)
		return cli_fail(v->self, &d);
	if (v->json)
		print_json(v, &n);
	else if (!quiet)
		print_text(v, &n);
	if (!n.bad || v->options.repair)
		return 0;
	(void)fail(&d, ERR_INTEGRITY, -EBADMSG,
		   "%" PRIu64 " thing%s in the store %s wrong; --repair removes %s, and %s fetched "
		   "again",
		   n.bad, n.bad == 1 ? "" : "s", n.bad == 1 ? "is" : "are",
		   n.bad == 1 ? "it" : "them", n.bad == 1 ? "it is" : "they are");
	return cli_fail(v->self, &d);
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct verify_command v = {.self = self,
				   .options = {.bad = show_bad, .stop = is_interrupted}};
	struct store *store = NULL;
	char **operands;
	const struct option_row rows[] = {
		{0, "repair", OPT_FLAG, &v.options.repair, NULL,
		 "remove what is wrong, so that it is fetched again"},
		{0, "json", OPT_FLAG, &common.json, NULL, "one object (JSON.md)"},
		{0},
	};
	if (cli_parse(self, argc, argv, rows, &common, &operands))
		return cli_usage_error(self, "no operand is expected, but '%s' came", operands[0]);
	v.json = common.json;
	v.options.arg = &v;
	int status = cli_open_store(self, &common, &store);
	if (!status && store)
		status = verify(&v, store, common.quiet);
	if (store)
		store_close(&store);
	return status;
}

const struct command store_verify_command = {
	.name = "store verify",
	.synopsis = "[--repair] [--json]",
	.summary = "Read everything in the store again, and compare it",
	.details = "Documents and kept blobs are compared with their digests, indexes with the\n"
		   "rules of index/FORMAT.md, chunks with the checksum of their index. Readers\n"
		   "check the same at the first touch and never get wrong bytes; this finds rot\n"
		   "before they do. Exit code 6 when something is wrong and --repair was not\n"
		   "given. Mounts may go on meanwhile.",
	.examples = "imgfs store verify\n"
		    "imgfs store verify --repair",
	.run = run,
};
