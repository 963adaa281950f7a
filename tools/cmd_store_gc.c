/*
 * imgfs store gc: what no image needs goes; then, if it was asked for, images that were not used
 * for long, and what was used longest ago until the rest fits. What is in use is never touched.
 */
#include "tools/cmd_store_priv.h"
#include "tools/format.h"
#include "tools/json_out.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NO_LIMIT UINT64_MAX

struct gc {
	const struct command *self;
	struct store *store;
	struct catalog catalog;
	struct removal removal;
	uint64_t max;	    /* bytes, or NO_LIMIT */
	int64_t older_than; /* seconds; -1: whatever their age */
	uint64_t total;	    /* bytes that will be left */
	int *seized;	    /* by image: a descriptor, or -1 */
	bool *reported;	    /* by image */
	size_t n_images;    /* removed */
	bool say;
};

/* --- images --- */

/* Nobody can begin to use it from now on. A dry run only looks. */
static bool seize(struct gc *gc, size_t i)
{
	struct catalog_image *image = &gc->catalog.images[i];
	if (image->in_use || image->young)
		return false;
	if (!gc->removal.dry_run) {
		gc->seized[i] = store_use_seize(gc->store, &image->digest);
		/* A full disk, on which no note can be made, is no reason to remove nothing. */
		if (gc->seized[i] == -EBUSY || gc->seized[i] == -EMFILE) {
			image->in_use = true;
			return false;
		}
	}
	image->keep = false;
	gc->n_images++;
	return true;
}

static void choose_images(struct gc *gc)
{
	int64_t now = time(NULL);
	for (size_t i = 0; i < gc->catalog.n_images; i++) {
		const struct catalog_image *image = &gc->catalog.images[i];
		bool old = gc->older_than >= 0 && now - image->used > gc->older_than;
		if (!image->n_names || old)
			(void)seize(gc, i);
	}
}

static void say_image(struct gc *gc, size_t i)
{
	const struct catalog_image *image = &gc->catalog.images[i];
	char digest[DIGEST_TEXT_MAX], used[FORMAT_TEXT_MAX];
	gc->reported[i] = true;
	printf("%s ", gc->removal.dry_run ? "would remove" : "removed");
	format_name(stdout, image->n_names ? BYTES_STR(image->names[0])
					   : BYTES_STR(digest_text(&image->digest, digest)));
	printf(", last used %s\n", format_minute(image->used, used));
}

/* --- removing --- */

static bool is_young(const struct catalog_item *item)
{
	return time(NULL) - item->time < CATALOG_GRACE_S;
}

/* Of no image at all. What is young may be in the making. */
static void remove_leftovers(struct gc *gc)
{
	for (size_t i = 0; i < gc->catalog.n_items; i++) {
		struct catalog_item *item = &gc->catalog.items[i];
		if (item->needed || item->dropped || item->in_use || is_young(item))
			continue;
		/* A note of use whose image is gone: nobody may hold it. */
		auto_fd int note = item->kind == CATALOG_USE && !gc->removal.dry_run
					   ? store_use_seize(gc->store, &item->digest)
					   : -1;
		if (item->kind != CATALOG_USE || note >= 0)
			removal_item(&gc->removal, item, false);
	}
}

static void remove_images(struct gc *gc)
{
	catalog_mark(&gc->catalog);
	removal_dropped(&gc->removal);
	for (size_t i = 0; i < gc->catalog.n_images; i++)
		if (!gc->catalog.images[i].keep && !gc->reported[i] && gc->say)
			say_image(gc, i);
}

/* --- until it fits --- */

static int by_use(const void *a, const void *b)
{
	const struct catalog_item *x = *(struct catalog_item *const *)a,
				  *y = *(struct catalog_item *const *)b;
	if (x->used != y->used)
		return x->used < y->used ? -1 : 1;
	return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : 0;
}

static bool fits(const struct gc *gc)
{
	return gc->total - min_of(gc->total, gc->removal.freed) <= gc->max;
}

/* Chunks and kept blobs first: with its index a layer can be mounted at once, and fetches again
 * what is read. */
static void evict_bytes(struct gc *gc)
{
	struct catalog *c = &gc->catalog;
	auto_free struct catalog_item **items = xcalloc(c->n_items + 1, sizeof(*items));
	size_t n = 0;
	for (size_t i = 0; i < c->n_items; i++)
		if (c->items[i].needed && !c->items[i].in_use && c->items[i].bytes)
			items[n++] = &c->items[i];
	if (n)
		qsort(items, n, sizeof(*items), by_use);
	for (size_t i = 0; i < n && !fits(gc); i++) {
		removal_item(&gc->removal, items[i], true);
		/* Should its image go, too: that much less. */
		items[i]->disk -= items[i]->bytes;
		items[i]->bytes = 0;
	}
}

static void evict_images(struct gc *gc)
{
	struct catalog *c = &gc->catalog;
	while (!fits(gc)) {
		size_t oldest = c->n_images;
		for (size_t i = 0; i < c->n_images; i++) {
			const struct catalog_image *image = &c->images[i];
			if (image->keep && !image->in_use && !image->young &&
			    (oldest == c->n_images || image->used < c->images[oldest].used))
				oldest = i;
		}
		if (oldest == c->n_images || (!seize(gc, oldest) && !c->images[oldest].in_use))
			return;
		remove_images(gc);
	}
}

/* --- the command --- */

static err_t collect(struct gc *gc, struct diag *d)
{
	struct store_usage u;
	err_t err = catalog_load(gc->store, &gc->catalog, d);
	if (!err)
		err = store_usage(gc->store, &u, d);
	if (err)
		return err;
	gc->total = u.documents + u.indexes + u.chunks + u.blobs + u.other;
	gc->removal.catalog = &gc->catalog;
	gc->seized = xcalloc(gc->catalog.n_images + 1, sizeof(*gc->seized));
	gc->reported = xcalloc(gc->catalog.n_images + 1, sizeof(*gc->reported));
	for (size_t i = 0; i < gc->catalog.n_images; i++)
		gc->seized[i] = -1;
	choose_images(gc);
	remove_images(gc);
	remove_leftovers(gc);
	if (!fits(gc))
		evict_bytes(gc);
	evict_images(gc);
	return 0;
}

static void report(const struct gc *gc, bool json_wanted)
{
	const struct removal *r = &gc->removal;
	uint64_t left = gc->total - min_of(gc->total, r->freed);
	char freed[FORMAT_TEXT_MAX], rest[FORMAT_TEXT_MAX];
	struct json_out json;
	if (json_wanted) {
		json_out_start(&json, stdout, 1);
		json_put_object(&json, NULL);
		json_put_bool(&json, "dry_run", r->dry_run);
		json_put_number(&json, "images", gc->n_images);
		json_put_number(&json, "freed", r->freed);
		json_put_number(&json, "left", left);
		json_put_bool(&json, "fits", fits(gc));
		json_put_end(&json);
	} else if (gc->say) {
		printf("%s %s, %s %s\n", format_size(r->freed, freed),
		       r->dry_run ? "would be freed" : "freed", format_size(left, rest),
		       r->dry_run ? "would be left" : "are left");
	}
	if (!fits(gc))
		fprintf(stderr,
			"imgfs %s: %s are more than --max: what is in use, or was fetched in this "
			"minute, is kept\n",
			gc->self->name, format_size(left, rest));
}

static void gc_fini(struct gc *gc)
{
	for (size_t i = 0; gc->seized && i < gc->catalog.n_images; i++)
		if (gc->seized[i] >= 0)
			close(gc->seized[i]);
	free(gc->seized);
	free(gc->reported);
	catalog_fini(&gc->catalog);
	if (gc->store)
		store_close(&gc->store);
}

/* "30d": a number of seconds, minutes, hours, days or weeks; -1: something else. */
static int64_t parse_age(const char *text)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
	char *end;
	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	long n = strtol(text, &end, 10);
	for (size_t i = 0; !errno && n < 1000000 && i < ARRAY_LEN(units); i++)
		if (end[0] == units[i].unit && !end[1])
			return n * units[i].seconds;
	return -1;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct gc gc = {.self = self, .max = NO_LIMIT, .older_than = -1};
	struct diag d = DIAG_INIT;
	const char *age = NULL;
	char **operands;
	const struct option_row rows[] = {
		{'n', "dry-run", OPT_FLAG, &gc.removal.dry_run, NULL, "only say what would go"},
		{0, "older-than", OPT_STRING, &age, "AGE",
		 "also images that were not used for so long: 12h, 30d, 8w"},
		{0, "max", OPT_NUMBER, &gc.max, "BYTES",
		 "also what was used longest ago, until the store is no larger: 500M, 20G"},
		{0, "json", OPT_FLAG, &common.json, NULL, "one object (JSON.md)"},
		{0},
	};
	if (cli_parse(self, argc, argv, rows, &common, &operands))
		return cli_usage_error(self, "no operand is expected, but '%s' came", operands[0]);
	if (age && (gc.older_than = parse_age(age)) < 0)
		return cli_usage_error(self, "--older-than: a number and s, m, h, d or w, not '%s'",
				       age);
	gc.say = !common.json && !common.quiet;
	int status = cli_open_store(self, &common, &gc.store);
	if (!status && gc.store && collect(&gc, &d))
		status = cli_fail(self, &d);
	if (!status)
		status = removal_end(self, &gc.removal);
	if (!status)
		report(&gc, common.json);
	gc_fini(&gc);
	return status;
}

const struct command store_gc_command = {
	.name = "store gc",
	.synopsis = "[-n] [--older-than AGE] [--max BYTES]",
	.summary = "Remove from the store what no image needs",
	.details = "Layers, trees and documents that no image refers to, images whose tag has\n"
		   "moved on, and what killed processes have left. With --max also, by last use:\n"
		   "first the contents of layers, whose indexes stay, so that their images can be\n"
		   "mounted at once and are fetched again as they are read; then whole images.\n"
		   "\n"
		   "What is mounted or open in another imgfs stays, and so does what was fetched\n"
		   "within the last minute. Safe at any time, beside running mounts.",
	.examples = "imgfs store gc -n\n"
		    "imgfs store gc --older-than 30d\n"
		    "imgfs store gc --max 20G",
	.run = run,
};
