/*
 * imgfs config: what imgfs.conf, the environment and the command line come to for one reference,
 * and where each value stands.
 */
#include "fetch/ref_pattern.h"
#include "tools/conf.h"
#include "tools/format.h"
#include "tools/json_out.h"

#include <string.h>

#define WIDTH_MAX 60 /* longer values, digests, push the last column aside */

/* One line of the answer: a key, its value, and who says so. */
struct row {
	const char *key, *value;
	const char *from; /* "command line", "$IMGFS_STORE", or NULL: the setting's place */
	const struct conf_setting *setting;
};

struct rows {
	struct row *rows; /* owned */
	size_t n, cap;
};

static void add_row(struct rows *r, struct row row)
{
	BUG_ON(!try_grow(&r->rows, r->n, &r->cap, sizeof(*r->rows)));
	r->rows[r->n++] = row;
}

static void add_typed(struct rows *r, const char *key, const char *value)
{
	if (value)
		add_row(r, (struct row){key, value, "command line", NULL});
}

/* Options that stand on the command line, in the order of conf_keys. */
static void add_command_line(struct rows *r, const struct common_options *c)
{
	add_typed(r, "store", c->store);
	add_typed(r, "platform", c->platform);
	add_typed(r, "authfile", c->authfile);
	add_typed(r, "token-host", c->token_host);
	add_typed(r, "plain-http", c->plain_http ? "yes" : NULL);
	add_typed(r, "index", c->index);
	for (size_t i = 0; i < c->trust_keys.n; i++)
		add_typed(r, "trust-key", c->trust_keys.texts[i]);
	add_typed(r, "trust-index", c->trust_index);
	add_typed(r, "trust-file", c->trust_file);
}

static bool has_row(const struct rows *r, const char *key)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->rows[i].key, key) == 0)
			return true;
	return false;
}

static void add_environment(struct rows *r)
{
	static const struct {
		const char *key, *name, *shown;
	} variables[] = {{"store", "IMGFS_STORE", "$IMGFS_STORE"},
			 {"authfile", "REGISTRY_AUTH_FILE", "$REGISTRY_AUTH_FILE"}};
	for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
		const char *value = getenv(variables[i].name);
		if (value && *value && !has_row(r, variables[i].key))
			add_row(r, (struct row){variables[i].key, value, variables[i].shown, NULL});
	}
}

static void collect(struct rows *r, const struct common_options *common, const struct conf *conf)
{
	bool trust_given = conf_trust_is_given(common);
	add_command_line(r, common);
	add_environment(r);
	size_t n = r->n;
	for (size_t i = 0; i < conf_n_settings(conf); i++) {
		const struct conf_setting *s = conf_setting(conf, i);
		struct rows before = {.rows = r->rows, .n = n};
		bool replaced =
			s->key->group == CONF_TRUST ? trust_given : has_row(&before, s->key->name);
		if (!replaced)
			add_row(r, (struct row){s->key->name, s->value, NULL, s});
	}
}

/* ---- text ---- */

static void print_label(const char *label, const char *value, const char *more)
{
	printf("%-14s ", label);
	format_name(stdout, BYTES_STR(value));
	puts(more);
}

static void print_row(const struct row *row, int width)
{
	printf("%-14s ", row->key);
	format_name(stdout, BYTES_STR(row->value));
	printf("%*s", max_of(width - (int)strlen(row->value), 0) + 2, "");
	if (row->from) {
		puts(row->from);
		return;
	}
	format_name(stdout, BYTES_STR(row->setting->file));
	printf(":%u [%s]\n", row->setting->line, row->setting->section);
}

static void print_table(const struct rows *r)
{
	int width = (int)strlen("VALUE");
	for (size_t i = 0; i < r->n; i++)
		width = max_of(width, (int)strnlen(r->rows[i].value, WIDTH_MAX));
	printf("\n%-14s %-*s  FROM\n", "KEY", width, "VALUE");
	for (size_t i = 0; i < r->n; i++)
		print_row(&r->rows[i], width);
}

static void print_text(const struct rows *r, const struct conf *conf, const char *reference)
{
	if (reference)
		print_label("reference", reference, "");
	for (size_t i = 0; i < conf_n_places(conf); i++) {
		const struct conf_place *place = conf_place(conf, i);
		print_label("file", place->path, place->is_there ? "" : " (not there)");
	}
	if (!conf_n_places(conf))
		print_label("file", "none", "");
	if (r->n)
		print_table(r);
	else
		puts("nothing is set");
}

static int print_keys_json(void)
{
	struct json_out j;
	json_out_start(&j, stdout, 1);
	json_put_array(&j, NULL);
	for (const struct conf_key *key = conf_keys; key->name; key++) {
		json_put_object(&j, NULL);
		json_put_text(&j, "key", key->name);
		json_put_text(&j, "argument", key->arg);
		json_put_text(&j, "help", key->help);
		json_put_end(&j);
	}
	json_put_end(&j);
	return 0;
}

static int print_keys(bool json)
{
	char name[FORMAT_TEXT_MAX];
	if (json)
		return print_keys_json();
	for (const struct conf_key *key = conf_keys; key->name; key++) {
		snprintf(name, sizeof(name), "%s = %s", key->name, key->arg);
		printf("%-24s %s\n", name, key->help);
	}
	return 0;
}

/* ---- JSON ---- */

static void json_row(struct json_out *j, const struct row *row)
{
	json_put_object(j, NULL);
	json_put_text(j, "key", row->key);
	json_put_bytes(j, "value", BYTES_STR(row->value));
	if (row->setting) {
		json_put_bytes(j, "file", BYTES_STR(row->setting->file));
		json_put_number(j, "line", row->setting->line);
		json_put_text(j, "section", row->setting->section);
	} else {
		json_put_text(j, "from", row->from);
	}
	json_put_end(j);
}

static void print_json(const struct rows *r, const struct conf *conf, const char *reference)
{
	struct json_out j;
	json_out_start(&j, stdout, 2);
	json_put_object(&j, NULL);
	json_put_text(&j, "reference", reference);
	json_put_array(&j, "files");
	for (size_t i = 0; i < conf_n_places(conf); i++) {
		const struct conf_place *place = conf_place(conf, i);
		json_put_object(&j, NULL);
		json_put_bytes(&j, "path", BYTES_STR(place->path));
		json_put_bool(&j, "there", place->is_there);
		json_put_end(&j);
	}
	json_put_end(&j);
	json_put_array(&j, "settings");
	for (size_t i = 0; i < r->n; i++)
		json_row(&j, &r->rows[i]);
	json_put_end(&j);
	json_put_end(&j);
}

/* ---- the command ---- */

/* The reference in full: what sections are compared with. */
static err_t expand(const char *typed, char **out, struct diag *d)
{
	struct ref ref;
	auto_free char *subject = NULL;
	*out = NULL;
	err_t err = ref_parse(typed, &ref, d);
	if (err)
		return err;
	err = ref_pattern_subject(&ref, &subject, d);
	if (!err)
		*out = ref_text(&ref);
	ref_fini(&ref);
	return err;
}

static int show(const struct command *self, const struct common_options *common, const char *typed)
{
	struct diag d = DIAG_INIT;
	struct conf *conf = NULL;
	struct rows rows = {0};
	auto_free char *reference = NULL;
	err_t err = typed ? expand(typed, &reference, &d) : 0;
	if (!err)
		err = conf_load(common->config, typed, &conf, &d);
	if (err)
		return cli_fail(self, &d);
	collect(&rows, common, conf);
	if (common->json)
		print_json(&rows, conf, reference);
	else
		print_text(&rows, conf, reference);
	free(rows.rows);
	conf_free(&conf);
	return 0;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	bool keys = false;
	char **operands;
	const struct option_row rows[] = {
		{0, "json", OPT_FLAG, &common.json, NULL, "one object (JSON.md)"},
		{0, "keys", OPT_FLAG, &keys, NULL, "list the keys that imgfs.conf may have"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &common, &operands);
	if (keys && n)
		return cli_usage_error(self, "no operand belongs to --keys");
	if (n > 1)
		return cli_usage_error(self, "one reference at a time");
	return keys ? print_keys(common.json) : show(self, &common, operands[0]);
}

const struct command cmd_config = {
	.name = "config",
	.synopsis = "[--json] [REF] | --keys",
	.summary = "Show which defaults of imgfs.conf are in force, and where each stands",
	.details =
		"Read are ~/.config/imgfs/imgfs.conf and /etc/imgfs/imgfs.conf; --config FILE (or\n"
		"$IMGFS_CONFIG) names one in the place of both, 'none' for none. Sections:\n"
		"  [default]                 everything\n"
		"  [registry HOST]           all repositories of a registry\n"
		"  [repository HOST/PATH]    one repository; with '*' at the end all that begin "
		"so;\n"
		"                            also oci:/DIR, and oci:/DIR/*\n"
		"Below them stand lines 'key = value'. For each key the most specific section that "
		"has\n"
		"it counts, then the user's file; the command line comes before all. The keys "
		"index,\n"
		"trust-key, trust-index and trust-file are taken together from one section. "
		"Without\n"
		"REF: what [default] says.",
	.examples = "imgfs config registry.example.com/models/llama\n"
		    "# which keys there are\n"
		    "imgfs config --keys\n"
		    "# one command without any file\n"
		    "imgfs ls --config none alpine",
	.run = run,
};
