/*
 * The C library knows patterns and the widths of characters, for the locale of the calling thread:
 * around each call that is C.UTF-8, which glibc has built in, and nothing where it has not.
 */
#include "tools/text.h"

#include "tools/format.h"

#include <fnmatch.h>
#include <locale.h>
#include <string.h>
#include <wchar.h>

#define OCTAL_WIDTH 4 /* of a byte that format_name writes as \ooo */

static locale_t enter_utf8(void)
{
	static locale_t utf8; /* made once, lives as long as the process */
	if (!utf8)
		utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	return utf8 ? uselocale(utf8) : (locale_t)0;
}

static void leave_utf8(locale_t before)
{
	if (before)
		uselocale(before);
}

bool text_matches(const char *pattern, struct bytes name, int flags)
{
	auto_free char *text = xstrndup((const char *)name.p, name.n);
	locale_t before = enter_utf8();
	int found = fnmatch(pattern, text, flags);
	leave_utf8(before);
	return !found;
}

bool text_is_pattern(const char *text)
{
	return strpbrk(text, "*?[\\") != NULL;
}

/* A well-formed UTF-8 sequence as a number. */
static wchar_t code_point(const uint8_t *p, size_t len)
{
	static const uint8_t first_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	wchar_t code = p[0] & first_mask[len];
	for (size_t i = 1; i < len; i++)
		code = code << 6 | (p[i] & 0x3f);
	return code;
}

static size_t character_width(const uint8_t *p, size_t len)
{
	if (len == 1)
		return *p == '\\' ? 2 : 1;
	int width = wcwidth(code_point(p, len));
	return width < 0 ? 1 : (size_t)width;
}

size_t text_width(struct bytes name)
{
	locale_t before = enter_utf8();
	size_t width = 0;
	for (size_t i = 0, len; i < name.n; i += len) {
		const uint8_t *p = name.p + i;
		len = format_utf8_len(p, name.n - i);
		bool plain = len && !format_is_control(p, len);
		len = max_of(len, (size_t)1);
		width += plain ? character_width(p, len) : len * OCTAL_WIDTH;
	}
	leave_utf8(before);
	return width;
}
