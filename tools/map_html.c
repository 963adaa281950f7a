/*
 * The page: the picture, a table of the files that were read, and, as one document of JSON, what
 * the script shows of each chunk. It refers to nothing outside; a policy in its head says so.
 */
#include "tools/json_out.h"
#include "tools/map_page.h"
#include "tools/map_svg_priv.h"

#include <inttypes.h>
#include <string.h>

#define NAMES_MAX 20000 /* of files in chunks that are here: some megabytes of page */
#define ROWS_MAX  2000	/* of the table */

/* --- names by chunk --- */

/* A name as people read it, as a JSON string. */
static void put_name(struct json_out *j, struct bytes path)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	BUG_ON(!out);
	format_name(out, path);
	BUG_ON(fclose(out));
	json_put_text(j, NULL, text);
	free(text);
}

struct naming {
	struct json_out *j;
	const struct map *m;
	const struct map_names *names;
	uint32_t layer;
	bool *was_read; /* by regular file */
	unsigned left;
};

static bool any_stored(const struct map_layer *l, uint32_t first, uint32_t last)
{
	for (uint32_t i = first; i <= last; i++)
		if (l->chunks[i].stored || l->chunks[i].read)
			return true;
	return false;
}

/* One run of a file, if it lies in this layer and something of it is here. */
static err_t put_run(struct naming *n, uint32_t row, bool was_read, const struct extent *run,
		     uint64_t len)
{
	const struct map_layer *l = &n->m->layers[n->layer];
	auto_buf struct buf path = {0};
	if (run->hole || map_layer_at(n->m, run->layer) != n->layer)
		return 0;
	uint32_t first = map_chunk_at(l, run->stream_off);
	uint32_t last = map_chunk_at(l, run->stream_off + len - 1);
	if (!any_stored(l, first, last) || n->left == 0)
		return 0;
	n->left--;
	err_t err = map_path_of(n->names, row, &path);
	if (err)
		return err;
	json_put_array(n->j, NULL);
	json_put_number(n->j, NULL, first);
	json_put_number(n->j, NULL, last);
	put_name(n->j, buf_bytes(&path));
	json_put_number(n->j, NULL, was_read);
	json_put_end(n->j);
	return 0;
}

static err_t put_files(struct naming *n)
{
	const struct index *tree = n->m->image->tree;
	const struct index_info *info = index_info(tree);
	err_t err = 0;
	for (uint32_t i = 0; i < info->n_regular && n->m->layers[n->layer].known; i++) {
		struct inode inode;
		index_inode(tree, info->n_dirs + i, &inode);
		for (uint64_t off = 0; off < inode.size && !err;) {
			struct extent run;
			index_extent(tree, info->n_dirs + i, off, &run);
			uint64_t len = min_of(run.len, inode.size - off);
			err = put_run(n, info->n_dirs + i, n->was_read[i], &run, len);
			off += len;
		}
	}
	return err;
}

static void put_chunks(struct json_out *j, const struct map_layer *l)
{
	json_put_array(j, "chunks");
	for (uint32_t i = 0; i < l->n_chunks; i++) {
		const struct map_chunk *c = &l->chunks[i];
		json_put_array(j, NULL);
		json_put_number(j, NULL, c->at);
		json_put_number(j, NULL, c->len);
		json_put_number(j, NULL,
				(c->stored ? 1 : 0) | (c->read ? 2 : 0) | (c->waited ? 4 : 0));
		json_put_number(j, NULL, c->who);
		json_put_number(j, NULL, c->wait_ms);
		json_put_end(j);
	}
	json_put_end(j);
}

static err_t put_data(struct naming *n)
{
	err_t err = 0;
	json_put_object(n->j, NULL);
	json_put_array(n->j, "layers");
	for (n->layer = 0; n->layer < n->m->n_layers && !err; n->layer++) {
		const struct map_layer *l = &n->m->layers[n->layer];
		json_put_object(n->j, NULL);
		json_put_number(n->j, "number", l->number);
		json_put_number(n->j, "size", l->blob_size);
		put_chunks(n->j, l);
		json_put_array(n->j, "files");
		err = put_files(n);
		json_put_end(n->j);
		json_put_end(n->j);
	}
	json_put_end(n->j);
	json_put_end(n->j);
	return err;
}

/* In a <script>, '<' could begin its end: inside JSON it only stands in strings, where it may be
 * written otherwise. */
static void put_script_safe(const char *text, size_t n, FILE *out)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] == '<')
			fputs("\\u003c", out);
		else
			putc(text[i], out);
}

static err_t data_script(const struct map *m, FILE *out)
{
	const struct index_info *info = index_info(m->image->tree);
	struct json_out j;
	struct naming n = {.j = &j, .m = m, .left = NAMES_MAX};
	struct map_names *names = map_names_new(m->image->tree);
	auto_free bool *was_read = try_array(info->n_regular + 1, sizeof(bool), UINT32_MAX);
	char *text = NULL;
	size_t len = 0;
	FILE *memory = open_memstream(&text, &len);
	BUG_ON(!memory);
	err_t err = names && was_read ? 0 : -ENOMEM;
	for (size_t i = 0; i < m->n_files && !err; i++)
		was_read[m->files[i].row - info->n_dirs] = true;
	n.names = names;
	n.was_read = was_read;
	json_out_start(&j, memory, 3);
	if (!err)
		err = put_data(&n);
	BUG_ON(fclose(memory));
	fprintf(out, "<script type=\"application/json\" id=\"data\">");
	put_script_safe(text, len, out);
	fprintf(out, "</script>\n");
	free(text);
	map_names_free(&names);
	return err;
}

/* --- the table --- */

static void cell(FILE *out, uint64_t value, const char *text)
{
	fprintf(out, "<td data-v=\"%" PRIu64 "\">%s</td>", value, text);
}

static void table_row(const struct map *m, const struct map_file *f, FILE *out)
{
	char text[FORMAT_TEXT_MAX];
	fprintf(out, "<tr><td>");
	svg_bytes(out, f->path, 0);
	fprintf(out, "</td>");
	cell(out, f->wait_ms, f->waits ? map_duration(f->wait_ms, text) : "-");
	snprintf(text, sizeof(text), "%u", f->waits);
	cell(out, f->waits, text);
	cell(out, f->longest_ms, f->waits ? map_duration(f->longest_ms, text) : "-");
	cell(out, f->read_bytes, format_size(f->read_bytes, text));
	cell(out, f->size, format_size(f->size, text));
	if (f->layer == MAP_NONE)
		fprintf(out, "<td data-v=\"-1\">-</td></tr>\n");
	else
		fprintf(out, "<td data-v=\"%u\">%u</td></tr>\n", m->layers[f->layer].number,
			m->layers[f->layer].number);
}

static void table(const struct map *m, FILE *out)
{
	size_t n = min_of(m->n_files, (size_t)ROWS_MAX);
	if (!n) {
		fprintf(out, "<p>No file was read yet.</p>\n<table><tbody></tbody></table>\n");
		return;
	}
	fprintf(out, "<div class=\"scroll\"><table>\n<thead><tr><th>File</th><th>Waited</th>"
		     "<th>Waits</th><th>Longest</th><th>Read</th><th>Size</th><th>Layer</th></tr>"
		     "</thead>\n<tbody>\n");
	for (size_t i = 0; i < n; i++)
		table_row(m, &m->files[i], out);
	fprintf(out, "</tbody></table></div>\n");
	if (n < m->n_files)
		fprintf(out, "<p>%zu more were read; 'imgfs map --json' has all.</p>\n",
			m->n_files - n);
}

/* --- the whole --- */

static void page_head(const struct map *m, FILE *out)
{
	fprintf(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		     "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
		     "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
		     "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n<title>");
	svg_bytes(out, BYTES_STR(m->reference), 0);
	fprintf(out, " - imgfs map</title>\n<style>\n");
	svg_style(out);
	fprintf(out, "%s</style>\n</head>\n<body>\n<main>\n", map_page_style);
}

err_t map_html(const struct map *m, FILE *out)
{
	page_head(m, out);
	fprintf(out, "<div id=\"picture\" class=\"scroll\">\n");
	map_svg(m, out, true);
	fprintf(out, "</div>\n<section id=\"zoom\" hidden><h2 id=\"zoom-title\"></h2>"
		     "<button class=\"plain\" id=\"close\">close</button><p id=\"zoom-text\"></p>"
		     "<div><canvas id=\"cells\"></canvas></div></section>\n"
		     "<section><h2>Files that were read</h2>\n"
		     "<p>Waited: the time in which at least one reader of the file waited for "
		     "bytes that "
		     "were not here. Read: its bytes in chunks that were read."
		     "<span class=\"only-scripted\"> A layer of the picture opens when it is "
		     "clicked.</span>"
		     "</p>\n<p class=\"only-scripted\"><input id=\"filter\" type=\"search\" "
		     "placeholder=\"part of a path\" aria-label=\"part of a path\"></p>\n");
	table(m, out);
	fprintf(out, "</section>\n<div id=\"tip\" role=\"status\" "
		     "hidden></div>\n</main>\n<footer>imgfs " IMGFS_VERSION "</footer>\n");
	err_t err = data_script(m, out);
	fprintf(out, "<script>\n%s</script>\n</body>\n</html>\n", map_page_script);
	return err;
}
