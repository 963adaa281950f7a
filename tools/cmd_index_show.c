/*
 * imgfs index show: sizes and identity of the indexes that the store has for an image, of the forms
 * in which they are or would be published, and of the published index that would be used. Nothing
 * is built and no layer is read.
 */
#include "tools/cmd_index_priv.h"
#include "tools/format.h"
#include "tools/index_forms.h"
#include "tools/json_out.h"

#include <inttypes.h>
#include <string.h>

static void print_sections(const struct index *ix)
{
	struct index_section section;
	for (unsigned i = 0; index_section(ix, i, &section); i++) {
		char stored[FORMAT_TEXT_MAX], raw[FORMAT_TEXT_MAX], percent[FORMAT_TEXT_MAX];
		printf("    %-16s %10s  %10s raw  %8s\n", section.name,
		       format_size(section.stored_len, stored), format_size(section.raw_len, raw),
		       format_percent(section.stored_len, index_file_size(ix), percent));
	}
}

static void print_index(const struct index *ix, const struct digest *canonical)
{
	const struct index_info *info = index_info(ix);
	char size[FORMAT_TEXT_MAX], blob[FORMAT_TEXT_MAX], percent[FORMAT_TEXT_MAX];
	char digest[DIGEST_TEXT_MAX];
	printf("  index      %s", format_size(index_file_size(ix), size));
	if (info->kind == INDEX_LAYER)
		printf(", %s of the blob's %s",
		       format_percent(index_file_size(ix), info->blob_size, percent),
		       format_size(info->blob_size, blob));
	printf("\n  canonical  %s\n", digest_text(canonical, digest));
	printf("  entries    %" PRIu64 " names, %" PRIu32 " inodes (%" PRIu32
	       " directories, %" PRIu32 " files with %s)\n",
	       info->n_dirents, info->n_inodes, info->n_dirs, info->n_regular,
	       format_size(info->files_size, size));
	if (info->kind == INDEX_LAYER)
		printf("  chunks     %" PRIu32 " of %s, stream of %s\n", info->n_chunks,
		       blob_codec_name(info->codec), format_size(info->stream_size, size));
	printf("  sections\n");
	print_sections(ix);
}

static void json_digest(struct json_out *j, const char *key, const struct digest *digest)
{
	char text[DIGEST_TEXT_MAX];
	json_put_text(j, key, digest_text(digest, text));
}

static void json_index(struct json_out *j, const struct index *ix, const struct digest *canonical)
{
	const struct index_info *info = index_info(ix);
	struct index_section section;
	json_put_number(j, "index_size", index_file_size(ix));
	json_digest(j, "canonical_digest", canonical);
	json_put_number(j, "names", info->n_dirents);
	json_put_number(j, "inodes", info->n_inodes);
	json_put_number(j, "directories", info->n_dirs);
	json_put_number(j, "files", info->n_regular);
	json_put_number(j, "files_size", info->files_size);
	if (info->kind == INDEX_LAYER) {
		json_digest(j, "diff_id", &info->diff_id);
		json_put_number(j, "stream_size", info->stream_size);
		json_put_text(j, "codec", blob_codec_name(info->codec));
		json_put_number(j, "chunk_target", info->chunk_target);
		json_put_number(j, "chunks", info->n_chunks);
	}
	json_put_array(j, "sections");
	for (unsigned i = 0; index_section(ix, i, &section); i++) {
		json_put_object(j, NULL);
		json_put_text(j, "name", section.name);
		json_put_number(j, "stored_size", section.stored_len);
		json_put_number(j, "raw_size", section.raw_len);
		json_put_end(j);
	}
	json_put_end(j);
}

/* The body of one index, in either form; the index is closed. err is the store's answer. */
static err_t show_index(struct json_out *j, struct index *ix, err_t err)
{
	struct digest canonical;
	if (err == -ENOENT) {
		if (!j)
			printf("  not in the store\n");
		return 0;
	}
	if (!err)
		err = index_canonical_digest(ix, &canonical);
	if (!err && j)
		json_index(j, ix, &canonical);
	else if (!err)
		print_index(ix, &canonical);
	if (ix)
		index_close(&ix);
	return err;
}

/* --- the published form --- */

/* One part of a form a line, with its share of the blob. */
static void print_part(const char *name, uint64_t bytes, uint64_t blob_size)
{
	char size[FORMAT_TEXT_MAX], percent[FORMAT_TEXT_MAX];
	printf("    %-16s %10s  %8s\n", name, format_size(bytes, size),
	       format_percent(bytes, blob_size, percent));
}

static void print_form(const struct form *form, uint64_t blob_size)
{
	char digest[DIGEST_TEXT_MAX], size[FORMAT_TEXT_MAX], percent[FORMAT_TEXT_MAX];
	printf("  published  %s, %s of the blob%s\n", format_size(form->sizes.total, size),
	       format_percent(form->sizes.total, blob_size, percent), form->is_tree ? "s" : "");
	printf("    %-16s %s\n", "digest", digest_text(&form->digest, digest));
	print_part("head", form->sizes.head, blob_size);
	if (form->groups_only) {
		print_part("groups", form->sizes.rows, blob_size);
	} else if (!form->is_tree) {
		print_part("rows", form->sizes.rows, blob_size);
		print_part("windows", form->sizes.windows, blob_size);
	}
	print_part("tree", form->sizes.tree, blob_size);
	if (!form->is_tree)
		print_part("digests", form->sizes.digests, blob_size);
}

static void json_form(struct json_out *j, const struct form *form)
{
	json_put_object(j, "published");
	json_digest(j, "digest", &form->digest);
	json_put_number(j, "size", form->sizes.total);
	json_put_number(j, "head", form->sizes.head);
	if (form->groups_only) {
		json_put_number(j, "groups", form->sizes.rows);
	} else if (!form->is_tree) {
		json_put_number(j, "rows", form->sizes.rows);
		json_put_number(j, "windows", form->sizes.windows);
	}
	json_put_number(j, "tree", form->sizes.tree);
	if (!form->is_tree)
		json_put_number(j, "digests", form->sizes.digests);
	json_put_end(j);
}

static void show_form(struct json_out *j, const struct form *form, uint64_t blob_size)
{
	if (!form->sizes.total)
		return;
	if (j)
		json_form(j, form);
	else
		print_form(form, blob_size);
}

/* --- the whole --- */

static err_t show_layer(struct json_out *j, struct image *image, struct forms *forms, size_t i)
{
	const struct descriptor *desc = &image->manifest.layers[i].desc;
	struct index *ix = NULL;
	char digest[DIGEST_TEXT_MAX];
	err_t err = index_layer_of_store(image, i, &ix);
	if (!j) {
		printf("layer %zu %s, %s\n", i, digest_text(&desc->digest, digest),
		       layer_state_name(image_layer_state(image, i)));
	} else {
		json_put_object(j, NULL);
		json_put_number(j, "number", i);
		json_digest(j, "digest", &desc->digest);
		json_put_number(j, "blob_size", desc->size);
		json_put_text(j, "state", layer_state_name(image_layer_state(image, i)));
		json_put_bool(j, "indexed", !err);
	}
	err = show_index(j, ix, err);
	show_form(j, &forms->layers[i], desc->size);
	if (j)
		json_put_end(j);
	return err;
}

static err_t show_image(struct json_out *j, struct image *image, struct forms *forms)
{
	struct index *ix = NULL;
	err_t err = index_image_of_store(image, &ix);
	if (!j) {
		printf("image\n");
	} else {
		json_put_object(j, "image");
		json_put_bool(j, "indexed", !err);
	}
	err = show_index(j, ix, err);
	show_form(j, &forms->tree, forms->blobs);
	if (j)
		json_put_end(j);
	return err;
}

static void show_sum(struct json_out *j, const struct image *image, const struct forms *forms)
{
	char size[FORMAT_TEXT_MAX], percent[FORMAT_TEXT_MAX], blobs[FORMAT_TEXT_MAX];
	char digest[DIGEST_TEXT_MAX];
	if (j) {
		json_put_number(j, "blobs_size", forms->blobs);
		json_put_number(j, "published_size", forms->total);
		if (image->published) {
			json_digest(j, "published_index", &image->artifact_digest);
			json_put_text(j, "trust", trust_state_name(image->trusted));
		}
		return;
	}
	if (forms->tree.sizes.total)
		printf("in all       %s published, %s of %s\n", format_size(forms->total, size),
		       format_percent(forms->total, forms->blobs, percent),
		       format_size(forms->blobs, blobs));
	if (image->published)
		printf("published as %s, %s\n", digest_text(&image->artifact_digest, digest),
		       trust_state_name(image->trusted));
}

static err_t show(struct json_out *j, struct image *image, struct forms *forms)
{
	err_t err = 0;
	if (j) {
		json_put_object(j, NULL);
		json_put_array(j, "layers");
	}
	for (size_t i = 0; i < image->manifest.n_layers && !err; i++)
		err = show_layer(j, image, forms, i);
	if (j)
		json_put_end(j);
	if (!err)
		err = show_image(j, image, forms);
	if (!err)
		show_sum(j, image, forms);
	if (j)
		json_put_end(j);
	return err;
}

static int show_all(const struct command *self, struct json_out *j, struct image *image)
{
	struct diag d = DIAG_INIT;
	struct forms forms;
	err_t err = forms_load(image, &forms, &d);
	if (!err && (err = show(j, image, &forms)))
		(void)fail_sys(&d, ERR_STORE, err, "an index of the store can not be read");
	forms_fini(&forms);
	return err ? cli_fail(self, &d) : 0;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct json_out json;
	struct cli_image ci;
	const char *reference;
	const struct option_row rows[] = {
		{0, "json", OPT_FLAG, &common.json, NULL, "one object (JSON.md)"},
		{0},
	};
	int status = cli_one_reference(self, argc, argv, rows, &common, false, &reference);
	if (status)
		return status;
	struct image_options options = image_options_of(&common);
	options.find_always = true;
	status = cli_open_image_with(self, &common, &options, reference, false, &ci);
	if (status)
		return status;
	json_out_start(&json, stdout, 3);
	status = show_all(self, common.json ? &json : NULL, ci.image);
	cli_close_image(&ci);
	return status;
}

const struct command index_show = {
	.name = "index show",
	.synopsis = "[--json] REF",
	.summary = "Show sizes and digests of an image's indexes, here and published",
	.details = "Nothing is built and no layer is read. The canonical digest is that of the "
		   "index's\n"
		   "uncompressed form: the same layer gives the same one on every machine. "
		   "'published'\n"
		   "is what travels: packed now from an index of the store, else as the published\n"
		   "index says that would be used; each part with its share of the layer's blob.",
	.examples = "imgfs index show docker.io/library/python:3.12\n"
		    "imgfs index show --json registry.example.com/app:1",
	.run = run,
};
