/*
 * What the store and the disk know: a reference is completed from the store's tags, a path from the
 * merged tree that the store has of the image, and a layout from its folder.
 */
#include "tools/complete_image.h"

#include "fetch/catalog.h"
#include "fetch/layout.h"
#include "fs/mounts.h"
#include "tools/conf.h"
#include "tools/look.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHORT_DIGITS 12 /* of a digest, as `imgfs store ls` shows it */

/* ---- sorted texts ---- */

struct texts {
	char **p; /* owned, as are the texts */
	size_t n, cap;
};

static void texts_add(struct texts *texts, char *text)
{
	if (try_grow(&texts->p, texts->n, &texts->cap, sizeof(*texts->p)))
		texts->p[texts->n++] = text;
	else
		free(text);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Each once, in order; frees them. */
static void texts_put(struct texts *texts, struct completion *c)
{
	if (texts->n)
		qsort(texts->p, texts->n, sizeof(*texts->p), by_text);
	for (size_t i = 0; i < texts->n; i++)
		if (i == 0 || strcmp(texts->p[i], texts->p[i - 1]) != 0)
			completion_put(c, texts->p[i], NULL);
	for (size_t i = 0; i < texts->n; i++)
		free(texts->p[i]);
	free(texts->p);
	*texts = (struct texts){0};
}

/* ---- references ---- */

/* The options that are in force for a reference, or for none; the texts are the conf's. */
static struct conf *settle(const struct common_options *common, const char *reference,
			   struct common_options *out)
{
	struct diag d = DIAG_INIT;
	struct conf *conf = NULL;
	*out = *common;
	if (!conf_load(common->config, reference, &conf, &d))
		conf_fill(conf, out);
	return conf;
}

/* store_open would make one. */
static struct store *open_existing(const struct common_options *common)
{
	struct diag d = DIAG_INIT;
	struct store *store = NULL;
	auto_free char *dir = common->store ? xstrdup(common->store) : store_default_dir(&d);
	auto_free char *version = dir ? xasprintf("%s/v1", dir) : NULL;
	if (!version || access(version, R_OK | X_OK) || store_open(dir, &store, &d))
		return NULL;
	return store;
}

struct references {
	const char *typed, *suffix;
	struct texts found;
};

/* "docker.io/library/python:3" is python:3 for who does not type the rest. */
static void add_reference(void *arg, const char *text, const struct digest *digest)
{
	static const char *const usual[] = {"docker.io/library/", "docker.io/", ""};
	struct references *r = arg;
	(void)digest;
	for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
		size_t n = strlen(usual[i]);
		if (strncmp(text, usual[i], n) || strncmp(text + n, r->typed, strlen(r->typed)))
			continue;
		texts_add(&r->found, xasprintf("%s%s", text + n, r->suffix));
		return;
	}
}

/* ---- layouts ---- */

static bool is_layout(const char *dir)
{
	auto_free char *file = xasprintf("%s/oci-layout", dir);
	return access(file, F_OK) == 0;
}

/* "oci:DIR": folders, those that are layouts without the slash that leads further. */
static void complete_layout_dirs(struct completion *c, const char *typed, const char *suffix)
{
	const char *slash = strrchr(typed, '/');
	size_t n = slash ? (size_t)(slash - typed) + 1 : 0;
	auto_free char *above = xstrndup(typed, n);
	struct texts found = {0};
	DIR *dir = opendir(n ? above : ".");
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		auto_free char *path = xasprintf("%s%s", above, entry->d_name);
		struct stat st;
		if (strncmp(path, typed, strlen(typed)) ||
		    (entry->d_name[0] == '.' && typed[n] != '.') || stat(path, &st) ||
		    !S_ISDIR(st.st_mode))
			continue;
		texts_add(&found, xasprintf("oci:%s%s", path, is_layout(path) ? suffix : "/"));
	}
	if (dir)
		closedir(dir);
	texts_put(&found, c);
}

struct layout_names {
	const char *dir, *suffix;
	struct texts found;
};

static void add_layout_name(void *arg, const char *name)
{
	struct layout_names *names = arg;
	texts_add(&names->found, xasprintf("oci:%s:%s%s", names->dir, name, names->suffix));
}

static void complete_layouts(struct completion *c, const char *suffix)
{
	const char *typed = completion_part(c) + strlen("oci:"), *colon = strrchr(typed, ':');
	auto_free char *dir = xstrndup(typed, colon ? (size_t)(colon - typed) : 0);
	struct layout_names names = {dir, suffix, {0}};
	struct diag d = DIAG_INIT;
	complete_layout_dirs(c, typed, suffix);
	if (colon && !layout_names_each(dir, add_layout_name, &names, &d))
		texts_put(&names.found, c);
}

void complete_references(struct completion *c, const struct common_options *common,
			 const char *suffix)
{
	struct references r = {.typed = completion_part(c), .suffix = suffix};
	struct common_options in_force;
	struct conf *conf = settle(common, NULL, &in_force);
	struct store *store = open_existing(&in_force);
	if (store && !store_tags_each(store, add_reference, &r))
		texts_put(&r.found, c);
	if (strncmp(r.typed, "oci:", 4))
		completion_put(c, "oci:", "an OCI layout on disk");
	else
		complete_layouts(c, suffix);
	store_close(&store);
	conf_free(&conf);
}

/* ---- digests ---- */

static void put_digest(struct completion *c, const struct catalog_image *image)
{
	char text[DIGEST_TEXT_MAX];
	digest_text(&image->digest, text);
	char *hex = strchr(text, ':') + 1;
	hex[SHORT_DIGITS] = '\0';
	completion_put(c, *completion_part(c) == 's' ? text : hex,
		       image->n_names ? image->names[0] : NULL);
}

void complete_digests(struct completion *c, const struct common_options *common)
{
	struct common_options in_force;
	struct conf *conf = settle(common, NULL, &in_force);
	struct store *store = open_existing(&in_force);
	struct catalog catalog;
	struct diag d = DIAG_INIT;
	if (store && !catalog_load(store, &catalog, &d)) {
		for (size_t i = 0; i < catalog.n_images; i++)
			put_digest(c, &catalog.images[i]);
		catalog_fini(&catalog);
	}
	store_close(&store);
	conf_free(&conf);
}

/* ---- paths ---- */

static bool is_directory(const struct index *tree, const struct dir_entry *entry, const char *path)
{
	struct inode inode;
	uint32_t row = entry->row;
	if (entry->type == DT_LNK && index_path(tree, BYTES_STR(path), true, &row))
		return false;
	index_inode(tree, row, &inode);
	return S_ISDIR(inode.mode);
}

/* What was typed up to the last slash is a directory; the rest begins a name in it. */
static void complete_in_tree(struct completion *c, const struct index *tree)
{
	const char *typed = completion_part(c), *slash = strrchr(typed, '/');
	size_t n = slash ? (size_t)(slash - typed) + 1 : 0;
	auto_free char *above = xstrndup(typed, n);
	auto_free char *dir_path = look_path(above);
	struct listing listing;
	uint32_t dir;
	if (index_path(tree, BYTES_STR(dir_path), true, &dir) || dir >= index_info(tree)->n_dirs ||
	    listing_load(tree, dir, typed[n] == '.', &listing))
		return;
	for (uint32_t i = 0; i < listing.n; i++) {
		const struct dir_entry *entry = &listing.entries[i];
		if (entry->name.n < strlen(typed + n) ||
		    memcmp(entry->name.p, typed + n, strlen(typed + n)))
			continue;
		auto_free char *name = xstrndup((const char *)entry->name.p, entry->name.n);
		auto_free char *path = xasprintf("%s/%s", dir_path, name);
		auto_free char *shown = xasprintf("%s%s%s", above, name,
						  is_directory(tree, entry, path) ? "/" : "");
		completion_put(c, shown, NULL);
	}
	listing_fini(&listing);
}

void complete_paths(struct completion *c, const struct common_options *common,
		    const char *reference)
{
	struct common_options in_force;
	struct conf *conf = settle(common, reference, &in_force);
	struct image_options options = image_options_of(&in_force);
	struct store *store = open_existing(&in_force);
	struct image *image = NULL;
	struct diag d = DIAG_INIT;
	options.offline = true;
	if (store && !image_open(store, reference, &options, &image, &d)) {
		if (!image_peek_tree(image))
			complete_in_tree(c, image->tree);
		image_close(&image);
	}
	store_close(&store);
	conf_free(&conf);
}

/* ---- mounts ---- */

void complete_mounts(struct completion *c)
{
	struct mount_list list = {0};
	struct diag d = DIAG_INIT;
	if (!mounts_list(&list, &d))
		for (size_t i = 0; i < list.n; i++)
			completion_put(c, list.rows[i].mountpoint, list.rows[i].reference);
	mount_list_fini(&list);
}
