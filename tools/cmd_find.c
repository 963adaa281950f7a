/*
 * imgfs find: a walk over directories of an image, in order of their names, that asks an expression
 * about each. Words of the expression are taken out of the command line first, since they begin
 * with one dash; what is left is parsed as for any other command.
 */
#include "tools/directives.h"
#include "tools/find.h"
#include "tools/format.h"
#include "tools/look.h"
#include "tools/terminal.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TESTS_MAX 64 /* names that a suggestion looks at; there are fewer */

struct finder {
	const struct command *self;
	const struct index *tree;
	struct expression *expression;
	uint64_t depth_min, depth_max;
	put_name_fn put_name;
	bool as_json, quit;
	bool below_first; /* -depth */
	struct json_out json;
	struct buf path;
	size_t start_len; /* of the path that this walk began with */
};

/* The command line, apart. */
struct words {
	char **tests, **others; /* owned; the words are argv's */
	size_t n_tests;
	int n_others;
};

static void words_fini(struct words *w)
{
	free(w->tests);
	free(w->others);
	*w = (struct words){0};
}

/* Tests of find(1) that can not be here, and what to do instead. */
static const char *advice(const char *word)
{
	static const char exec[] = "send -print0 to 'xargs -0', or mount the image";
	static const char times[] =
		"an image knows times of modification only: -mtime, -mmin, -newer";
	static const char numbers[] = "an image has numbers for owners, with or without a name: "
				      "-uid, -gid";
	static const char one[] = "an image is one file system";
	static const char regex[] = "use -path, where * matches slashes too";
	static const char access[] = "it depends on who asks: -perm tells the bits";
	static const char file[] = "send the output there with >";
	static const struct {
		const char *name, *text;
	} rows[] = {
		{"-exec", exec},
		{"-execdir", exec},
		{"-ok", exec},
		{"-okdir", exec},
		{"-delete", "an image is read-only"},
		{"-atime", times},
		{"-amin", times},
		{"-anewer", times},
		{"-ctime", times},
		{"-cmin", times},
		{"-cnewer", times},
		{"-used", times},
		{"-daystart", "-newermt takes a date and a time"},
		{"-regex", regex},
		{"-iregex", regex},
		{"-regextype", regex},
		{"-inum", "use -samefile PATH"},
		{"-follow", "symlinks are not followed"},
		{"-xtype", "symlinks are not followed"},
		{"-nouser", numbers},
		{"-nogroup", numbers},
		{"-fstype", one},
		{"-xdev", one},
		{"-mount", one},
		{"-readable", access},
		{"-writable", access},
		{"-executable", access},
		{"-fprint", file},
		{"-fprint0", file},
		{"-fprintf", file},
		{"-fls", file},
		{"-context", "use 'imgfs stat', which shows all attributes"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!strcmp(rows[i].name, word))
			return rows[i].text;
	return NULL;
}

/* "-nmae": one dash and more than the clusters -vv, -q, which are options of every command. */
static bool is_unknown_test(const char *word)
{
	return word[0] == '-' && word[1] && word[1] != '-' && word[2] &&
	       word[1 + strspn(word + 1, "vq")];
}

static const char *nearest_test(const char *word)
{
	const char *words[TESTS_MAX + 1] = {0}, *name;
	for (size_t i = 0; i < TESTS_MAX && (name = find_primary_name(i)); i++)
		words[i] = name;
	return cli_nearest(word, words);
}

static int unknown_test(const struct command *self, const char *word)
{
	const char *near = nearest_test(word), *instead = advice(word);
	if (instead)
		return cli_usage_error(self, "there is no '%s': %s", word, instead);
	return cli_usage_error(self, "unknown test '%s'%s%s%s", word,
			       near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int split_words(const struct command *self, int argc, char **argv, struct words *out)
{
	out->tests = xcalloc((size_t)argc + 1, sizeof(*out->tests));
	out->others = xcalloc((size_t)argc + 1, sizeof(*out->others));
	for (int i = 0; i < argc; i++) {
		int more = i ? find_arity(argv[i]) : -1;
		if (more >= 0) {
			out->tests[out->n_tests++] = argv[i];
			if (more && i + 1 < argc)
				out->tests[out->n_tests++] = argv[++i];
			continue;
		}
		if (is_unknown_test(argv[i]))
			return unknown_test(self, argv[i]);
		if (out->n_tests && argv[i][0] != '-')
			return cli_usage_error(self,
					       "'%s' stands behind the tests: the reference and "
					       "paths come before them, patterns need quotes",
					       argv[i]);
		out->others[out->n_others++] = argv[i];
	}
	return 0;
}

/* As `ls -l` does it, without a look at the other lines. */
static void print_long(const struct finder *f, const struct candidate *c)
{
	char mode[FORMAT_TEXT_MAX], date[FORMAT_TEXT_MAX], size[FORMAT_TEXT_MAX];
	if (S_ISCHR(c->inode.mode) || S_ISBLK(c->inode.mode))
		snprintf(size, sizeof(size), "%" PRIu32 ", %" PRIu32, c->inode.rdev_major,
			 c->inode.rdev_minor);
	else
		snprintf(size, sizeof(size), "%" PRIu64, c->inode.size);
	printf("%s %3" PRIu32 " %5" PRIu32 " %5" PRIu32 " %10s %s ",
	       format_mode(c->inode.mode, mode), c->inode.nlink, c->inode.uid, c->inode.gid, size,
	       format_minute(c->inode.mtime, date));
	f->put_name(stdout, c->path);
	if (S_ISLNK(c->inode.mode)) {
		fputs(" -> ", stdout);
		f->put_name(stdout, index_link_target(c->tree, c->row));
	}
	putchar('\n');
}

static void act(void *context, const struct candidate *c, enum primary_kind action,
		const char *text)
{
	struct finder *f = context;
	switch (action) {
	case PRIMARY_LS:
		print_long(f, c);
		break;
	case PRIMARY_PRINTF:
		directives_print(DIRECTIVES_FIND, text, c, f->put_name, stdout);
		break;
	case PRIMARY_PRINT0:
		format_raw(stdout, c->path);
		putchar('\0');
		break;
	default:
		if (f->as_json) {
			look_json_entry(&f->json, c->tree, c->row, c->path, c->name);
			break;
		}
		f->put_name(stdout, c->path);
		putchar('\n');
	}
}

static err_t visit(struct finder *f, uint32_t row, struct bytes name, uint64_t depth);

static err_t visit_below(struct finder *f, uint32_t dir, uint64_t depth)
{
	struct listing l;
	err_t err = listing_load(f->tree, dir, true, &l);
	for (uint32_t i = 0; !err && i < l.n && !f->quit && !ferror(stdout); i++) {
		size_t before;
		err = path_push(&f->path, l.entries[i].name, &before);
		if (!err)
			err = visit(f, l.entries[i].row, l.entries[i].name, depth);
		f->path.n = before;
	}
	listing_fini(&l);
	return err;
}

/* Whether what is below is of no interest. */
static bool test(struct finder *f, uint32_t row, struct bytes name, uint64_t depth)
{
	struct candidate c = {.tree = f->tree,
			      .row = row,
			      .path = buf_bytes(&f->path),
			      .name = name,
			      .start = {f->path.p, f->start_len},
			      .depth = depth};
	struct find_outcome outcome = {0};
	index_inode(f->tree, row, &c.inode);
	if (depth >= f->depth_min)
		(void)expression_eval(f->expression, &c, act, f, &outcome);
	f->quit = outcome.quit;
	return outcome.prune;
}

static err_t visit(struct finder *f, uint32_t row, struct bytes name, uint64_t depth)
{
	bool prune = !f->below_first && test(f, row, name, depth);
	bool is_dir = row < index_info(f->tree)->n_dirs;
	err_t err = 0;
	if (is_dir && !prune && !f->quit && depth < f->depth_max)
		err = visit_below(f, row, depth + 1);
	if (f->below_first && !err && !f->quit)
		(void)test(f, row, name, depth);
	return err;
}

static int find_below(struct finder *f, char *path)
{
	struct diag d = DIAG_INIT;
	uint32_t row;
	int status = look_up_listed(f->self, f->tree, path, false, &row);
	if (status)
		return status;
	const char *slash = strrchr(path, '/');
	err_t err = buf_append(&f->path, path, strlen(path));
	f->start_len = f->path.n;
	if (!err)
		err = visit(f, row, BYTES_STR(slash[1] ? slash + 1 : slash), 0);
	f->path.n = 0;
	if (!err)
		return 0;
	(void)fail_sys(&d, ERR_OTHER, err, "%s", path);
	return cli_fail(f->self, &d);
}

static int find_paths(struct finder *f, char **typed)
{
	struct path_list paths = {0};
	struct diag d = DIAG_INIT;
	if (expression_bind(f->expression, f->tree, &d))
		return cli_fail(f->self, &d);
	int status = look_paths(f->self, f->tree, typed, &paths);
	if (f->as_json)
		json_put_array(&f->json, NULL);
	for (size_t i = 0; i < paths.n && !f->quit; i++) {
		int failed = find_below(f, paths.paths[i]);
		status = status ? status : failed;
	}
	if (f->as_json)
		json_put_end(&f->json);
	path_list_fini(&paths);
	buf_fini(&f->path);
	return status;
}

static err_t check_format(const char *format, struct diag *d)
{
	return directives_check(DIRECTIVES_FIND, format, d);
}

static int parse_tests(struct finder *f, const struct words *words)
{
	struct diag d = DIAG_INIT;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	struct find_time moment = {now.tv_sec, (uint32_t)now.tv_nsec};
	err_t err = expression_parse(words->tests, words->n_tests, moment, &f->expression, &d);
	if (!err)
		err = expression_check(f->expression, PRIMARY_PRINTF, check_format, &d);
	if (err)
		return cli_usage_error(f->self, "%s", d.text);
	if (f->as_json && (expression_has(f->expression, PRIMARY_PRINT0) ||
			   expression_has(f->expression, PRIMARY_LS) ||
			   expression_has(f->expression, PRIMARY_PRINTF)))
		return cli_usage_error(f->self, "--json goes with -print only");
	expression_depths(f->expression, &f->depth_min, &f->depth_max);
	f->below_first = expression_has(f->expression, PRIMARY_DEPTH);
	return 0;
}

static int find_image(struct finder *f, const struct words *words)
{
	struct common_options common = {0};
	struct cli_image ci;
	char **operands;
	const struct option_row rows[] = {
		{0, "json", OPT_FLAG, &common.json, NULL, "an array of objects (JSON.md)"},
		{0},
	};
	int n = cli_parse(f->self, words->n_others, words->others, rows, &common, &operands);
	f->as_json = common.json;
	if (n < 1)
		return cli_usage_error(f->self, "a reference is missing");
	int status = parse_tests(f, words);
	if (!status)
		status = cli_open_image(f->self, &common, operands[0], true, &ci);
	if (status)
		return status;
	f->tree = ci.image->tree;
	json_out_start(&f->json, stdout, 1);
	status = find_paths(f, operands + 1);
	cli_close_image(&ci);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct finder f = {.self = self};
	/* Static, since a description leaves from within, and may be asked for again. */
	static struct words words;
	words_fini(&words);
	f.put_name = terminal_is(STDOUT_FILENO) ? format_name : format_raw;
	int status = split_words(self, argc, argv, &words);
	if (!status)
		status = find_image(&f, &words);
	expression_free(&f.expression);
	words_fini(&words);
	return status;
}

const struct command cmd_find = {
	.name = "find",
	.synopsis = "[--json] REF [PATH...] [TEST...]",
	.summary = "Search an image for files by name, type, size and other attributes",
	.details =
		"Nothing of the files is fetched. Every file below the paths is tested,\n"
		"directories in order of their names; symlinks are not followed. Tests and\n"
		"actions are those of find(1):\n"
		"  -name, -iname, -path, -wholename, -ipath, -lname, -ilname PATTERN\n"
		"  -type f|d|l|b|c|p|s (several: f,d)\n"
		"  -perm MODE, -MODE (all of), /MODE (any of)\n"
		"  -size [+-]N[cwbkMG]     -empty    -links, -uid, -gid [+-]N    -user, -group N\n"
		"  -mtime, -mmin [+-]N     -newer PATH (of the image)    -newermt DATE (UTC)\n"
		"  -samefile PATH    -true    -false    -maxdepth, -mindepth N    -depth\n"
		"  ( ... )   ! TEST   TEST TEST   TEST -o TEST   TEST , TEST\n"
		"  -print   -print0   -ls   -printf FORMAT   -prune   -quit\n"
		"Sizes are rounded up to their unit, as find(1) does: -size -1M finds empty\n"
		"files only, -size -1000k what is smaller. In -printf, %p %f %h %H %P %l are\n"
		"names, %s %m %M %U %G %n %y %d %i %t %T@ %TY... attributes; %i is a number of\n"
		"this image.",
	.examples = "imgfs find docker.io/library/python:3.12 -name '*.so' -size +1M\n"
		    "# what runs with the rights of another user\n"
		    "imgfs find alpine -type f -perm /6000 -ls\n"
		    "# the ten largest files\n"
		    "imgfs find alpine /usr -type f -printf '%s %p\\n' | sort -rn | head\n"
		    "imgfs find alpine '/usr/lib/*' -newermt 2024-01-01 ! -type d",
	.run = run,
};
