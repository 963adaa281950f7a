/*
 * A format is read from left to right; each directive is written by the function of its row, into
 * memory where a width has to be kept.
 */
#include "tools/directives.h"

#include "tools/format.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define WIDTH_MAX 1000 /* columns of one directive */

/* What a function gets: where to, of what, how names are shown, and what stands behind the letter.
 */
struct put {
	FILE *out;
	const struct candidate *c;
	put_name_fn put_name;
	char more; /* of the T directives: the letter behind */
};

static void put_path(const struct put *p)
{
	p->put_name(p->out, p->c->path);
}

static void put_base(const struct put *p)
{
	p->put_name(p->out, p->c->name);
}

/* The directory that the name stands in; empty for what lies in the root, as find(1) has it. */
static void put_parent(const struct put *p)
{
	const uint8_t *slash = memrchr(p->c->path.p, '/', p->c->path.n);
	p->put_name(p->out, (struct bytes){p->c->path.p, (size_t)(slash - p->c->path.p)});
}

static void put_start(const struct put *p)
{
	p->put_name(p->out, p->c->start);
}

static void put_below_start(const struct put *p)
{
	size_t skip = p->c->start.n + (p->c->start.n > 1);
	if (p->c->path.n > skip)
		p->put_name(p->out, (struct bytes){p->c->path.p + skip, p->c->path.n - skip});
}

static void put_target(const struct put *p)
{
	if (S_ISLNK(p->c->inode.mode))
		p->put_name(p->out, index_link_target(p->c->tree, p->c->row));
}

/* As stat(1) shows it: 'link' -> 'target'. */
static void put_quoted(const struct put *p)
{
	fputc('\'', p->out);
	put_path(p);
	fputc('\'', p->out);
	if (!S_ISLNK(p->c->inode.mode))
		return;
	fputs(" -> '", p->out);
	put_target(p);
	fputc('\'', p->out);
}

static void put_size(const struct put *p)
{
	fprintf(p->out, "%" PRIu64, p->c->inode.size);
}

static void put_mode(const struct put *p)
{
	fprintf(p->out, "%" PRIo32, p->c->inode.mode & 07777);
}

static void put_raw_mode(const struct put *p)
{
	fprintf(p->out, "%" PRIx32, p->c->inode.mode);
}

static void put_mode_text(const struct put *p)
{
	char text[FORMAT_TEXT_MAX];
	fputs(format_mode(p->c->inode.mode, text), p->out);
}

static void put_uid(const struct put *p)
{
	fprintf(p->out, "%" PRIu32, p->c->inode.uid);
}

static void put_gid(const struct put *p)
{
	fprintf(p->out, "%" PRIu32, p->c->inode.gid);
}

static void put_links(const struct put *p)
{
	fprintf(p->out, "%" PRIu32, p->c->inode.nlink);
}

static void put_depth(const struct put *p)
{
	fprintf(p->out, "%" PRIu64, p->c->depth);
}

static void put_row(const struct put *p)
{
	fprintf(p->out, "%" PRIu64, (uint64_t)p->c->row + 1);
}

static void put_type_letter(const struct put *p)
{
	static const char letters[16] = "?pc?d?b?f?l?s???";
	fputc(letters[(p->c->inode.mode & S_IFMT) >> 12], p->out);
}

/* The words of stat(1), which are not ours: it tells empty files from others. */
static void put_type_name(const struct put *p)
{
	static const char *const names[16] = {
		[S_IFIFO >> 12] = "fifo",	  [S_IFCHR >> 12] = "character special file",
		[S_IFDIR >> 12] = "directory",	  [S_IFBLK >> 12] = "block special file",
		[S_IFREG >> 12] = "regular file", [S_IFLNK >> 12] = "symbolic link",
		[S_IFSOCK >> 12] = "socket"};
	const char *name = names[(p->c->inode.mode & S_IFMT) >> 12];
	bool empty = S_ISREG(p->c->inode.mode) && !p->c->inode.size;
	fputs(empty ? "regular empty file" : name ? name : "weird file", p->out);
}

static void put_time(const struct put *p)
{
	char text[FORMAT_TEXT_MAX];
	fputs(format_time(p->c->inode.mtime, p->c->inode.mtime_ns, text), p->out);
}

/* The time zone as an offset, as stat(1) has it. */
static void put_time_offset(const struct put *p)
{
	char text[FORMAT_TEXT_MAX];
	format_time(p->c->inode.mtime, p->c->inode.mtime_ns, text);
	fprintf(p->out, "%.*s +0000", (int)strcspn(text, "U") - 1, text);
}

static void put_seconds(const struct put *p)
{
	fprintf(p->out, "%" PRId64, p->c->inode.mtime);
}

static void put_major(const struct put *p)
{
	fprintf(p->out, "%" PRIx32, p->c->inode.rdev_major);
}

static void put_minor(const struct put *p)
{
	fprintf(p->out, "%" PRIx32, p->c->inode.rdev_minor);
}

#define TIME_LETTERS "+YmdHMSTFjabAB" /* letters of strftime(3), and + for day and time */
#define TIME_FORMATS "%F+%T\n%Y\n%m\n%d\n%H\n%M\n%S\n%T\n%F\n%j\n%a\n%b\n%A\n%B\n"

/* %T@ and whatever shows seconds has a fraction of ten digits in find(1). */
static void put_time_part(const struct put *p)
{
	char text[300];
	time_t seconds = p->c->inode.mtime;
	struct tm tm;
	if (p->more == '@' || !gmtime_r(&seconds, &tm) ||
	    !strftime(text, sizeof(text), TIME_FORMATS, &tm)) {
		fprintf(p->out, "%" PRId64 ".%09" PRIu32 "0", p->c->inode.mtime,
			p->c->inode.mtime_ns);
		return;
	}
	const char *part = text;
	for (const char *letter = TIME_LETTERS; *letter != p->more; letter++)
		part = strchr(part, '\n') + 1;
	fprintf(p->out, "%.*s", (int)strcspn(part, "\n"), part);
	if (strchr("+ST", p->more))
		fprintf(p->out, ".%09" PRIu32 "0", p->c->inode.mtime_ns);
}

struct directive {
	char letter;
	void (*put)(const struct put *p);
	const char *more; /* letters of which one must follow; NULL: none */
};

static const struct directive find_table[] = {
	{'p', put_path, NULL},
	{'f', put_base, NULL},
	{'h', put_parent, NULL},
	{'H', put_start, NULL},
	{'P', put_below_start, NULL},
	{'l', put_target, NULL},
	{'s', put_size, NULL},
	{'m', put_mode, NULL},
	{'M', put_mode_text, NULL},
	{'u', put_uid, NULL},
	{'U', put_uid, NULL},
	{'g', put_gid, NULL},
	{'G', put_gid, NULL},
	{'n', put_links, NULL},
	{'d', put_depth, NULL},
	{'i', put_row, NULL},
	{'y', put_type_letter, NULL},
	{'t', put_time, NULL},
	{'T', put_time_part, "@" TIME_LETTERS},
	{0},
};
static const struct directive stat_table[] = {
	{'n', put_path, NULL},	    {'N', put_quoted, NULL},	{'s', put_size, NULL},
	{'a', put_mode, NULL},	    {'A', put_mode_text, NULL}, {'f', put_raw_mode, NULL},
	{'F', put_type_name, NULL}, {'u', put_uid, NULL},	{'g', put_gid, NULL},
	{'U', put_uid, NULL},	    {'G', put_gid, NULL},	{'h', put_links, NULL},
	{'i', put_row, NULL},	    {'Y', put_seconds, NULL},	{'y', put_time_offset, NULL},
	{'t', put_major, NULL},	    {'T', put_minor, NULL},	{0},
};

/* One directive of a format, or one character. */
struct piece {
	const struct directive *directive; /* NULL: the character stands for itself */
	char character;
	bool left, zero;
	unsigned width;
	char more;
	const char *bad; /* what is wrong; NULL: nothing */
};

static const struct directive *row_of(enum directive_table table, char letter)
{
	const struct directive *row = table == DIRECTIVES_FIND ? find_table : stat_table;
	for (; row->letter; row++)
		if (row->letter == letter)
			return row;
	return NULL;
}

/* Behind a %. Returns what follows. */
static const char *read_directive(enum directive_table table, const char *at, struct piece *out)
{
	if (*at == '%') {
		out->character = '%';
		return at + 1;
	}
	for (; *at == '-' || *at == '0'; at++) {
		out->left |= *at == '-';
		out->zero |= *at == '0';
	}
	for (; *at >= '0' && *at <= '9'; at++)
		out->width = min_of(out->width * 10 + (unsigned)(*at - '0'), (unsigned)WIDTH_MAX);
	out->directive = *at ? row_of(table, *at) : NULL;
	if (!out->directive) {
		out->bad = at;
		return at;
	}
	if (table == DIRECTIVES_FIND && *at != 'm' && *at != 'd')
		out->zero = false; /* find(1) prints all others as texts */
	at++;
	if (!out->directive->more)
		return at;
	out->more = *at;
	out->bad = *at && strchr(out->directive->more, *at) ? NULL : at;
	return at + (*at != 0);
}

/* Behind a \. */
static const char *read_escape(const char *at, struct piece *out)
{
	static const char letters[] = "abfnrtv\\", characters[] = "\a\b\f\n\r\t\v\\";
	const char *found = *at ? strchr(letters, *at) : NULL;
	if (found) {
		out->character = characters[found - letters];
		return at + 1;
	}
	if (*at < '0' || *at > '7') {
		out->bad = at;
		return at;
	}
	unsigned code = 0;
	for (int i = 0; i < 3 && *at >= '0' && *at <= '7'; i++)
		code = code * 8 + (unsigned)(*at++ - '0');
	out->character = (char)code;
	return at;
}

static const char *read_piece(enum directive_table table, const char *at, struct piece *out)
{
	*out = (struct piece){.character = *at};
	if (*at == '%')
		return read_directive(table, at + 1, out);
	if (*at == '\\' && table == DIRECTIVES_FIND)
		return read_escape(at + 1, out);
	return at + 1;
}

err_t directives_check(enum directive_table table, const char *format, struct diag *d)
{
	struct piece piece;
	for (const char *at = format, *next; *at; at = next) {
		next = read_piece(table, at, &piece);
		if (piece.bad && !*piece.bad)
			return fail(d, ERR_USAGE, -EINVAL, "the format ends behind '%s'", at);
		if (piece.bad)
			return fail(d, ERR_USAGE, -EINVAL, "the format has an unknown '%.*s'",
				    (int)(piece.bad - at + 1), at);
	}
	return 0;
}

static void put_padded(const struct piece *piece, struct put *p)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = p->out, *memory = open_memstream(&text, &n);
	if (!memory) {
		piece->directive->put(p);
		return;
	}
	p->out = memory;
	piece->directive->put(p);
	p->out = out;
	fclose(memory);
	size_t padding = piece->width > n ? piece->width - n : 0;
	if (piece->left)
		fwrite(text, 1, n, out);
	for (; padding; padding--)
		fputc(piece->zero && !piece->left ? '0' : ' ', out);
	if (!piece->left)
		fwrite(text, 1, n, out);
	free(text);
}

void directives_print(enum directive_table table, const char *format, const struct candidate *c,
		      put_name_fn put_name, FILE *out)
{
	struct put p = {.out = out, .c = c, .put_name = put_name};
	while (*format) {
		struct piece piece;
		format = read_piece(table, format, &piece);
		p.more = piece.more;
		if (!piece.directive)
			fputc(piece.character, out);
		else if (piece.width)
			put_padded(&piece, &p);
		else
			piece.directive->put(&p);
	}
}
