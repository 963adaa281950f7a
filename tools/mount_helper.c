/*
 * mount.imgfs: a list of mount options becomes a command line of `imgfs mount`. Words that another
 * program reads (fstab's own) are dropped, words of ours become options, the rest stays a list.
 */
#include "tools/mount_helper.h"

#include "fs/options.h"
#include "tools/conf.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Exit statuses of mount(8). */
enum {
	MOUNT_USAGE = 1,
	MOUNT_INTERRUPTED = 8,
	MOUNT_FAILED = 32,
};

/* What mount(8), systemd or nobody acts on. mount(8) says "rw" when nobody has said anything. */
static const char *const ignored[] = {
	"rw",	   "auto",   "noauto",	    "user",	     "nouser",	 "users",
	"nousers", "owner",  "noowner",	    "group",	     "nogroup",	 "nofail",
	"_netdev", "sync",   "dirsync",	    "atime",	     "diratime", "norelatime",
	"silent",  "loud",   "iversion",    "noiversion",    "lazytime", "nolazytime",
	"mand",	   "nomand", "strictatime", "nostrictatime",
};
static const char *const ignored_beginnings[] = {"x-", "X-", "user=", "comment="};

/* Options of `imgfs mount` that are no keys of imgfs.conf, except for those that only somebody who
 * looks on has a use for. */
static const struct conf_key own_keys[] = {
	{"config", "FILE|none", "defaults, in the place of the usual imgfs.conf", CONF_TEXT,
	 CONF_MOUNT, false, NULL},
	{"log", "FILE", "log to a file, not to syslog", CONF_TEXT, CONF_MOUNT, false, NULL},
	{"metrics", "WHERE", "figures for Prometheus: [ADDR]:PORT, unix:PATH or a file", CONF_TEXT,
	 CONF_MOUNT, false, NULL},
	{"offline", "yes|no", "ask no registry: use what the store has", CONF_FLAG, CONF_MOUNT,
	 false, NULL},
	{"fsname", "NAME", "the source in the table of mounts; 'mount -a' looks for REF", CONF_TEXT,
	 CONF_MOUNT, false, NULL},
};

struct helper {
	bool sloppy, fake, verbose;
	const char *namespace;
	char *list;    /* the options of all -o, with commas; owned */
	char *words;   /* what is left of it for `imgfs mount -o`; owned */
	char **argv;   /* of `imgfs mount`; owned, ended by NULL */
	size_t n, cap; /* without the NULL */
};

bool mount_helper_named(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;
	return strcmp(name, "mount.imgfs") == 0 || strcmp(name, "mount.fuse.imgfs") == 0;
}

static int say(const struct diag *d)
{
	fprintf(stderr, "mount.imgfs: %s\n", d->text);
	return MOUNT_USAGE;
}

static void add_argument(struct helper *h, char *argument)
{
	BUG_ON(!try_grow(&h->argv, h->n + 1, &h->cap, sizeof(*h->argv)));
	h->argv[h->n++] = argument;
	h->argv[h->n] = NULL;
}

static void append(char **list, const char *more)
{
	char *joined = *list ? xasprintf("%s,%s", *list, more) : xstrdup(more);
	free(*list);
	*list = joined;
}

/* ---- one word of the list ---- */

static bool is_ignored(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		if (strcmp(word, ignored[i]) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_LEN(ignored_beginnings); i++)
		if (strncmp(word, ignored_beginnings[i], strlen(ignored_beginnings[i])) == 0)
			return true;
	return false;
}

static const struct conf_key *find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(own_keys); i++)
		if (strcmp(name, own_keys[i].name) == 0)
			return &own_keys[i];
	return conf_key_find(name);
}

static const char *nearest_key(const char *typed)
{
	const struct conf_key *key = conf_key_nearest(typed);
	const char *words[ARRAY_LEN(own_keys) + 1] = {0};
	for (size_t i = 0; i < ARRAY_LEN(own_keys); i++)
		words[i] = own_keys[i].name;
	return key ? key->name : cli_nearest(typed, words);
}

static err_t take_key(struct helper *h, const struct conf_key *key, const char *value,
		      struct diag *d)
{
	if (key->kind == CONF_FLAG && !value)
		value = "yes";
	err_t err = conf_key_check(key, value ? value : "", d);
	if (err)
		return err;
	if (key->kind != CONF_FLAG)
		add_argument(h, xasprintf("--%s=%s", key->name, value));
	else if (strcmp(value, "yes") == 0)
		add_argument(h, xasprintf("--%s", key->name));
	return 0;
}

static err_t unknown(const struct helper *h, const char *name, struct diag *d)
{
	const char *near = nearest_key(name);
	if (h->sloppy)
		return 0;
	return fail(d, ERR_USAGE, -EINVAL,
		    "unknown mount option '%.100s'%s%s%s; see 'imgfs mount --help'", name,
		    near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* A word of `imgfs mount -o`, with SELinux contexts as they came, in their quotes. */
static err_t take_mount_option(struct helper *h, const char *word, const char *name, struct diag *d)
{
	struct mount_options options;
	struct diag why = DIAG_INIT;
	err_t err = mount_options_parse(word, true, &options, &why);
	if (!err) {
		mount_options_fini(&options);
		append(&h->words, word);
		return 0;
	}
	if (strstr(why.text, "unknown mount option"))
		return unknown(h, name, d);
	return fail(d, ERR_USAGE, err, "%s", why.text);
}

static char *without_quotes(const char *value)
{
	size_t n = strlen(value);
	if (n >= 2 && value[0] == '"' && value[n - 1] == '"')
		return xstrndup(value + 1, n - 2);
	return xstrdup(value);
}

static err_t take_word(struct helper *h, const char *word, struct diag *d)
{
	const char *equals = strchr(word, '=');
	auto_free char *name = xstrndup(word, strcspn(word, "="));
	auto_free char *value = equals ? without_quotes(equals + 1) : NULL;
	const struct conf_key *key = find_key(name);
	if (is_ignored(word))
		return 0;
	return key ? take_key(h, key, value, d) : take_mount_option(h, word, name, d);
}

/* The end of the word at `at`: a comma that stands in no quotes, or the end of the list. */
static char *word_end(char *at)
{
	bool quoted = false;
	for (; *at && (quoted || *at != ','); at++)
		if (*at == '"')
			quoted = !quoted;
	return at;
}

static err_t take_list(struct helper *h, struct diag *d)
{
	err_t err = 0;
	for (char *at = h->list, *end; at && *at && !err; at = end) {
		end = word_end(at);
		if (*end)
			*end++ = '\0';
		if (*at)
			err = take_word(h, at, d);
	}
	return err;
}

/* ---- the command line ---- */

static void print_key(const struct conf_key *key)
{
	char name[64];
	bool flag = key->kind == CONF_FLAG;
	snprintf(name, sizeof(name), "%s%s%s", key->name, flag ? "" : "=", flag ? "" : key->arg);
	printf("  %-20s %s\n", name, key->help);
}

static int print_help(void)
{
	printf("Usage: mount -t imgfs [-o LIST] REF DIR\n"
	       "       mount.imgfs REF DIR [-sfnv] [-N NAMESPACE] [-o LIST]\n\n"
	       "Called by mount(8), which also reads lines of /etc/fstab. At boot, when somebody "
	       "first\n"
	       "looks:\n"
	       "  docker.io/library/python:3.12 /srv/python imgfs "
	       "noauto,_netdev,x-systemd.automount 0 0\n\n"
	       "In LIST may stand what 'imgfs mount -o' takes, and:\n");
	for (const struct conf_key *key = conf_keys; key->name; key++)
		if (strcmp(key->name, "mount-options") != 0)
			print_key(key);
	for (size_t i = 0; i < ARRAY_LEN(own_keys); i++)
		print_key(&own_keys[i]);
	printf("\nA value with a comma stands in double quotes. Words of others (noauto, user, "
	       "nofail,\n"
	       "_netdev, x-...) are passed over. -s: so are unknown ones; -f: check, do not "
	       "mount.\n");
	return 0;
}

static err_t parse(struct helper *h, int argc, char **argv, struct diag *d)
{
	int option;
	opterr = 0;
	while ((option = getopt(argc, argv, "sfnvo:N:t:")) != -1) {
		switch (option) {
		case 's':
			h->sloppy = true;
			break;
		case 'f':
			h->fake = true;
			break;
		case 'v':
			h->verbose = true;
			break;
		case 'o':
			append(&h->list, optarg);
			break;
		case 'N':
			h->namespace = optarg;
			break;
		case 'n': /* there is no mtab to be written */
		case 't': /* it is ours */
			break;
		default:
			return fail(
				d, ERR_USAGE, -EINVAL,
				"unknown option -%c; mount(8) calls this program: mount -t imgfs "
				"[-o LIST] REF DIR",
				optopt);
		}
	}
	if (argc - optind == 2)
		return 0;
	return fail(d, ERR_USAGE, -EINVAL,
		    "expected REF and DIR; mount(8) calls this program: mount -t imgfs [-o LIST] "
		    "REF DIR");
}

/* mount(8) makes paths of names that happen to be files where it runs. */
static err_t check_reference(const char *reference, struct diag *d)
{
	struct ref ref;
	err_t err = ref_parse(reference, &ref, d);
	if (!err)
		ref_fini(&ref);
	else if (reference[0] == '/')
		return fail(
			d, ERR_USAGE, err,
			"%.300s is a path, no reference; a layout on disk is oci:%.300s; mount(8) "
			"makes a path of a name that is a file in the current directory",
			reference, reference);
	return err;
}

/* The process of a number, or the file of a namespace. */
static err_t enter_namespace(const char *name, struct diag *d)
{
	auto_free char *path = name[strspn(name, "0123456789")]
				       ? xstrdup(name)
				       : xasprintf("/proc/%s/ns/mnt", name);
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNS))
		return fail_sys(d, ERR_OTHER, -errno, "namespace %s", name);
	return 0;
}

static void show(const struct helper *h)
{
	fprintf(stderr, "mount.imgfs: imgfs");
	for (size_t i = 0; i < h->n; i++)
		fprintf(stderr, " %s", h->argv[i]);
	fputc('\n', stderr);
}

static err_t build(struct helper *h, const char *reference, const char *directory, struct diag *d)
{
	add_argument(h, xstrdup("mount"));
	/* As it stands in fstab: so `mount -a` sees that it is mounted already. */
	add_argument(h, xasprintf("--fsname=%s", reference));
	if (h->verbose)
		add_argument(h, xstrdup("-v"));
	err_t err = take_list(h, d);
	/* Last: what "remount" calls a source may be no reference any more. */
	if (!err)
		err = check_reference(reference, d);
	if (err)
		return err;
	if (h->words)
		add_argument(h, xasprintf("-o%s", h->words));
	add_argument(h, xstrdup("--"));
	add_argument(h, xstrdup(reference));
	add_argument(h, xstrdup(directory));
	return 0;
}

static int status_of(int status)
{
	if (status > 128)
		return MOUNT_INTERRUPTED;
	if (status == ERR_USAGE)
		return MOUNT_USAGE;
	return status ? MOUNT_FAILED : 0;
}

static void helper_fini(struct helper *h)
{
	for (size_t i = 0; i < h->n; i++)
		free(h->argv[i]);
	free(h->argv);
	free(h->list);
	free(h->words);
}

/* The parser of `imgfs mount` moves words about: it gets an array of its own. The daemon comes back
 * from it, too: its status is read by this process, not by mount(8). */
static int run_mount(const struct helper *h)
{
	pid_t self = getpid();
	auto_free char **argv = try_array(h->n + 1, sizeof(*argv), SIZE_MAX);
	BUG_ON(!argv);
	memcpy(argv, h->argv, h->n * sizeof(*argv));
	int status = cmd_mount.run(&cmd_mount, (int)h->n, argv);
	return getpid() == self ? status_of(status) : status;
}

int mount_helper_main(int argc, char **argv)
{
	struct helper h = {0};
	struct diag d = DIAG_INIT;
	int status = 0;
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return print_help();
	err_t err = parse(&h, argc, argv, &d);
	if (!err)
		err = build(&h, argv[optind], argv[optind + 1], &d);
	if (!err && h.verbose)
		show(&h);
	if (!err && h.namespace)
		err = enter_namespace(h.namespace, &d);
	if (err)
		status = say(&d);
	else if (!h.fake)
		status = run_mount(&h);
	helper_fini(&h);
	return status;
}
