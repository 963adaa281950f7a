/*
 * imgfs store rm: an image goes, with all that no other image needs. Who has it open is asked
 * first, by a lock that keeps others out until it is gone.
 */
#include "fetch/image_profile.h"
#include "fs/mounts.h"
#include "tools/cmd_store_priv.h"
#include "tools/format.h"

#include <string.h>
#include <unistd.h>

#define PREFIX_MIN 6 /* digits of a digest that may stand for it */

struct rm {
	const struct command *self;
	struct store *store;
	struct catalog catalog;
	const char *typed;
	char *name;	/* the reference in full; NULL: a digest was typed */
	size_t n_found; /* images */
	size_t n_gone;	/* of which nothing will be left */
	int *seized;	/* descriptors */
	bool quiet;
};

char *store_mounted_at(const struct store *s, const struct digest *manifest)
{
	struct mount_list mounts = {0};
	struct diag d = DIAG_INIT;
	char digest[DIGEST_TEXT_MAX];
	char *found = NULL;
	digest_text(manifest, digest);
	if (!mounts_list(&mounts, &d))
		for (size_t i = 0; i < mounts.n && !found; i++)
			if (!strcmp(mounts.rows[i].manifest, digest) &&
			    !strcmp(mounts.rows[i].store, store_dir(s)))
				found = xstrdup(mounts.rows[i].mountpoint);
	mount_list_fini(&mounts);
	return found ? found : xstrdup("");
}

/* --- which images --- */

static bool has_name(const struct catalog_image *image, const char *name)
{
	for (size_t i = 0; i < image->n_names; i++)
		if (!strcmp(image->names[i], name))
			return true;
	return false;
}

/* "sha256:..." in full, or the first digits of one. */
static bool has_digest(const struct digest *digest, const char *typed)
{
	char text[DIGEST_TEXT_MAX];
	digest_text(digest, text);
	const char *hex = strchr(text, ':') + 1;
	size_t n = strlen(typed);
	return !strcmp(text, typed) ||
	       (strlen(hex) > n && n >= PREFIX_MIN && !strncmp(hex, typed, n)) ||
	       (!strncmp(text, typed, n) && n >= (size_t)(hex - text) + PREFIX_MIN);
}

static bool is_meant(const struct rm *rm, const struct catalog_image *image)
{
	bool meant = rm->name ? has_name(image, rm->name) : has_digest(&image->digest, rm->typed);
	for (size_t i = 0; !rm->name && !meant && i < image->n_names; i++)
		meant = has_digest(&image->tops[i], rm->typed);
	return meant;
}

static void find(struct rm *rm)
{
	rm->n_found = rm->n_gone = 0;
	for (size_t i = 0; i < rm->catalog.n_images; i++) {
		struct catalog_image *image = &rm->catalog.images[i];
		if (!is_meant(rm, image))
			continue;
		rm->n_found++;
		/* A name of several is only a name. */
		image->keep = rm->name && image->n_names > 1;
		rm->n_gone += !image->keep;
	}
}

static void find_by_name_or_digest(struct rm *rm)
{
	struct ref ref = {0};
	struct diag d = DIAG_INIT;
	if (!ref_parse(rm->typed, &ref, &d)) {
		rm->name = ref_text(&ref);
		ref_fini(&ref);
		find(rm);
		if (rm->n_found)
			return;
		free(take(&rm->name));
	}
	find(rm);
}

/* --- removing --- */

static int fail_in_use(struct rm *rm, const struct catalog_image *image)
{
	struct diag d = DIAG_INIT;
	auto_free char *at = store_mounted_at(rm->store, &image->digest);
	if (*at)
		(void)fail(&d, ERR_OTHER, -EBUSY, "%s is mounted on %s; 'imgfs umount %s' first",
			   rm->typed, at, at);
	else
		(void)fail(&d, ERR_OTHER, -EBUSY,
			   "%s is in use by another imgfs process; wait until it has ended",
			   rm->typed);
	return cli_fail(rm->self, &d);
}

/* All of them or none. */
static int seize(struct rm *rm)
{
	for (size_t i = 0; i < rm->catalog.n_images; i++) {
		const struct catalog_image *image = &rm->catalog.images[i];
		if (image->keep)
			continue;
		rm->seized[i] = store_use_seize(rm->store, &image->digest);
		if (rm->seized[i] == -EBUSY)
			return fail_in_use(rm, image);
	}
	return 0;
}

static void release(struct rm *rm)
{
	for (size_t i = 0; i < rm->catalog.n_images; i++)
		if (rm->seized[i] >= 0)
			close(rm->seized[i]);
}

static void remove_tag(struct rm *rm, struct removal *r)
{
	for (size_t i = 0; i < rm->catalog.n_items; i++) {
		struct catalog_item *item = &rm->catalog.items[i];
		if (item->kind == CATALOG_TAG && !strcmp(item->text, rm->name))
			removal_item(r, item, false);
	}
}

static int remove_images(struct rm *rm)
{
	struct removal r = {.catalog = &rm->catalog};
	char size[FORMAT_TEXT_MAX];
	int status = seize(rm);
	if (status)
		return status;
	catalog_mark(&rm->catalog);
	if (rm->name)
		remove_tag(rm, &r);
	if (rm->n_gone)
		removal_dropped(&r);
	for (size_t i = 0; i < rm->catalog.n_images; i++)
		if (!rm->catalog.images[i].keep)
			image_profile_forget(rm->store, &rm->catalog.images[i].digest);
	status = removal_end(rm->self, &r);
	if (status || rm->quiet)
		return status;
	format_name(stdout, BYTES_STR(rm->typed));
	if (rm->n_gone)
		printf(": removed, %s freed\n", format_size(r.freed, size));
	else
		printf(": this name was removed, the image has others\n");
	if (r.n_skipped)
		fprintf(stderr, "imgfs %s: %zu layer%s in use by another process stay%s\n",
			rm->self->name, r.n_skipped, r.n_skipped == 1 ? "" : "s",
			r.n_skipped == 1 ? "s" : "");
	return 0;
}

static int remove_one(struct rm *rm)
{
	struct diag d = DIAG_INIT;
	int status = 0;
	if (rm->store && catalog_load(rm->store, &rm->catalog, &d))
		return cli_fail(rm->self, &d);
	find_by_name_or_digest(rm);
	rm->seized = xcalloc(rm->catalog.n_images + 1, sizeof(*rm->seized));
	for (size_t i = 0; i < rm->catalog.n_images; i++)
		rm->seized[i] = -1;
	if (rm->n_found) {
		status = remove_images(rm);
	} else {
		(void)fail(&d, ERR_NOT_FOUND, -ENOENT,
			   "%s: the store has no such image; 'imgfs store ls' lists them",
			   rm->typed);
		status = cli_fail(rm->self, &d);
	}
	release(rm);
	free(take(&rm->seized));
	free(take(&rm->name));
	catalog_fini(&rm->catalog);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct rm rm = {.self = self};
	char **operands;
	if (cli_parse(self, argc, argv, NULL, &common, &operands) == 0)
		return cli_usage_error(self, "a reference or a digest is missing");
	rm.quiet = common.quiet;
	int status = cli_open_store(self, &common, &rm.store);
	for (bool opened = !status; opened && *operands; operands++) {
		rm.typed = *operands;
		int failed = remove_one(&rm);
		status = status ? status : failed;
	}
	if (rm.store)
		store_close(&rm.store);
	return status;
}

const struct command store_rm_command = {
	.name = "store rm",
	.synopsis = "REF|DIGEST...",
	.summary = "Remove images from the store",
	.details =
		"Manifest, config, merged tree, and the layers that no other image of the store\n"
		"needs. A reference that is one name of several only stops to be one. DIGEST is\n"
		"that of the manifest, or its first digits (at least 6): the image goes with\n"
		"all its names. An image that is mounted, or open in another imgfs, is not\n"
		"touched (exit code 1). Of several, one that fails does not keep the others; the\n"
		"first failure decides the exit code.",
	.examples = "imgfs store rm docker.io/library/python:3.12\n"
		    "imgfs store rm 3d2f8a61c0b7",
	.run = run,
};
