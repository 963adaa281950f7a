/*
 * --fill, --no-profile, --read-budget and --on-error.
 */
#include "tools/read_options.h"

#include <string.h>

size_t read_options_rows(struct read_options *o, struct option_row *rows)
{
	const struct option_row table[READ_OPTIONS_ROWS] = {
		{0, "read-budget", OPT_NUMBER, &o->budget_s, "SECONDS",
		 "a read that can not be served fails after this time (60)"},
		{0, "fill", OPT_STRING, &o->fill, "off|idle|full",
		 "fetch the rest of the image, too: while nobody reads, or at once (off)"},
		{0, "no-profile", OPT_FLAG, &o->no_profile, NULL,
		 "do not record what is read first, nor replay it"},
		{0, "on-error", OPT_STRING, &o->on_error, "eio|wait",
		 "fail such a read, or keep trying for ever (eio)"},
	};
	memcpy(rows, table, sizeof(table));
	return READ_OPTIONS_ROWS;
}

static const char *chosen(const char *typed, const struct conf *conf, const char *key,
			  const char *otherwise)
{
	const struct conf_setting *s = conf && !typed ? conf_get(conf, key) : NULL;
	if (s)
		return s->value;
	return typed ? typed : otherwise;
}

static bool fill_mode_of(const char *text, enum fill_mode *out)
{
	static const char *const names[] = {
		[FILL_OFF] = "off", [FILL_IDLE] = "idle", [FILL_FULL] = "full"};
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		*out = (enum fill_mode)i;
		if (!strcmp(text, names[i]))
			return true;
	}
	return false;
}

static uint64_t budget_of(const struct read_options *o, const struct conf *conf)
{
	const struct conf_setting *s = conf ? conf_get(conf, "read-budget") : NULL;
	if (o->budget_s != UINT64_MAX)
		return o->budget_s;
	return s ? strtoul(s->value, NULL, 10) : CONTENT_BUDGET_S;
}

int read_options_take(const struct command *self, const struct read_options *o,
		      const struct conf *conf, struct content_options *out)
{
	const char *fill = chosen(o->fill, conf, "fill", "off");
	const char *on_error = chosen(o->on_error, conf, "on-error", "eio");
	uint64_t budget_s = budget_of(o, conf);
	if (budget_s == 0 || budget_s > READ_BUDGET_MAX_S)
		return cli_usage_error(self, "--read-budget: 1 to %d seconds", READ_BUDGET_MAX_S);
	if (strcmp(on_error, "eio") && strcmp(on_error, "wait"))
		return cli_usage_error(self, "--on-error: 'eio' or 'wait', not '%s'", on_error);
	if (!fill_mode_of(fill, &out->fill))
		return cli_usage_error(self, "--fill: 'off', 'idle' or 'full', not '%s'", fill);
	out->budget_s = (unsigned)budget_s;
	out->wait_for_ever = !strcmp(on_error, "wait");
	out->profile = !o->no_profile && !(conf && conf_flag(conf, "no-profile"));
	return 0;
}
