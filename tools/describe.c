/*
 * Asking a command for its rows. They stand on the stack of its run function, so whoever asks looks
 * at them while that function is still there, and a jump takes the place of its return.
 */
#include "tools/describe.h"

#include <setjmp.h>
#include <string.h>

/* Who asks; they nest when a group's commands are asked from the answer of the group. */
static struct asked {
	jmp_buf back;
	describe_fn *fn;
	void *arg;
	struct asked *outer;
} * asked;

void describe_command(const struct command *command, describe_fn *fn, void *arg)
{
	char *words[] = {(char *)command_own_name(command), NULL};
	struct asked here = {.fn = fn, .arg = arg, .outer = asked};
	if (!setjmp(here.back)) {
		asked = &here;
		(void)command->run(command, 1, words);
		BUG_ON(true); /* it has neither parsed nor dispatched */
	}
}

void described(const struct description *d)
{
	struct asked *by = asked;
	if (!by)
		return;
	asked = by->outer;
	by->fn(by->arg, d);
	longjmp(by->back, 1);
}

/* ---- tables in tables ---- */

struct walk {
	describe_fn *fn;
	void *arg;
};

static void walk_one(void *arg, const struct description *d)
{
	const struct walk *walk = arg;
	walk->fn(walk->arg, d);
	if (d->commands)
		describe_tree(d->commands, walk->fn, walk->arg);
}

void describe_tree(const struct command *const *table, describe_fn *fn, void *arg)
{
	struct walk walk = {fn, arg};
	for (; *table; table++)
		describe_command(*table, walk_one, &walk);
}

static void take_commands(void *arg, const struct description *d)
{
	*(const struct command *const **)arg = d->commands;
}

const struct command *const *describe_commands(const struct command *command)
{
	const struct command *const *table = NULL;
	describe_command(command, take_commands, &table);
	return table;
}

static const struct command *named(const struct command *const *table, const char *word)
{
	for (; *table; table++)
		if (!strcmp(command_own_name(*table), word))
			return *table;
	return NULL;
}

const struct command *describe_find(const struct command *const *table, char *const *words, int n,
				    int *used)
{
	const struct command *found = NULL;
	for (*used = 0; *used < n && table; ++*used) {
		const struct command *next = named(table, words[*used]);
		if (!next)
			break;
		found = next;
		table = describe_commands(found);
	}
	return found;
}

/* ---- rows ---- */

bool option_row_is_last(const struct option_row *row)
{
	return !row->short_name && !row->long_name;
}

bool option_takes_argument(const struct option_row *row)
{
	return row->kind != OPT_FLAG && row->kind != OPT_COUNT;
}

const char *command_own_name(const struct command *c)
{
	const char *space = strrchr(c->name, ' ');
	return space ? space + 1 : c->name;
}
