/*
 * imgfs store: the local store as a user sees it.
 */
#include "tools/cmd_store_priv.h"
#include "tools/format.h"
#include "tools/json_out.h"

#include <inttypes.h>

/* --- what the commands share --- */

void removal_item(struct removal *r, struct catalog_item *item, bool bytes_only)
{
	if (item->gone)
		return;
	err_t err = r->dry_run ? 0 : catalog_remove(r->catalog, item, bytes_only);
	if (err == -EBUSY) {
		r->n_skipped++;
		return;
	}
	if (err && !r->err)
		r->err = err;
	if (err)
		return;
	item->gone = !bytes_only;
	r->n_items++;
	r->freed += bytes_only ? item->bytes : item->disk;
}

/* Names before what they name, documents before what they need, and the note of use last: so that
 * whatever is left by a process that dies is seen to belong to nobody. */
void removal_dropped(struct removal *r)
{
	static const enum catalog_kind order[] = {CATALOG_TAG,	 CATALOG_DOCUMENT,  CATALOG_TREE,
						  CATALOG_LAYER, CATALOG_PUBLISHED, CATALOG_USE};
	for (size_t k = 0; k < ARRAY_LEN(order); k++)
		for (size_t i = 0; i < r->catalog->n_items; i++) {
			struct catalog_item *item = &r->catalog->items[i];
			if (item->kind == order[k] && item->dropped && !item->needed)
				removal_item(r, item, false);
		}
}

int removal_end(const struct command *self, const struct removal *r)
{
	struct diag d = DIAG_INIT;
	if (!r->err)
		return 0;
	(void)fail_sys(&d, ERR_STORE, r->err, "not all could be removed");
	return cli_fail(self, &d);
}

/* --- du --- */

static void print_size(const char *label, uint64_t bytes)
{
	char size[FORMAT_TEXT_MAX];
	printf("%-10s %10s\n", label, format_size(bytes, size));
}

static void print_text(const char *dir, const struct store_usage *u, uint64_t total)
{
	printf("%-10s ", "store");
	format_name(stdout, BYTES_STR(dir));
	printf("\n%-10s %10" PRIu64 "\n", "images", u->n_images);
	printf("%-10s %10" PRIu64 "\n", "layers", u->n_layers);
	print_size("documents", u->documents);
	print_size("indexes", u->indexes);
	print_size("chunks", u->chunks);
	print_size("blobs", u->blobs);
	print_size("other", u->other);
	print_size("total", total);
}

static void print_json(const char *dir, const struct store_usage *u, uint64_t total)
{
	struct json_out json;
	json_out_start(&json, stdout, 1);
	json_put_object(&json, NULL);
	json_put_bytes(&json, "store", BYTES_STR(dir));
	json_put_number(&json, "images", u->n_images);
	json_put_number(&json, "layers", u->n_layers);
	json_put_number(&json, "documents", u->documents);
	json_put_number(&json, "indexes", u->indexes);
	json_put_number(&json, "chunks", u->chunks);
	json_put_number(&json, "blobs", u->blobs);
	json_put_number(&json, "other", u->other);
	json_put_number(&json, "total", total);
	json_put_end(&json);
}

static int run_du(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct diag d = DIAG_INIT;
	struct store *store = NULL;
	struct store_usage u = {0};
	char **operands;
	const struct option_row rows[] = {
		{0, "json", OPT_FLAG, &common.json, NULL, "one object (JSON.md)"},
		{0},
	};
	if (cli_parse(self, argc, argv, rows, &common, &operands))
		return cli_usage_error(self, "no operand is expected, but '%s' came", operands[0]);
	int status = cli_open_store(self, &common, &store);
	if (!status && store && store_usage(store, &u, &d))
		status = cli_fail(self, &d);
	auto_free char *dir = store ? xstrdup(store_dir(store)) : store_default_dir(&d);
	uint64_t total = u.documents + u.indexes + u.chunks + u.blobs + u.other;
	if (!status && common.json)
		print_json(dir ? dir : "", &u, total);
	else if (!status)
		print_text(dir ? dir : "", &u, total);
	if (store)
		store_close(&store);
	return status;
}

static const struct command store_du = {
	.name = "store du",
	.synopsis = "[--json]",
	.summary = "Show what the store holds and how much of the disk it uses",
	.details = "documents: manifests and configs; indexes: of layers and of merged trees; "
		   "chunks:\n"
		   "pieces of layers that were read; blobs: layers that were streamed for indexing "
		   "and\n"
		   "kept compressed. Sizes are those of the disk blocks in use.",
	.examples = "imgfs store du\n"
		    "imgfs store du --store /srv/imgfs --json",
	.run = run_du,
};

static const struct command *const commands[] = {&store_ls_command,	&store_du,
						 &store_rm_command,	&store_gc_command,
						 &store_verify_command, NULL};

static int run(const struct command *self, int argc, char **argv)
{
	return cli_dispatch(self, commands, argc, argv);
}

const struct command cmd_store = {
	.name = "store",
	.synopsis = "ls|du|rm|gc|verify ...",
	.summary = "Look at the local store, and tidy it up",
	.run = run,
};
