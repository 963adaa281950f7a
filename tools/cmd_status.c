/*
 * imgfs status: what the daemons' records say. No daemon is asked, none wakes up.
 */
#include "fs/mountpoint.h"
#include "fs/mounts.h"
#include "tools/cli.h"
#include "tools/format.h"
#include "tools/json_out.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static uint64_t uptime_s(const struct mount_row *row)
{
	int64_t now = time(NULL);

	/* A clock that was set back must not show centuries. */
	return now > row->started_at ? (uint64_t)(now - row->started_at) : 0;
}

/* Whether this is what its path shows to us; if not it was detached, or lies in another namespace.
 */
static bool is_attached(const struct mount_row *row)
{
	struct mounted top;

	return mounted_at(row->mountpoint, &top) == 0 && top.dev_major == row->mounted.dev_major &&
	       top.dev_minor == row->mounted.dev_minor;
}

static const char *format_uptime(uint64_t seconds, char text[FORMAT_TEXT_MAX])
{
	uint64_t days = seconds / 86400, rest = seconds % 86400;

	if (days)
		snprintf(text, FORMAT_TEXT_MAX, "%" PRIu64 "d%02" PRIu64 "h", days, rest / 3600);
	else
		snprintf(text, FORMAT_TEXT_MAX, "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64,
			 rest / 3600, rest % 3600 / 60, rest % 60);
	return text;
}

static uint64_t content_value(const struct counters_view *c, const char *name)
{
	for (size_t i = 0; i < c->n_content; i++)
		if (strcmp(c->content[i].name, name) == 0)
			return c->content[i].value;
	BUG_ON("no such figure");
	return 0;
}

/* ---- text ---- */

static void print_row(const struct mount_row *row)
{
	char up[FORMAT_TEXT_MAX], fetched[FORMAT_TEXT_MAX], read[FORMAT_TEXT_MAX];

	printf("%7d %9s %10s %10s %8" PRIu64 "  ", row->pid, format_uptime(uptime_s(row), up),
	       format_size(content_value(&row->counters, "read_bytes"), read),
	       format_size(content_value(&row->counters, "fetched_bytes"), fetched),
	       content_value(&row->counters, "errors"));
	format_name(stdout, BYTES_STR(row->mountpoint));
	printf("  ");
	format_name(stdout, BYTES_STR(row->reference));
	puts(is_attached(row) ? "" : "  (detached)");
}

static void print_label(const char *label, const char *value)
{
	printf("%-11s ", label);
	format_name(stdout, BYTES_STR(value));
	putchar('\n');
}

static void print_values(const char *label, const struct counter_value *values, size_t n)
{
	printf("%-11s", label);
	for (size_t i = 0; i < n; i++)
		if (values[i].value)
			printf(" %s=%" PRIu64, values[i].name, values[i].value);
	putchar('\n');
}

static void print_details(const struct mount_row *row)
{
	char up[FORMAT_TEXT_MAX];

	print_label("mountpoint", row->mountpoint);
	print_label("image", row->reference);
	print_label("manifest", row->manifest);
	print_label("store", row->store);
	print_label("state", is_attached(row) ? "mounted" : "detached");
	printf("%-11s %d\n", "pid", row->pid);
	printf("%-11s %s\n", "uptime", format_uptime(uptime_s(row), up));
	printf("%-11s", "layers");
	for (uint32_t i = 0; i < row->n_layers; i++)
		printf(" %s", layer_state_name(row->layers[i].state));
	putchar('\n');
	print_values("upcalls", row->counters.upcalls, row->counters.n_upcalls);
	print_values("content", row->counters.content, row->counters.n_content);
}

static void print_text(const struct mount_list *list, bool details)
{
	if (!details && list->n)
		printf("%7s %9s %10s %10s %8s  %s\n", "PID", "UPTIME", "READ", "FETCHED", "ERRORS",
		       "MOUNTPOINT  IMAGE");
	for (size_t i = 0; i < list->n; i++)
		if (details)
			print_details(&list->rows[i]);
		else
			print_row(&list->rows[i]);
}

/* ---- JSON ---- */

static void json_values(struct json_out *j, const char *key, const struct counter_value *values,
			size_t n)
{
	json_put_object(j, key);
	for (size_t i = 0; i < n; i++)
		json_put_number(j, values[i].name, values[i].value);
	json_put_end(j);
}

static void json_row(struct json_out *j, const struct mount_row *row)
{
	json_put_object(j, NULL);
	json_put_bytes(j, "mountpoint", BYTES_STR(row->mountpoint));
	json_put_bytes(j, "image", BYTES_STR(row->reference));
	json_put_text(j, "manifest", row->manifest);
	json_put_bytes(j, "store", BYTES_STR(row->store));
	json_put_text(j, "state", is_attached(row) ? "mounted" : "detached");
	json_put_signed(j, "pid", row->pid);
	json_put_signed(j, "started", row->started_at);
	json_put_number(j, "uptime_s", uptime_s(row));
	json_put_array(j, "layers");
	for (uint32_t i = 0; i < row->n_layers; i++)
		json_put_text(j, NULL, layer_state_name(row->layers[i].state));
	json_put_end(j);
	json_put_number(j, "upcalls_total", row->counters.upcalls_total);
	json_values(j, "upcalls", row->counters.upcalls, row->counters.n_upcalls);
	json_put_number(j, "failed_replies", row->counters.failed_replies);
	json_values(j, "content", row->counters.content, row->counters.n_content);
	json_put_end(j);
}

static void print_json(const struct mount_list *list)
{
	struct json_out j;

	json_out_start(&j, stdout, 3);
	json_put_object(&j, NULL);
	json_put_array(&j, "mounts");
	for (size_t i = 0; i < list->n; i++)
		json_row(&j, &list->rows[i]);
	json_put_end(&j);
	json_put_end(&j);
}

/* ---- the command ---- */

static void row_swap(struct mount_row *a, struct mount_row *b)
{
	struct mount_row old = *a;

	*a = *b;
	*b = old;
}

/* Keep the mounts of one directory: shown are the first n, the others still have to be freed. */
static size_t list_select(struct mount_list *list, const char *path)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->rows[i].mountpoint, path) == 0)
			row_swap(&list->rows[n++], &list->rows[i]);
	return n;
}

static err_t show(const char *directory, bool json, struct diag *d)
{
	struct mount_list list = {0}, shown;
	auto_free char *path = NULL;
	err_t err = mounts_list(&list, d);

	shown = list;
	if (!err && directory)
		err = mountpoint_path(directory, &path, d);
	if (!err && directory)
		shown.n = list_select(&list, path);
	if (!err && directory && shown.n == 0)
		err = fail(d, ERR_NOT_FOUND, -ENOENT, "no image of yours is mounted on %s",
			   directory);
	if (!err && json)
		print_json(&shown);
	else if (!err)
		print_text(&shown, directory != NULL);
	mount_list_fini(&list);
	return err;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct diag d = DIAG_INIT;
	char **operands;
	const struct option_row rows[] = {
		{0, "json", OPT_FLAG, &common.json, NULL, "one object with an array of mounts"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &common, &operands);

	if (n > 1)
		return cli_usage_error(self, "expected one DIR at the most, got %d operands", n);
	return show(n ? operands[0] : NULL, common.json, &d) ? cli_fail(self, &d) : 0;
}

const struct command cmd_status = {
	.name = "status",
	.synopsis = "[--json] [DIR]",
	.summary = "Show what is mounted, what it was asked and what it fetched",
	.details = "Lists the mounts of the user who asks. With DIR: everything about that one.\n"
		   "The figures hold every read that has returned.",
	.run = run,
};
