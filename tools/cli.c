/*
 * Option tables: the rows of one command and the common ones drive the parser and, through
 * tools/describe.h, everything that is said about options, so that an option exists in both or in
 * neither. Operands are moved to the front of argv as they are found, which lets options stand
 * behind them.
 */
#include "tools/cli.h"

#include "fetch/log.h"
#include "tools/help.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define N_COMMON 15 /* rows of common_rows, with the one of zeroes */

struct parser {
	const struct command *self;
	const struct option_row *rows;
	struct option_row common[N_COMMON];
	bool help;
	char **argv;
	int argc;
	int at; /* the next word */
};

static void common_rows(struct common_options *c, struct option_row rows[N_COMMON])
{
	const struct option_row table[N_COMMON] = {
		{0, "store", OPT_STRING, &c->store, "DIR",
		 "the local store (default: $IMGFS_STORE, /var/lib/imgfs or ~/.cache/imgfs)"},
		{0, "platform", OPT_STRING, &c->platform, "OS/ARCH",
		 "the platform to choose, OS/ARCH[/VARIANT] (default: this machine's)"},
		{0, "authfile", OPT_STRING, &c->authfile, "FILE",
		 "credentials (default: those of podman and docker)"},
		{0, "token-host", OPT_STRING, &c->token_host, "HOST",
		 "a token server on another host that may be given the registry's credentials"},
		{0, "plain-http", OPT_FLAG, &c->plain_http, NULL, "speak http to the registry"},
		{0, "index", OPT_STRING, &c->index, "DIGEST",
		 "use the published index of this digest; 'none': use none"},
		{0, "trust-key", OPT_EACH, &c->trust_keys, "FILE",
		 "use published indexes that this public key has signed"},
		{0, "trust-index", OPT_STRING, &c->trust_index, "any",
		 "use any published index, whoever made it"},
		{0, "trust-file", OPT_STRING, &c->trust_file, "FILE",
		 "who is trusted (default: ~/.config/imgfs/trust, /etc/imgfs/trust)"},
		{0, "config", OPT_STRING, &c->config, "FILE|none",
		 "defaults (~/.config/imgfs/imgfs.conf, /etc/imgfs/imgfs.conf)"},
		{0, "offline", OPT_FLAG, &c->offline, NULL,
		 "ask no registry: use what the store has"},
		{0, "progress", OPT_STRING, &c->progress, "auto|plain|none",
		 "of long work: on a terminal, as lines for a log, or never (auto)"},
		{'v', "verbose", OPT_COUNT, &c->verbose, NULL,
		 "say what is done; twice: every request"},
		{'q', "quiet", OPT_FLAG, &c->quiet, NULL, "errors only"},
	};
	memcpy(rows, table, sizeof(table));
}

int cli_usage_error(const struct command *self, const char *fmt, ...)
{
	struct diag d = DIAG_INIT;
	char text[sizeof(d.text)];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)fail(&d, ERR_USAGE, -EINVAL, "%s", text);
	fprintf(stderr, "imgfs %s: %s; see 'imgfs %s --help'\n", self->name, d.text, self->name);
	return ERR_USAGE;
}

/* What a user can do about a class of failure, where the text itself gives no advice. */
static const char *advice(enum err_class cls)
{
	switch (cls) {
	case ERR_NETWORK:
		return "check the name and the network (-v says more)";
	case ERR_RATE:
		return "wait a while, or log in for a higher limit";
	case ERR_STORE:
		return "see --store DIR";
	default:
		return NULL;
	}
}

int cli_fail(const struct command *self, const struct diag *d)
{
	const char *hint = strstr(d->text, "; ") ? NULL : advice(d->cls);
	fflush(stdout); /* so that a partial answer stands before the error on a terminal */
	fprintf(stderr, "imgfs %s: %s%s%s\n", self->name, *d->text ? d->text : "failed",
		hint ? "; " : "", hint ? hint : "");
	return (int)d->cls;
}

static bool sigpipe_was_ignored;

void cli_ignore_sigpipe(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
	sigaction(SIGPIPE, &ignore, &old);
	sigpipe_was_ignored = old.sa_handler == SIG_IGN;
}

/* Whether the reader of standard output is gone: stdio keeps no errno of an earlier write. */
static bool reader_is_gone(void)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
	return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

int cli_output_lost(const struct command *self, int status, err_t err)
{
	if (!err && reader_is_gone())
		err = -EPIPE;
	if (err == -EPIPE && !sigpipe_was_ignored) {
		signal(SIGPIPE, SIG_DFL);
		raise(SIGPIPE);
	}
	fprintf(stderr, "imgfs%s%s: standard output: %s\n", self ? " " : "", self ? self->name : "",
		err ? strerror(-err) : "could not be written");
	return status ? status : ERR_OTHER;
}

int cli_flush(const struct command *self, int status)
{
	bool lost = ferror(stdout);
	err_t err = fflush(stdout) ? -errno : 0;
	if (!lost && !err)
		return status;
	clearerr(stdout);
	return cli_output_lost(self, status, err);
}

static _Noreturn void usage(const struct parser *p, const char *what, const char *name,
			    const char *more)
{
	exit(cli_usage_error(p->self, "%s '%s'%s", what, name, more));
}

/* Decimal digits and an optional K, M or G. */
static bool parse_number(const char *text, uint64_t *out)
{
	uint64_t n = 0;
	if (*text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return false;
	if (*text) {
		const char *units = "KMG", *unit = strchr(units, *text++);
		if (!unit || __builtin_mul_overflow(n, 1ull << (10 * (unit - units + 1)), &n))
			return false;
	}
	if (*text)
		return false;
	*out = n;
	return true;
}

static void append_list(char **list, const char *more)
{
	char *joined = *list ? xasprintf("%s,%s", *list, more) : xstrdup(more);
	free(*list);
	*list = joined;
}

static void append_text(const struct parser *p, struct option_texts *list, const char *shown,
			const char *text)
{
	if (list->n + 1 == ARRAY_LEN(list->texts))
		usage(p, "too often:", shown, "");
	list->texts[list->n++] = text;
}

static void set_value(const struct parser *p, const struct option_row *row, const char *shown,
		      const char *text)
{
	switch (row->kind) {
	case OPT_FLAG:
		*(bool *)row->value = true;
		break;
	case OPT_COUNT:
		++*(int *)row->value;
		break;
	case OPT_STRING:
		*(const char **)row->value = text;
		break;
	case OPT_NUMBER:
		if (!parse_number(text, row->value))
			usage(p, "not a number:", text, " (decimal, K, M or G may follow)");
		break;
	case OPT_LIST:
		append_list(row->value, text);
		break;
	case OPT_EACH:
		append_text(p, row->value, shown, text);
		break;
	default:
		usage(p, "unknown kind of option", shown, "");
	}
}

static const struct option_row *find_long(const struct option_row *rows, const char *name, size_t n)
{
	for (; rows && !option_row_is_last(rows); rows++)
		if (rows->long_name && strlen(rows->long_name) == n &&
		    !memcmp(rows->long_name, name, n))
			return rows;
	return NULL;
}

static const struct option_row *find_short(const struct option_row *rows, char name)
{
	for (; rows && !option_row_is_last(rows); rows++)
		if (rows->short_name == name)
			return rows;
	return NULL;
}

static const char *nearest_option(const struct parser *p, const char *typed)
{
	const char *words[64] = {"help"};
	size_t n = 1;
	for (const struct option_row *r = p->rows; r && !option_row_is_last(r); r++)
		if (r->long_name && n < ARRAY_LEN(words) - 1)
			words[n++] = r->long_name;
	for (const struct option_row *r = p->common; !option_row_is_last(r); r++)
		if (n < ARRAY_LEN(words) - 1)
			words[n++] = r->long_name;
	return cli_nearest(typed, words);
}

static _Noreturn void unknown_option(const struct parser *p, const char *word)
{
	const char *near = word[1] == '-' ? nearest_option(p, word + 2) : NULL;
	auto_free char *more = near ? xasprintf(", did you mean '--%s'?", near) : xstrdup("");
	usage(p, "unknown option", word, more);
}

static const char *next_argument(struct parser *p, const char *option)
{
	if (p->at == p->argc)
		usage(p, "an argument must follow", option, "");
	return p->argv[p->at++];
}

static void parse_long(struct parser *p, char *word)
{
	const char *name = word + 2, *equals = strchr(name, '=');
	size_t n = equals ? (size_t)(equals - name) : strlen(name);
	if (n == 4 && !memcmp(name, "help", 4) && !equals) {
		p->help = true;
		return;
	}
	const struct option_row *row = find_long(p->rows, name, n);
	if (!row)
		row = find_long(p->common, name, n);
	if (!row)
		unknown_option(p, word);
	if (!option_takes_argument(row) && equals)
		usage(p, "no argument belongs to", row->long_name, "");
	const char *text = equals ? equals + 1 : NULL;
	if (option_takes_argument(row) && !text)
		text = next_argument(p, word);
	set_value(p, row, word, text);
}

static void parse_short(struct parser *p, char *word)
{
	for (const char *at = word + 1; *at; at++) {
		const struct option_row *row = find_short(p->rows, *at);
		if (!row)
			row = find_short(p->common, *at);
		if (!row && !strcmp(word, "-h")) {
			p->help = true;
			return;
		}
		if (!row)
			unknown_option(p, (char[]){'-', *at, '\0'});
		if (option_takes_argument(row)) {
			set_value(p, row, word, at[1] ? at + 1 : next_argument(p, word));
			return;
		}
		set_value(p, row, word, NULL);
	}
}

static enum progress_when progress_when;

enum progress_when cli_progress_when(void)
{
	return progress_when;
}

static bool set_progress(const struct common_options *common)
{
	static const char *const names[] = {
		[PROGRESS_AUTO] = "auto", [PROGRESS_PLAIN] = "plain", [PROGRESS_NEVER] = "none"};
	const char *text = common->progress ? common->progress : "auto";
	unsigned i = 0;
	while (i < ARRAY_LEN(names) && strcmp(text, names[i]))
		i++;
	progress_when = common->quiet ? PROGRESS_NEVER : (enum progress_when)i;
	return i < ARRAY_LEN(names);
}

/* A short name means what the command says, in its help too. */
static void give_way(struct parser *p)
{
	for (struct option_row *r = p->common; !option_row_is_last(r); r++)
		if (r->short_name && find_short(p->rows, r->short_name))
			r->short_name = 0;
}

static void set_log_level(const struct common_options *common)
{
	if (common->quiet)
		log_set_level(LOG_LEVEL_ERROR);
	else if (common->verbose > 1)
		log_set_level(LOG_LEVEL_DEBUG);
	else
		log_set_level(common->verbose ? LOG_LEVEL_INFO : LOG_LEVEL_WARN);
}

int cli_parse(const struct command *self, int argc, char **argv, const struct option_row *rows,
	      struct common_options *common, char ***operands)
{
	struct parser p = {.self = self, .rows = rows, .argv = argv, .argc = argc, .at = 1};
	int n = 0;
	bool options = true;
	if (common)
		common_rows(common, p.common);
	give_way(&p);
	struct description about = {self, rows, common ? p.common : NULL, NULL};
	described(&about);
	while (p.at < argc) {
		char *word = argv[p.at++];
		if (!options || word[0] != '-' || !word[1]) {
			argv[1 + n++] = word; /* never passes p.at */
			options = options && !self->options_first;
		} else if (!strcmp(word, "--")) {
			options = false;
		} else if (word[1] == '-') {
			parse_long(&p, word);
		} else {
			parse_short(&p, word);
		}
	}
	if (p.help) {
		help_print(NULL, &about);
		exit(cli_flush(self, 0));
	}
	if (n + 1 < argc)
		argv[1 + n] = NULL;
	*operands = argv + 1;
	if (!common)
		return n;
	if (common->trust_index && strcmp(common->trust_index, "any"))
		exit(cli_usage_error(self, "--trust-index takes 'any', not '%s'",
				     common->trust_index));
	if (!set_progress(common))
		exit(cli_usage_error(self, "--progress takes 'auto', 'plain' or 'none', not '%s'",
				     common->progress));
	if (common->store && !*common->store)
		exit(cli_usage_error(self, "--store: a directory must be named"));
	set_log_level(common);
	return n;
}

int cli_one_reference(const struct command *self, int argc, char **argv,
		      const struct option_row *rows, struct common_options *common, bool or_file,
		      const char **reference)
{
	char **operands;
	int n = cli_parse(self, argc, argv, rows, common, &operands);
	if (n == 0)
		return cli_usage_error(self, "a reference%s is missing",
				       or_file ? " or a file" : "");
	if (n > 1)
		return cli_usage_error(self, "one reference%s at a time",
				       or_file ? " or file" : "");
	*reference = operands[0];
	return 0;
}
