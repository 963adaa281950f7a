/*
 * The map for a terminal: a line for each layer, its bar made of characters, one for as many bytes
 * in every layer; what stands for what is told below. In plain ASCII where the terminal's
 * characters are not known to be UTF-8.
 */
#include "tools/format.h"
#include "tools/map.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define FILES_SHOWN 8
#define BAR_MIN	    10u
#define BAR_MAX	    160

/* What stands beside the bar, and how wide it is; the last ones go first where there is no room. */
enum column { COLUMN_NAME, COLUMN_SIZE, COLUMN_SHARES, COLUMN_WAITED, COLUMN_COUNT };
static const unsigned column_widths[COLUMN_COUNT] = {13, 11, 14, 11};

enum cell { CELL_ABSENT, CELL_HERE, CELL_READ, CELL_WAITED, CELL_COUNT };

struct look {
	FILE *out;
	const char *cells[CELL_COUNT];
	const char *colours[CELL_COUNT], *plain, *dim;
	unsigned width, bar, columns;
	bool utf8;
};

static struct look look_of(FILE *out, unsigned width, bool colours, bool utf8)
{
	static const char *const wide[] = {"░", "▒", "█", "█"};
	static const char *const ascii[] = {".", "-", "#", "!"};
	static const char *const sgr[] = {"\033[2m", "\033[36m", "\033[34m", "\033[31m"};
	struct look k = {.out = out,
			 .width = width,
			 .utf8 = utf8,
			 .plain = "",
			 .dim = "",
			 .columns = COLUMN_COUNT};
	unsigned beside = 0;
	for (unsigned i = 0; i < CELL_COUNT; i++) {
		k.cells[i] = utf8 ? wide[i] : ascii[i];
		k.colours[i] = colours ? sgr[i] : "";
	}
	/* Without a colour the two blocks would be one. */
	if (utf8 && !colours)
		k.cells[CELL_WAITED] = "▀";
	if (colours) {
		k.plain = "\033[m";
		k.dim = "\033[2m";
	}
	for (unsigned i = 0; i < COLUMN_COUNT; i++)
		beside += column_widths[i];
	while (k.columns > 1 && beside + BAR_MIN > width)
		beside -= column_widths[--k.columns];
	k.bar = width > beside + BAR_MIN ? min_of(width - beside, (unsigned)BAR_MAX) : BAR_MIN;
	return k;
}

/* --- bars --- */

/* What is told of the bytes [from, to) of a blob: the most that happened to any of them. */
static enum cell cell_of(const struct map_layer *l, uint64_t from, uint64_t to)
{
	enum cell cell = l->kept && !l->known ? CELL_HERE : CELL_ABSENT;
	for (uint32_t i = 0; i < l->n_chunks; i++) {
		const struct map_chunk *c = &l->chunks[i];
		if (c->at + c->len <= from || c->at >= to)
			continue;
		enum cell own = c->waited   ? CELL_WAITED
				: c->read   ? CELL_READ
				: c->stored ? CELL_HERE
					    : CELL_ABSENT;
		cell = max_of(cell, own);
	}
	return cell;
}

static unsigned bar_length(const struct map *m, const struct map_layer *l, unsigned longest)
{
	uint64_t largest = 1;
	for (uint32_t i = 0; i < m->n_layers; i++)
		largest = max_of(largest, m->layers[i].blob_size);
	double len = longest * sqrt((double)l->blob_size / (double)largest);
	return max_of((unsigned)(len + 0.5), 1u);
}

static void draw_bar(const struct look *k, const struct map *m, const struct map_layer *l)
{
	unsigned len = bar_length(m, l, k->bar);
	const char *colour = "";
	for (unsigned i = 0; i < len; i++) {
		enum cell cell = cell_of(l, l->blob_size * i / len, l->blob_size * (i + 1) / len);
		if (strcmp(colour, k->colours[cell]) != 0)
			fprintf(k->out, "%s%s", *colour ? k->plain : "", k->colours[cell]);
		colour = k->colours[cell];
		fputs(k->cells[cell], k->out);
	}
	fputs(*colour ? k->plain : "", k->out);
	fprintf(k->out, "%*s", (int)(k->bar - len), "");
}

static void draw_layer(const struct look *k, const struct map *m, const struct map_layer *l)
{
	char size[FORMAT_TEXT_MAX], wait[64];
	double whole = l->blob_size ? (double)l->blob_size : 1;
	fprintf(k->out, "%3u %.8s ", l->number, l->name);
	draw_bar(k, m, l);
	if (k->columns > COLUMN_SIZE)
		fprintf(k->out, " %10s", format_size(l->blob_size, size));
	if (k->columns > COLUMN_SHARES && l->known)
		fprintf(k->out, " %4.0f %% %4.0f %%", 100 * (double)l->stored_bytes / whole,
			100 * (double)l->read_bytes / whole);
	else if (k->columns > COLUMN_SHARES)
		fprintf(k->out, "   not indexed");
	if (k->columns > COLUMN_WAITED)
		fprintf(k->out, " %10s", l->waits ? map_duration(l->wait_ms, wait) : "-");
	fputc('\n', k->out);
}

static void draw_columns(const struct look *k)
{
	fprintf(k->out, "    LAYER    %*s", (int)k->bar, "");
	if (k->columns > COLUMN_SIZE)
		fprintf(k->out, " %10s", "SIZE");
	if (k->columns > COLUMN_SHARES)
		fprintf(k->out, " %6s %6s", "HERE", "READ");
	if (k->columns > COLUMN_WAITED)
		fprintf(k->out, " %10s", "WAITED");
	fputc('\n', k->out);
}

/* --- lines --- */

static unsigned count_columns(const char *text, size_t n)
{
	unsigned count = 0;
	for (size_t i = 0; i < n; count++)
		i += max_of(format_utf8_len((const uint8_t *)text + i, n - i), (size_t)1);
	return count;
}

/* A space, or a new line where the next word would pass the width; returns where that begins. */
static unsigned put_gap(const struct look *k, unsigned column, unsigned next)
{
	bool fits = column + 1 + next <= k->width;
	if (column)
		fputc(fits ? ' ' : '\n', k->out);
	return column && fits ? column + 1 : 0;
}

/*
 * Words, with a new line before one that would pass the width.
 * @column  where the last line ended; returns where it ends now
 */
static unsigned put_words(const struct look *k, const char *text, size_t n, unsigned column)
{
	for (size_t i = 0, len; i < n; i += len + 1) {
		const char *end = memchr(text + i, ' ', n - i);
		len = end ? (size_t)(end - text) - i : n - i;
		unsigned columns = count_columns(text + i, len);
		column = put_gap(k, column, columns) + columns;
		fwrite(text + i, 1, len, k->out);
	}
	return column;
}

/* A line of parts with semicolons between them, where it is broken first. */
static void put_line(const struct look *k, const char *text)
{
	unsigned column = 0;
	for (const char *part = text, *next; part; part = next) {
		const char *end = strstr(part, "; ");
		size_t n = end ? (size_t)(end - part) + 1 : strlen(part);
		next = end ? end + 2 : NULL;
		if (column && column + 1 + count_columns(part, n) > k->width) {
			fputc('\n', k->out);
			column = 0;
		}
		column = put_words(k, part, n, column);
	}
	fputc('\n', k->out);
}

static void draw_head(const struct look *k, const struct map *m)
{
	char size[FORMAT_TEXT_MAX], here[FORMAT_TEXT_MAX], percent[FORMAT_TEXT_MAX], wait[64],
		read[FORMAT_TEXT_MAX];
	auto_free char *source = map_source_text(m);
	auto_free char *sizes = xasprintf(
		"%s in %u layer%s; %s of it here (%s)%s%s%s", format_size(m->size, size),
		m->n_layers, m->n_layers == 1 ? "" : "s", format_size(m->stored_bytes, here),
		format_percent(m->stored_bytes, m->size, percent), m->read_bytes ? "; " : "",
		m->read_bytes ? format_size(m->read_bytes, read) : "",
		m->read_bytes ? " in chunks that were read" : "");
	auto_free char *reads =
		xasprintf("%" PRIu64 " read%s of %s; %" PRIu64 " waited, for %s altogether",
			  m->reads, m->reads == 1 ? "" : "s", format_size(m->asked_bytes, size),
			  m->waits_seen, map_duration(m->wait_ms, wait));
	format_name(k->out, BYTES_STR(m->reference));
	fputc('\n', k->out);
	put_line(k, source);
	put_line(k, sizes);
	if (m->origin == MAP_LIVE || m->origin == MAP_LAST)
		put_line(k, reads);
	fputc('\n', k->out);
}

static void draw_legend(const struct look *k)
{
	static const char *const words[] = {"not here", "in the store", "read", "waited for"};
	unsigned column = 0;
	for (unsigned i = 0; i < CELL_COUNT; i++) {
		unsigned len = 2 + (unsigned)strlen(words[i]);
		bool fits = column + 3 + len <= k->width;
		fprintf(k->out, "%s%s%s%s %s",
			!i     ? ""
			: fits ? "   "
			       : "\n",
			k->colours[i], k->cells[i], k->plain, words[i]);
		column = i && fits ? column + 3 + len : len;
	}
	fprintf(k->out, "\n%s", k->dim);
	put_line(k, "a bar is as long as the square root of the compressed size; a character shows "
		    "the most that happened in it");
	fputs(k->plain, k->out);
}

static void draw_files(const struct look *k, const struct map *m)
{
	bool by_time = m->n_files && m->files[0].waits;
	char text[FORMAT_TEXT_MAX];
	if (!m->n_files)
		return;
	fprintf(k->out, "\n%10s  %s\n", by_time ? "WAITED" : "READ", "FILE");
	for (size_t i = 0; i < min_of(m->n_files, (size_t)FILES_SHOWN); i++) {
		const struct map_file *f = &m->files[i];
		if (by_time && !f->waits)
			break;
		fprintf(k->out, "%10s  ",
			by_time ? map_duration(f->wait_ms, text)
				: format_size(f->read_bytes, text));
		format_name(k->out, f->path);
		fputc('\n', k->out);
	}
}

void map_text(const struct map *m, FILE *out, unsigned width, bool colours, bool utf8)
{
	struct look k = look_of(out, width, colours, utf8);
	draw_head(&k, m);
	draw_columns(&k);
	for (uint32_t i = 0; i < m->n_layers; i++)
		draw_layer(&k, m, &m->layers[i]);
	fputc('\n', out);
	draw_legend(&k);
	draw_files(&k, m);
}
