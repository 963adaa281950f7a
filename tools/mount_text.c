/*
 * Cut at characters, never inside one; what is cut is marked by dots.
 */
#include "tools/mount_text.h"

#include "tools/format.h"
#include "tools/text.h"

#define DOTS	       "..."
#define DOTS_WIDTH     3
#define BYTES_A_COLUMN 8 /* more only in names made to be long */

static const char *const codes[] = {
	[MOUNT_TEXT_PLAIN] = "",	 [MOUNT_TEXT_HEAD] = "\x1b[1m",
	[MOUNT_TEXT_CHOSEN] = "\x1b[7m", [MOUNT_TEXT_BAD] = "\x1b[31m",
	[MOUNT_TEXT_GOOD] = "\x1b[32m",
};

void mount_text_begin(const struct mount_view *v, enum mount_text_style style)
{
	if (v->colours)
		fputs(codes[style], v->out);
}

void mount_text_end(const struct mount_view *v, enum mount_text_style style)
{
	if (v->colours && style != MOUNT_TEXT_PLAIN)
		fputs("\x1b[0m", v->out);
}

static size_t character_len(const uint8_t *p, size_t n)
{
	return max_of(format_utf8_len(p, n), (size_t)1);
}

static struct bytes without_first(struct bytes text)
{
	size_t n = character_len(text.p, text.n);

	return (struct bytes){text.p + n, text.n - n};
}

static struct bytes without_last(struct bytes text)
{
	size_t at = 0, last = 0;

	for (; at < text.n; at += character_len(text.p + at, text.n - at))
		last = at;
	return (struct bytes){text.p, last};
}

static void blanks(const struct mount_view *v, size_t n)
{
	fprintf(v->out, "%*s", (int)n, "");
}

void mount_text_tail(const struct mount_view *v, struct bytes name, size_t width, bool fill)
{
	size_t used;

	/* No character of a path is that long, so this takes away nothing that would be shown. */
	while (width && name.n > BYTES_A_COLUMN * width)
		name = without_first(name);
	used = text_width(name);
	if (width && used > width && width > DOTS_WIDTH) {
		while (name.n && text_width(name) > width - DOTS_WIDTH)
			name = without_first(name);
		fputs(DOTS, v->out);
		used = DOTS_WIDTH + text_width(name);
	}
	format_name(v->out, name);
	if (fill && used < width)
		blanks(v, width - used);
}

void mount_text_start(const struct mount_view *v, struct bytes text, size_t width)
{
	bool cut = width && text_width(text) > width;

	while (cut && text.n && text_width(text) + DOTS_WIDTH > width)
		text = without_last(text);
	format_name(v->out, text);
	if (cut && width >= DOTS_WIDTH)
		fputs(DOTS, v->out);
}
