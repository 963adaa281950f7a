/*
 * imgfs status: what the daemons' records say. No daemon is asked, none wakes up.
 */
#include "fs/mountpoint.h"
#include "fs/mounts.h"
#include "tools/cli.h"
#include "tools/format.h"
#include "tools/json_out.h"
#include "tools/mount_dead.h"
#include "tools/mount_view.h"
#include "tools/terminal.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* ---- text ---- */

static void print_label(const char *label, const char *value)
{
	printf("%-11s ", label);
	format_name(stdout, BYTES_STR(value));
	putchar('\n');
}

static void print_values(const struct mount_view *v, const char *label,
			 const struct counter_value *values, size_t n)
{
	char *text = NULL;
	size_t len;
	FILE *line = open_memstream(&text, &len);

	BUG_ON(!line);
	for (size_t i = 0; i < n; i++)
		if (values[i].value)
			fprintf(line, "%s%s=%" PRIu64, ftell(line) ? " " : "", values[i].name,
				values[i].value);
	fclose(line);
	mount_view_line(v, label, text);
	free(text);
}

/* Beside signed layers they look as if something were missing. */
static void print_small(const struct mount_view *v, const struct mount_row *row)
{
	bool any = false;

	for (uint32_t i = 0; i < row->n_layers; i++)
		any = any || mount_layer_is_small(&row->layers[i]);
	if (any)
		mount_view_line(v, "small",
				"up to 1 MiB: in no published index, but fetched whole, verified "
				"and indexed when it is first read");
}

static void print_details(const struct mount_view *v, const struct mount_row *row)
{
	struct mount_names names;
	char up[24];

	mount_names_load(row, &names);
	print_label("mountpoint", row->mountpoint);
	print_label("image", row->reference);
	print_label("manifest", row->manifest);
	print_label("store", row->store);
	print_label("state", mount_is_attached(row) ? "mounted" : "detached");
	printf("%-11s %d\n", "pid", row->pid);
	printf("%-11s %s\n", "uptime", mount_view_uptime(mount_uptime_s(row), up));
	mount_view_totals(v, row);
	mount_view_last_error(v, row);
	print_values(v, "upcalls", row->counters.upcalls, row->counters.n_upcalls);
	print_values(v, "content", row->counters.content, row->counters.n_content);
	mount_view_layers(v, row, row->n_layers);
	print_small(v, row);
	mount_view_waiting(v, row, &names, BOARD_WAITING_MAX);
	mount_view_slow(v, row, &names, BOARD_SLOW_MAX);
	mount_names_fini(&names);
}

static void print_text(const struct mount_list *list, bool details)
{
	bool terminal = terminal_is(STDOUT_FILENO);
	const struct mount_view v = {
		.out = stdout,
		.width = terminal ? terminal_width(STDOUT_FILENO) : 0,
		.colours = terminal_colours(STDOUT_FILENO, COLOUR_AUTO),
	};

	/* Scripts get an empty table; people a word. */
	if (!list->n && terminal)
		puts("Nothing is mounted.");
	if (!details && list->n)
		mount_view_table(&v, list->rows, list->n, NULL, list->n);
	for (size_t i = 0; details && i < list->n; i++) {
		if (i)
			putchar('\n');
		print_details(&v, &list->rows[i]);
	}
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

static void json_layers(struct json_out *j, const struct mount_row *row)
{
	json_put_array(j, "layer_details");
	for (uint32_t i = 0; i < row->n_layers; i++) {
		const struct mount_layer *l = &row->layers[i];

		json_put_object(j, NULL);
		json_put_number(j, "number", i);
		json_put_text(j, "digest", l->digest[0] ? l->digest : NULL);
		json_put_text(j, "state", layer_state_name(l->state));
		json_put_number(j, "size", l->size);
		json_put_number(j, "fetched_bytes", l->fetched_bytes);
		json_put_number(j, "chunks", l->n_chunks);
		json_put_number(j, "chunks_stored", l->n_stored);
		json_put_number(j, "same_as", l->same_as);
		json_put_end(j);
	}
	json_put_end(j);
}

/* What a read wanted; the path only where it is known. */
static void json_wanted(struct json_out *j, const struct mount_names *names, uint32_t row,
			uint64_t off, uint32_t n, uint32_t layer)
{
	struct bytes path = mount_name(names, row);

	json_put_number(j, "inode", (uint64_t)row + 1);
	if (path.n)
		json_put_bytes(j, "path", path);
	json_put_number(j, "offset", off);
	json_put_number(j, "length", n);
	json_put_number(j, "layer", layer);
}

static void json_waiting(struct json_out *j, const struct board_view *b,
			 const struct mount_names *names)
{
	json_put_array(j, "waiting");
	for (size_t i = 0; i < b->n_waiting_shown; i++) {
		const struct board_wait *w = &b->waiting[i];

		json_put_object(j, NULL);
		json_wanted(j, names, w->row, w->off, w->n, w->layer);
		json_put_number(j, "waited_ms", mount_wait_ms(w));
		json_put_text(j, "reason", board_reason(b, w));
		json_put_end(j);
	}
	json_put_end(j);
}

static void json_slow(struct json_out *j, const struct board_view *b,
		      const struct mount_names *names)
{
	json_put_array(j, "slow");
	for (size_t i = 0; i < b->n_slow; i++) {
		const struct board_slow *s = &b->slow[i];

		json_put_object(j, NULL);
		json_wanted(j, names, s->row, s->off, s->n, s->layer);
		json_put_number(j, "waited_ms", s->wait_ms);
		json_put_signed(j, "ended", s->at_s);
		json_put_bool(j, "failed", s->err != 0);
		json_put_text(j, "reason", s->why);
		json_put_end(j);
	}
	json_put_end(j);
}

static void json_failures(struct json_out *j, const struct board_view *b)
{
	json_put_array(j, "failures");
	for (size_t i = 0; i < b->n_failed; i++) {
		json_put_object(j, NULL);
		json_put_signed(j, "time", b->failed[i].at_s);
		json_put_number(j, "layer", b->failed[i].layer);
		json_put_number(j, "times", b->failed[i].times);
		json_put_text(j, "reason", b->failed[i].text);
		json_put_end(j);
	}
	json_put_end(j);
}

static void json_wait_times(struct json_out *j, const struct board_view *b)
{
	static const uint32_t bounds_ms[] = BOARD_BOUNDS_MS;

	json_put_array(j, "wait_times");
	for (size_t i = 0; i < BOARD_BUCKETS; i++) {
		json_put_object(j, NULL);
		if (i < ARRAY_LEN(bounds_ms))
			json_put_number(j, "up_to_ms", bounds_ms[i]);
		else
			json_put_null(j, "up_to_ms");
		json_put_number(j, "reads", b->waits[i]);
		json_put_end(j);
	}
	json_put_end(j);
}

static void json_board(struct json_out *j, const struct mount_row *row)
{
	const struct board_view *b = &row->board;
	int hit = mount_hit_percent(b->stats.store_hits, b->stats.misses);
	struct mount_names names;

	mount_names_load(row, &names);
	json_put_number(j, "size", row->size);
	if (hit < 0)
		json_put_null(j, "hit_percent");
	else
		json_put_number(j, "hit_percent", (uint64_t)hit);
	json_put_number(j, "reads_waiting", b->n_waiting);
	json_put_number(j, "fetches_running", b->n_fetching);
	json_layers(j, row);
	json_waiting(j, b, &names);
	json_slow(j, b, &names);
	json_failures(j, b);
	json_wait_times(j, b);
	mount_names_fini(&names);
}

static void json_row(struct json_out *j, const struct mount_row *row)
{
	json_put_object(j, NULL);
	json_put_bytes(j, "mountpoint", BYTES_STR(row->mountpoint));
	json_put_bytes(j, "image", BYTES_STR(row->reference));
	json_put_text(j, "manifest", row->manifest);
	json_put_bytes(j, "store", BYTES_STR(row->store));
	json_put_text(j, "state", mount_is_attached(row) ? "mounted" : "detached");
	json_put_signed(j, "pid", row->pid);
	json_put_signed(j, "started", row->started_at);
	json_put_number(j, "uptime_s", mount_uptime_s(row));
	json_put_array(j, "layers");
	for (uint32_t i = 0; i < row->n_layers; i++)
		json_put_text(j, NULL, layer_state_name(row->layers[i].state));
	json_put_end(j);
	json_put_number(j, "upcalls_total", row->counters.upcalls_total);
	json_values(j, "upcalls", row->counters.upcalls, row->counters.n_upcalls);
	json_put_number(j, "failed_replies", row->counters.failed_replies);
	json_values(j, "content", row->counters.content, row->counters.n_content);
	json_board(j, row);
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
		err = mount_missing(path, directory, d);
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
	if (show(n ? operands[0] : NULL, common.json, &d))
		return cli_fail(self, &d);
	if (n == 0 && !common.quiet)
		mount_warn_dead(self);
	return 0;
}

const struct command cmd_status = {
	.name = "status",
	.synopsis = "[--json] [DIR]",
	.summary = "Show what is mounted, what it was asked and what it fetched",
	.details =
		"Lists the mounts of the user who asks. With DIR: everything about that one: each\n"
		"layer with what vouches for it, how much of it was fetched, and which part of it "
		"is\n"
		"here; the reads that wait now, and why; those that waited longest in the last "
		"ten\n"
		"minutes; the last error. No daemon is asked, so this works when one hangs. Exit\n"
		"status 3: no image of yours is mounted on DIR, or its daemon is gone.\n\n"
		"READ is what readers got, FETCHED what came from the registry, OF the image's "
		"size,\n"
		"HIT the share of chunks that the store had, WAIT the reads that wait now.",
	.examples = "# what is mounted\nimgfs status\n"
		    "# why does it hang?\nimgfs status /mnt\n"
		    "# the same for a script\nimgfs status --json /mnt | jq '.mounts[0].slow'",
	.run = run,
};
