/*
 * How findings look: a level in three letters' width, a name, a text; for a script one object each.
 */
#include "tools/doctor.h"

#include "tools/terminal.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define INDENT	   24 /* of texts, behind level and name */
#define TEXT_LEAST 30 /* a narrower terminal breaks lines by itself */

static const char *level_name(enum doctor_level level)
{
	static const char *const names[] = {
		[DOCTOR_OK] = "ok", [DOCTOR_WARN] = "warn", [DOCTOR_FAIL] = "fail"};
	return names[level];
}

static const char *level_colour(enum doctor_level level)
{
	static const char *const colours[] = {
		[DOCTOR_OK] = "\033[32m", [DOCTOR_WARN] = "\033[33m", [DOCTOR_FAIL] = "\033[31m"};
	return colours[level];
}

/* Words in lines of at most `width` columns, all but the first set in. */
static void print_wrapped(const char *text, unsigned width)
{
	unsigned used = 0, room = width > INDENT + TEXT_LEAST ? width - INDENT : 0;
	while (*text) {
		unsigned n = (unsigned)strcspn(text, " ");
		if (used && room && used + 1 + n > room) {
			printf("\n%*s", INDENT, "");
			used = 0;
		} else if (used) {
			putchar(' ');
			used++;
		}
		printf("%.*s", (int)n, text);
		used += n;
		text += n + strspn(text + n, " ");
	}
	putchar('\n');
}

static void print_text(const struct doctor *doc, enum doctor_level level, const char *name,
		       const char *text, const char *hint)
{
	printf("%s%-4s%s  %-*s", doc->colours ? level_colour(level) : "", level_name(level),
	       doc->colours ? "\033[0m" : "", INDENT - 6, name);
	print_wrapped(text, doc->width);
	if (hint) {
		printf("%*s", INDENT, "");
		print_wrapped(hint, doc->width);
	}
	fflush(stdout);
}

static void print_json(struct json_out *j, enum doctor_level level, const char *name,
		       const char *text, const char *hint)
{
	json_put_object(j, NULL);
	json_put_text(j, "level", level_name(level));
	json_put_text(j, "name", name);
	json_put_text(j, "text", text);
	if (hint)
		json_put_text(j, "hint", hint);
	json_put_end(j);
}

static void show(struct doctor *doc, enum doctor_level level, const char *name, const char *text,
		 const char *hint)
{
	doc->failed |= level == DOCTOR_FAIL;
	doc->failed_more |= level == DOCTOR_FAIL && !doc->mounts_only;
	doc->n_warnings += level == DOCTOR_WARN;
	if (doc->json)
		print_json(doc->json, level, name, text, hint);
	else if (level != DOCTOR_OK || !doc->quiet)
		print_text(doc, level, name, text, hint);
}

void doctor_say(struct doctor *doc, enum doctor_level level, const char *name, const char *hint,
		const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_make_printable(text);
	auto_free char *printable = xstrdup_or_null(hint);
	if (printable)
		text_make_printable(printable);
	show(doc, level, name, text, printable);
}

void doctor_error(struct doctor *doc, enum doctor_level level, const char *name,
		  const struct diag *d, const char *hint)
{
	const char *advice = strstr(d->text, "; ");
	auto_free char *text =
		xstrndup(d->text, advice ? (size_t)(advice - d->text) : strlen(d->text));
	doctor_say(doc, level, name, advice ? advice + 2 : hint, "%s", text);
}

char *doctor_program(const char *name)
{
	const char *path = getenv("PATH");
	auto_free char *copy = xstrdup(path && *path ? path : "/usr/bin:/bin");
	char *rest = copy, *folder;
	while ((folder = strsep(&rest, ":"))) {
		auto_free char *file = xasprintf("%s/%s", *folder ? folder : ".", name);
		if (access(file, X_OK) == 0)
			return take(&file);
	}
	return NULL;
}
