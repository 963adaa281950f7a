/*
 * Text for people, made without locale and time zone. Names come from images that nobody has to
 * trust: what reaches a terminal is filtered here.
 */
#include "tools/format.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const struct {
	uint32_t mode;
	char letter;
	const char *name;
} types[] = {
	{S_IFDIR, 'd', "directory"}, {S_IFREG, '-', "file"},  {S_IFLNK, 'l', "symlink"},
	{S_IFCHR, 'c', "char"},	     {S_IFBLK, 'b', "block"}, {S_IFIFO, 'p', "fifo"},
	{S_IFSOCK, 's', "socket"},
};

const char *format_type(uint32_t mode)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].mode == (mode & S_IFMT))
			return types[i].name;
	return "unknown";
}

static char type_letter(uint32_t mode)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].mode == (mode & S_IFMT))
			return types[i].letter;
	return '?';
}

const char *format_mode(uint32_t mode, char buf[FORMAT_TEXT_MAX])
{
	static const char bits[] = "rwxrwxrwx";
	static const struct {
		uint32_t bit;
		int at;
		char letter;
	} special[] = {{S_ISUID, 3, 's'}, {S_ISGID, 6, 's'}, {S_ISVTX, 9, 't'}};
	buf[0] = type_letter(mode);
	for (int i = 0; i < 9; i++)
		buf[1 + i] = mode & (0400u >> i) ? bits[i] : '-';
	for (size_t i = 0; i < ARRAY_LEN(special); i++) {
		char *at = &buf[special[i].at];
		if (mode & special[i].bit)
			*at = *at == 'x' ? special[i].letter : (char)(special[i].letter - 32);
	}
	buf[10] = '\0';
	return buf;
}

const char *format_minute(int64_t seconds, char buf[FORMAT_TEXT_MAX])
{
	struct tm tm;
	time_t t = seconds;
	if (!gmtime_r(&t, &tm) || !strftime(buf, FORMAT_TEXT_MAX, "%Y-%m-%d %H:%M", &tm))
		snprintf(buf, FORMAT_TEXT_MAX, "@%" PRId64, seconds);
	return buf;
}

const char *format_time(int64_t seconds, uint32_t ns, char buf[FORMAT_TEXT_MAX])
{
	struct tm tm;
	time_t t = seconds;
	char whole[40];
	if (!gmtime_r(&t, &tm) || !strftime(whole, sizeof(whole), "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(whole, sizeof(whole), "@%" PRId64, seconds);
	snprintf(buf, FORMAT_TEXT_MAX, "%s.%09" PRIu32 " UTC", whole, ns);
	return buf;
}

const char *format_size(uint64_t bytes, char buf[FORMAT_TEXT_MAX])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	if (bytes < 1024) {
		snprintf(buf, FORMAT_TEXT_MAX, "%" PRIu64 " B", bytes);
		return buf;
	}
	size_t unit = 0;
	double value = (double)bytes / 1024;
	/* 1023.95 would be printed as 1024.0 of the smaller unit */
	while (value >= 1023.95 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(buf, FORMAT_TEXT_MAX, "%.1f %s", value, units[unit]);
	return buf;
}

const char *format_size_short(uint64_t bytes, char buf[FORMAT_TEXT_MAX])
{
	static const char units[] = "KMGTPE";
	unsigned unit = 0, shift = 10;
	if (bytes < 1024) {
		snprintf(buf, FORMAT_TEXT_MAX, "%" PRIu64, bytes);
		return buf;
	}
	while (bytes >> shift >= 1024) {
		shift += 10;
		unit++;
	}
	uint64_t whole = bytes >> shift, rest = bytes & ((UINT64_C(1) << shift) - 1);
	/* rest is below 2^60: times ten fits */
	uint64_t tenths = whole * 10 + ((rest * 10) >> shift) +
			  (((rest * 10) & ((UINT64_C(1) << shift) - 1)) != 0);
	if (tenths > 99)
		whole += rest != 0;
	if (tenths > 99 && whole == 1024) {
		unit++;
		tenths = 10;
	}
	if (tenths > 99)
		snprintf(buf, FORMAT_TEXT_MAX, "%" PRIu64 "%c", whole, units[unit]);
	else
		snprintf(buf, FORMAT_TEXT_MAX, "%" PRIu64 ".%" PRIu64 "%c", tenths / 10,
			 tenths % 10, units[unit]);
	return buf;
}

const char *format_percent(uint64_t part, uint64_t whole, char buf[FORMAT_TEXT_MAX])
{
	if (whole)
		snprintf(buf, FORMAT_TEXT_MAX, "%.2f %%", 100.0 * (double)part / (double)whole);
	else
		snprintf(buf, FORMAT_TEXT_MAX, "-");
	return buf;
}

size_t format_utf8_len(const uint8_t *p, size_t n)
{
	static const struct {
		uint8_t first_min, first_max, len, second_min, second_max;
	} forms[] = {
		{0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf},
		{0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f},
		{0xee, 0xef, 3, 0x80, 0xbf}, {0xf0, 0xf0, 4, 0x90, 0xbf},
		{0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
	};
	if (p[0] < 0x80)
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (p[0] < forms[i].first_min || p[0] > forms[i].first_max)
			continue;
		if (n < forms[i].len || p[1] < forms[i].second_min || p[1] > forms[i].second_max)
			return 0;
		for (size_t k = 2; k < forms[i].len; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].len;
	}
	return 0;
}

bool format_is_utf8(struct bytes text)
{
	for (size_t i = 0, len; i < text.n; i += len) {
		len = format_utf8_len(text.p + i, text.n - i);
		if (!len)
			return false;
	}
	return true;
}

bool format_is_control(const uint8_t *p, size_t len)
{
	if (len == 1)
		return p[0] < 0x20 || p[0] == 0x7f;
	if (len == 2)
		return p[0] == 0xc2 && p[1] < 0xa0;
	if (len == 3 && p[0] == 0xe2 && p[1] == 0x80) /* U+200E..F, U+2028..E */
		return p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae);
	if (len == 3 && p[0] == 0xe2 && p[1] == 0x81) /* U+2066..9 */
		return p[2] >= 0xa6 && p[2] <= 0xa9;
	return false;
}

void format_name(FILE *out, struct bytes name)
{
	for (size_t i = 0; i < name.n;) {
		const uint8_t *p = name.p + i;
		size_t len = format_utf8_len(p, name.n - i);
		bool plain = len && !format_is_control(p, len);
		len = len ? len : 1;
		if (plain && *p == '\\')
			fputs("\\\\", out);
		else if (plain)
			fwrite(p, 1, len, out);
		else
			for (size_t k = 0; k < len; k++)
				fprintf(out, "\\%03o", p[k]);
		i += len;
	}
}

void format_raw(FILE *out, struct bytes name)
{
	if (name.n)
		fwrite(name.p, 1, name.n, out);
}
