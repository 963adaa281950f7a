/*
 * imgfs index show: sizes and identity of the indexes that the store has for an image. Nothing is
 * built and no layer is read.
 */
#include "tools/cmd_index_priv.h"
#include "tools/format.h"
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

static err_t show_layer(struct json_out *j, struct image *image, size_t i)
{
	const struct descriptor *desc = &image->manifest.layers[i].desc;
	struct index *ix = NULL;
	char digest[DIGEST_TEXT_MAX];
	err_t err = index_layer_of_store(image, i, &ix);
	if (!j) {
		printf("layer %zu %s\n", i, digest_text(&desc->digest, digest));
		return show_index(NULL, ix, err);
	}
	json_put_object(j, NULL);
	json_put_number(j, "number", i);
	json_digest(j, "digest", &desc->digest);
	json_put_number(j, "blob_size", desc->size);
	json_put_bool(j, "indexed", !err);
	err = show_index(j, ix, err);
	json_put_end(j);
	return err;
}

static err_t show_image(struct json_out *j, struct image *image)
{
	struct index *ix = NULL;
	err_t err = index_image_of_store(image, &ix);
	if (!j) {
		printf("image\n");
		return show_index(NULL, ix, err);
	}
	json_put_object(j, "image");
	json_put_bool(j, "indexed", !err);
	err = show_index(j, ix, err);
	json_put_end(j);
	return err;
}

static err_t show(struct json_out *j, struct image *image)
{
	err_t err = 0;
	if (j) {
		json_put_object(j, NULL);
		json_put_array(j, "layers");
	}
	for (size_t i = 0; i < image->manifest.n_layers && !err; i++)
		err = show_layer(j, image, i);
	if (j)
		json_put_end(j);
	if (!err)
		err = show_image(j, image);
	if (j)
		json_put_end(j);
	return err;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct diag d = DIAG_INIT;
	struct json_out json;
	struct cli_image ci;
	const char *reference;
	const struct option_row rows[] = {
		{0, "json", OPT_FLAG, &common.json, NULL, "one object (tools/JSON.md)"},
		{0},
	};
	int status = cli_one_reference(self, argc, argv, rows, &common, false, &reference);
	if (status)
		return status;
	status = cli_open_image(self, &common, reference, false, &ci);
	if (status)
		return status;
	json_out_start(&json, stdout, 3);
	err_t err = show(common.json ? &json : NULL, ci.image);
	if (err) {
		(void)fail_sys(&d, ERR_STORE, err, "an index of the store can not be read");
		status = cli_fail(self, &d);
	}
	cli_close_image(&ci);
	return status;
}

const struct command index_show = {
	.name = "index show",
	.synopsis = "[--json] REF",
	.summary = "Show sizes and digests of the indexes that the store has of an image",
	.details = "Nothing is built and no layer is read. The canonical digest is that of the "
		   "index's\n"
		   "uncompressed form: the same layer gives the same one on every machine.",
	.run = run,
};
