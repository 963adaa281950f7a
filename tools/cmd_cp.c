/*
 * imgfs cp: files and directories out of images, with the manners of cp(1). Here it is decided what
 * lands where; copy_plan lists it, copy carries it out.
 */
#include "tools/copy.h"
#include "tools/image_path.h"
#include "tools/interrupt.h"
#include "tools/look.h"
#include "tools/read_pipe.h"
#include "tools/text.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct cp_options {
	bool archive, follow, no_follow, force, no_clobber, recursive;
};

/* Where sources land: in the directory `fd`, under a name of their own or under `name`. */
struct destination {
	int fd;
	char *text;	  /* the directory as typed; owned */
	const char *name; /* NULL: each its own */
};

struct cp {
	const struct command *self;
	const struct common_options *common;
	struct extract_options extract;
	enum copy_follow follow;
	const char *typed; /* DEST */
	struct extract_lost lost;
	uint64_t budget_s; /* --read-budget */
	int stream;	   /* DEST, where bytes are written to as it is: '-', a device, a fifo;
			    * -1: files are made */
	struct landed
		*landed; /* names that sources have landed as, in the order in which they did */
	size_t n_landed, cap_landed;
};

struct landed {
	char *name;
	bool is_dir;
};

/* --- the destination --- */

static int destination_fail(const struct command *self, const char *typed, err_t err)
{
	struct diag d = DIAG_INIT;
	if (err == -ENOENT)
		(void)fail(&d, ERR_OTHER, err, "%s: no such directory; create it first", typed);
	else
		(void)fail_sys(&d, err == -EACCES ? ERR_DENIED : ERR_OTHER, err, "%s", typed);
	return cli_fail(self, &d);
}

static bool ends_in_slash(const char *text)
{
	size_t n = strlen(text);
	return n && text[n - 1] == '/';
}

/* What has no directory of its name yet: it will be made, in the directory in front of it. */
static int destination_new(const struct cp *cp, bool is_dir, struct destination *to)
{
	const char *typed = cp->typed, *slash;
	size_t end = strlen(typed);
	if (ends_in_slash(typed) && !is_dir)
		return destination_fail(cp->self, typed, -ENOENT);
	while (end && typed[end - 1] == '/')
		end--;
	auto_free char *path = xstrndup(typed, end);
	slash = strrchr(path, '/');
	size_t parent = slash ? (size_t)(slash - path) : 0;
	to->text = !slash ? xstrdup(".") : parent ? xstrndup(path, parent) : xstrdup("/");
	/* Without the slashes at its end, which may stand behind it in argv. */
	const char *name = typed + (slash ? parent + 1 : 0);
	if (end == 0 || end - (size_t)(name - typed) > INDEX_NAME_MAX)
		return destination_fail(cp->self, typed, end ? -ENAMETOOLONG : -ENOENT);
	if (!strcmp(name, "..") || !strcmp(name, "."))
		return destination_fail(cp->self, typed, -ENOENT);
	to->fd = open(to->text, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (to->fd < 0)
		return destination_fail(cp->self, to->text, -errno);
	to->name = name;
	return 0;
}

static int destination_open(const struct cp *cp, bool several, bool is_dir, struct destination *to)
{
	struct stat st;
	struct diag d = DIAG_INIT;
	*to = (struct destination){.fd = -1};
	bool there = stat(cp->typed, &st) == 0;
	if (there && S_ISDIR(st.st_mode)) {
		to->text = xstrdup(cp->typed);
		while (strlen(to->text) > 1 && ends_in_slash(to->text))
			to->text[strlen(to->text) - 1] = '\0';
		to->fd = open(cp->typed, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return to->fd < 0 ? destination_fail(cp->self, cp->typed, -errno) : 0;
	}
	if (!there && errno != ENOENT)
		return destination_fail(cp->self, cp->typed, -errno);
	if (!several)
		return destination_new(cp, is_dir, to);
	(void)fail(&d, ERR_OTHER, -ENOTDIR, "%s: %s; several sources need a directory to land in",
		   cp->typed, there ? "is not a directory" : "no such directory");
	return cli_fail(cp->self, &d);
}

static void destination_close(struct destination *to)
{
	if (to->fd >= 0)
		close(to->fd);
	free(to->text);
}

/* --- one image --- */

static int say_interrupted(const struct command *self, int status)
{
	if (!interrupt_signal())
		return status;
	fprintf(stderr, "imgfs %s: interrupted\n", self->name);
	return 128 + interrupt_signal();
}

static int run_plan(struct cp *cp, struct image *image, const struct copy_plan *plan,
		    const struct destination *to)
{
	struct diag d = DIAG_INIT;
	const struct content_options options = {.budget_s = (unsigned)cp->budget_s,
						.workers = READ_PIPE_WORKERS};
	struct content *content;
	err_t err = content_new(image, &options, &content, &d);
	if (err)
		return cli_fail(cp->self, &d);
	interrupt_watch(image->source);
	const char *name = cp->stream == STDOUT_FILENO ? NULL : cp->typed;
	int status = cp->stream >= 0 ? copy_to(cp->self, plan, content, cp->stream, name)
				     : copy_run(cp->self, plan, content, &cp->extract, to->fd,
						to->text, &cp->lost);
	interrupt_unwatch();
	content_free(&content);
	return say_interrupted(cp->self, status);
}

static int fill_and_run(struct cp *cp, struct image *image, struct copy_plan *plan, bool several)
{
	struct destination to = {.fd = -1};
	struct diag d = DIAG_INIT;
	bool is_dir = copy_plan_is_dir(plan, 0);
	int status = 0;
	if (cp->stream >= 0 && plan->n > 1)
		(void)fail(&d, ERR_OTHER, -ENOTDIR, "%s: one file at a time goes there", cp->typed);
	else if (cp->stream >= 0 && is_dir)
		(void)fail(&d, ERR_OTHER, -EISDIR,
			   "%s: is a directory; 'imgfs export' writes it as a tar",
			   plan->entries[0].source);
	else if (cp->stream >= 0 && !copy_plan_is_regular(plan, 0))
		(void)fail(&d, ERR_OTHER, -EINVAL, "%s: is not a regular file",
			   plan->entries[0].source);
	if (*d.text)
		return cli_fail(cp->self, &d);
	if (cp->stream < 0)
		status = destination_open(cp, several, is_dir, &to);
	auto_free char *name = to.name ? xstrndup(to.name, strcspn(to.name, "/")) : NULL;
	if (!status && name)
		plan->entries[0].name = BYTES_STR(name);
	int listed = status ? 0 : copy_plan_fill(cp->self, plan);
	if (!status)
		status = run_plan(cp, image, plan, &to);
	destination_close(&to);
	return status ? status : listed;
}

/* What was typed, or what a pattern matches. */
static int find_paths(const struct cp *cp, const struct index *tree, char *typed,
		      struct path_list *out)
{
	char *words[] = {typed, NULL};
	if (text_is_pattern(typed))
		return look_paths(cp->self, tree, words, out);
	if (!path_list_add(out, typed))
		return 0;
	struct diag d = DIAG_INIT;
	(void)fail(&d, ERR_OTHER, -ENOMEM, "out of memory");
	return cli_fail(cp->self, &d);
}

/* Two sources of one name would land on each other; directories are merged. */
static int add_source(struct cp *cp, struct copy_plan *plan, const char *path)
{
	struct diag d = DIAG_INIT;
	int status = copy_plan_add(cp->self, plan, path, NULL);
	if (status)
		return status;
	struct bytes name = plan->entries[plan->n - 1].name;
	bool is_dir = copy_plan_is_dir(plan, plan->n - 1);
	for (size_t i = 0; i < cp->n_landed; i++) {
		const struct landed *l = &cp->landed[i];
		if (!bytes_equal_str(name, l->name) || (is_dir && l->is_dir))
			continue;
		plan->n--;
		(void)fail(&d, ERR_OTHER, -EEXIST,
			   "%s: another source lands as '%s', too; left out", path, l->name);
		return cli_fail(cp->self, &d);
	}
	if (!name.n || !try_grow(&cp->landed, cp->n_landed, &cp->cap_landed, sizeof(*cp->landed)))
		return 0;
	cp->landed[cp->n_landed++] =
		(struct landed){xstrndup((const char *)name.p, name.n), is_dir};
	return 0;
}

/* Sources of one image: their paths. */
static int copy_image(struct cp *cp, const char *reference, char *const *paths, size_t n,
		      bool several)
{
	struct cli_image ci;
	struct copy_plan plan = {.follow = cp->follow};
	int status = cli_open_image(cp->self, cp->common, reference, true, &ci), done = 0;
	if (status)
		return status;
	plan.tree = ci.image->tree;
	struct path_list found = {0};
	for (size_t i = 0; i < n; i++) {
		int failed = find_paths(cp, plan.tree, paths[i], &found);
		status = status ? status : failed;
	}
	for (size_t i = 0; i < found.n; i++) {
		int failed = add_source(cp, &plan, found.paths[i]);
		status = status ? status : failed;
	}
	if (plan.n)
		done = fill_and_run(cp, ci.image, &plan, several || found.n > 1);
	copy_plan_fini(&plan);
	path_list_fini(&found);
	cli_close_image(&ci);
	return interrupt_signal() || !status ? done : status;
}

/* --- all of them --- */

static int no_path(const struct command *self, const char *operand, const char *next)
{
	if (next && next[0] == '/' && operand[0] != '/')
		return cli_usage_error(self,
				       "'%s' names no path in an image; did you mean '%s:%s'?",
				       operand, operand, next);
	return cli_usage_error(self,
			       "'%s' names no path in an image: write REF:PATH, the path absolute "
			       "(files can only be copied out of images)",
			       operand);
}

/* Divide all operands: 0 or an exit status. */
static int split_all(const struct command *self, char **operands, size_t n, char **references,
		     char **paths)
{
	for (size_t i = 0; i < n; i++) {
		const char *path;
		if (!image_path_split(operands[i], &references[i], &path))
			return no_path(self, operands[i], i + 1 < n ? operands[i + 1] : NULL);
		paths[i] = (char *)path;
	}
	return 0;
}

static int copy_all(struct cp *cp, char *const *references, char *const *paths, size_t n)
{
	int status = 0;
	for (size_t i = 0, next; i < n && !interrupt_signal(); i = next) {
		for (next = i + 1; next < n && !strcmp(references[i], references[next]);)
			next++;
		int failed = copy_image(cp, references[i], paths + i, next - i, n > 1);
		status = interrupt_signal() || !status ? failed : status;
	}
	return status;
}

/* One line, however many entries it is about. */
static void say_lost(const struct cp *cp)
{
	const struct extract_lost *lost = &cp->lost;
	if (cp->common->quiet || (!lost->owners && !lost->xattrs && !lost->devices))
		return;
	fprintf(stderr, "imgfs %s: note:", cp->self->name);
	const char *comma = "";
	if (lost->owners)
		fprintf(stderr, " owner not kept: %llu", (unsigned long long)lost->owners),
			comma = ",";
	if (lost->set_ids)
		fprintf(stderr, "%s set-ID bits therefore dropped: %llu", comma,
			(unsigned long long)lost->set_ids);
	if (lost->xattrs)
		fprintf(stderr, "%s xattrs not kept: %llu", comma,
			(unsigned long long)lost->xattrs),
			comma = ",";
	if (lost->devices)
		fprintf(stderr, "%s devices left out: %llu", comma,
			(unsigned long long)lost->devices);
	fprintf(stderr, " (%s)\n",
		cp->extract.archive ? "not allowed here; root may" : "-a and root make them");
}

/* "REF:/PATH" as the destination, unless a directory here is called so. */
static bool is_in_image(const char *typed)
{
	char *reference = NULL;
	const char *path;
	struct stat st;
	if (!image_path_split(typed, &reference, &path))
		return false;
	free(reference);
	auto_free char *dir = xstrndup(typed, (size_t)(path - typed));
	return stat(dir, &st) < 0;
}

/* A device or a fifo is written to, never replaced. */
static int stream_open(struct cp *cp)
{
	struct stat st;
	cp->stream = -1;
	if (!strcmp(cp->typed, "-"))
		cp->stream = STDOUT_FILENO;
	else if (!stat(cp->typed, &st) && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		cp->stream = open(cp->typed, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		if (cp->stream < 0)
			return destination_fail(cp->self, cp->typed, -errno);
	}
	return 0;
}

static int copy_operands(struct cp *cp, char **operands, size_t n)
{
	auto_free char **references = xcalloc(n + 1, sizeof(*references));
	auto_free char **paths = xcalloc(n + 1, sizeof(*paths));
	cp->typed = operands[n];
	if (is_in_image(cp->typed))
		return cli_usage_error(cp->self, "'%s': images are read-only", cp->typed);
	int status = split_all(cp->self, operands, n, references, paths);
	if (!status)
		status = stream_open(cp);
	if (!status && cp->stream >= 0 && n > 1)
		status = cli_usage_error(cp->self, "one file at a time goes to %s",
					 cp->stream == STDOUT_FILENO ? "standard output"
								     : cp->typed);
	if (!status)
		status = copy_all(cp, references, paths, n);
	if (cp->stream > STDERR_FILENO)
		close(cp->stream);
	for (size_t i = 0; i < n; i++)
		free(references[i]);
	for (size_t i = 0; i < cp->n_landed; i++)
		free(cp->landed[i].name);
	free(cp->landed);
	say_lost(cp);
	return status;
}

static mode_t read_umask(void)
{
	mode_t mask = umask(077);
	umask(mask);
	return mask;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct cp_options o = {0};
	uint64_t budget_s = CONTENT_BUDGET_S;
	char **operands;
	const struct option_row rows[] = {
		{'a', "archive", OPT_FLAG, &o.archive, NULL,
		 "keep owners, modes, times, xattrs, hard links, devices; implies -P"},
		{'L', "dereference", OPT_FLAG, &o.follow, NULL,
		 "copy what symlinks lead to (inside the image)"},
		{'P', "no-dereference", OPT_FLAG, &o.no_follow, NULL,
		 "copy symlinks as symlinks, also those that are named"},
		{'f', "force", OPT_FLAG, &o.force, NULL,
		 "replace a file that is in the way of a directory"},
		{'n', "no-clobber", OPT_FLAG, &o.no_clobber, NULL,
		 "leave alone what is there already"},
		{'r', "recursive", OPT_FLAG, &o.recursive, NULL,
		 "for habit: directories are always copied with what is in them"},
		{'R', NULL, OPT_FLAG, &o.recursive, NULL, "the same"},
		{0, "read-budget", OPT_NUMBER, &budget_s, "SECONDS",
		 "give up when bytes do not come for so long (60)"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &common, &operands);
	if (n < 2)
		return cli_usage_error(self, n ? "a destination is missing"
					       : "a source is missing: REF:PATH");
	if (o.follow && o.no_follow)
		return cli_usage_error(self, "-L and -P exclude each other");
	if (o.force && o.no_clobber)
		return cli_usage_error(self, "-f and -n exclude each other");
	if (budget_s == 0 || budget_s > READ_PIPE_BUDGET_MAX_S)
		return cli_usage_error(self, "--read-budget: 1 to %d seconds",
				       READ_PIPE_BUDGET_MAX_S);
	struct cp cp = {
		.self = self,
		.common = &common,
		.extract = {.archive = o.archive,
			    .force = o.force,
			    .no_clobber = o.no_clobber,
			    .umask = read_umask()},
		.budget_s = budget_s,
		.follow = o.follow ? FOLLOW_ALWAYS
				   : (o.archive || o.no_follow ? FOLLOW_NEVER : FOLLOW_OPERANDS),
	};
	return copy_operands(&cp, operands, (size_t)n - 1);
}

const struct command cmd_cp = {
	.name = "cp",
	.synopsis = "[-aLPfn] REF:PATH... DEST",
	.summary = "Copy files and directories out of an image",
	.details =
		"Sources land in DEST if that is a directory, otherwise one source lands as DEST. "
		"PATH\n"
		"may be a pattern as for 'imgfs ls', in quotes. A DEST that is a device or a fifo "
		"is\n"
		"written to. Of\n"
		"'REF:/' and of a path that ends in '/.' the contents land in DEST. DEST '-' is\n"
		"standard output, for one file. PATH begins at the first ':/' of the operand\n"
		"(behind 'oci:').\n"
		"\n"
		"Only what is copied is fetched, and every byte is verified before it is written. "
		"A\n"
		"file has its name when it is whole; one that fails is left out, the others are\n"
		"copied. Files and symlinks in the way are replaced, never written through, and "
		"no\n"
		"symlink below DEST is followed. After an interruption, -n goes on where it "
		"ended.\n"
		"\n"
		"A symlink that is named is followed, one in a directory is copied; -L follows "
		"all,\n"
		"-P and -a none. Without -a, modes follow the umask as with 'cp -r', and devices\n"
		"are left out.",
	.examples = "imgfs cp docker.io/library/python:3.12:/usr/local/bin .\n"
		    "imgfs cp -a oci:build:latest:/etc oci:build:latest:/opt /srv/rootfs\n"
		    "# the contents of the whole image, as root\n"
		    "imgfs cp -a alpine:/ rootfs\n"
		    "imgfs cp alpine:/etc/os-release - | grep ^VERSION",
	.run = run,
};
