/*
 * Arguments of tests as numbers, masks and times. Each reads the whole text or says what is wrong
 * with it.
 */
#include "tools/find.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SYMBOLIC_ALL 07777u

static err_t wrong(const char *text, const char *wanted, struct diag *d)
{
	return fail(d, ERR_USAGE, -EINVAL, "'%s' is not %s", text, wanted);
}

/* Decimal digits at *at, which is moved behind them. */
static bool read_digits(const char **at, uint64_t *out)
{
	const char *p = *at;
	uint64_t n = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return false;
	bool any = p != *at;
	*at = p;
	*out = n;
	return any;
}

static const char *read_sign(const char *text, struct find_value *out)
{
	out->sign = *text == '+' || *text == '-' ? *text : 0;
	return text + (out->sign != 0);
}

err_t find_number(const char *text, struct find_value *out, struct diag *d)
{
	const char *at = read_sign(text, out);
	if (!read_digits(&at, &out->number) || *at)
		return wrong(text, "a number (N, +N: more, -N: less)", d);
	return 0;
}

err_t find_size(const char *text, struct find_value *out, struct diag *d)
{
	static const struct {
		char letter;
		uint64_t unit;
	} units[] = {{'\0', 512},     {'b', 512},      {'c', 1},       {'w', 2},
		     {'k', 1u << 10}, {'M', 1u << 20}, {'G', 1u << 30}};
	const char *at = read_sign(text, out);
	bool good = read_digits(&at, &out->number);
	for (size_t i = 0; good && i < ARRAY_LEN(units); i++) {
		if (*at != units[i].letter || (*at && at[1]))
			continue;
		out->unit = units[i].unit;
		return 0;
	}
	return wrong(text, "a size ([+-]N and c, w, b, k, M or G)", d);
}

bool find_compare(const struct find_value *value, uint64_t number)
{
	if (value->sign == '+')
		return number > value->number;
	return value->sign == '-' ? number < value->number : number == value->number;
}

err_t find_types(const char *text, struct find_value *out, struct diag *d)
{
	static const char letters[] = "bcdpfls";
	static const uint32_t modes[] = {S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO,
					 S_IFREG, S_IFLNK, S_IFSOCK};
	for (const char *at = text;; at += 2) {
		const char *letter = *at ? strchr(letters, *at) : NULL;
		if (!letter || (at[1] && at[1] != ','))
			return wrong(text, "a type (letters of bcdpfls with commas between)", d);
		out->bits |= 1u << (modes[letter - letters] >> 12);
		if (!at[1])
			return 0;
	}
}

/* Who is meant by "ug": the bits that belong to them, setuid, setgid and sticky included. */
static const char *read_who(const char *at, uint32_t *who)
{
	for (*who = 0;; at++) {
		switch (*at) {
		case 'u':
			*who |= S_ISUID | 0700;
			break;
		case 'g':
			*who |= S_ISGID | 0070;
			break;
		case 'o':
			*who |= S_ISVTX | 0007;
			break;
		case 'a':
			*who |= SYMBOLIC_ALL;
			break;
		default:
			*who = *who ? *who : SYMBOLIC_ALL;
			return at;
		}
	}
}

/* "rw", or one letter of ugo, which copies what they have. */
static const char *read_permissions(const char *at, uint32_t mode, uint32_t *bits)
{
	static const char letters[] = "rwxst", classes[] = "ugo";
	static const uint32_t masks[] = {0444, 0222, 0111, S_ISUID | S_ISGID, S_ISVTX};
	const char *found;
	*bits = 0;
	if (*at && (found = strchr(classes, *at))) {
		*bits = (mode >> (6 - 3 * (found - classes)) & 7u) * 0111u;
		return at + 1;
	}
	for (; *at && (found = strchr(letters, *at)); at++)
		*bits |= masks[found - letters];
	return at;
}

/* "u+w,g=rx" as chmod(1) applies it to a file without permissions. */
static bool read_symbolic(const char *at, uint32_t *mode)
{
	uint32_t who, bits;
	for (*mode = 0;; at++) {
		at = read_who(at, &who);
		if (!*at || !strchr("+-=", *at))
			return false;
		while (*at && strchr("+-=", *at)) {
			char sign = *at;
			at = read_permissions(at + 1, *mode, &bits);
			if (sign == '=')
				*mode &= ~who;
			if (sign == '-')
				*mode &= ~(bits & who);
			else
				*mode |= bits & who;
		}
		if (*at != ',')
			return !*at;
	}
}

static bool read_octal(const char *text, uint32_t *mode)
{
	*mode = 0;
	for (; *text >= '0' && *text <= '7' && *mode <= 07777; text++)
		*mode = *mode << 3 | (uint32_t)(*text - '0');
	return !*text && *mode <= 07777;
}

err_t find_mode(const char *text, struct find_value *out, struct diag *d)
{
	const char *at = text;
	out->sign = *at == '-' || *at == '/' ? *at++ : 0;
	if (*at &&
	    (*at >= '0' && *at <= '9' ? read_octal(at, &out->bits) : read_symbolic(at, &out->bits)))
		return 0;
	return wrong(text, "a mode ([-/] and octal digits, or as u+w,g=rx)", d);
}

/* The rest of a date behind its day: nothing, or a time of day. */
static bool read_time_of_day(const char *at, struct tm *tm)
{
	static const char *const formats[] = {"%H:%M:%S", "%H:%M"};
	if (!*at)
		return true;
	if (*at != ' ' && *at != 'T')
		return false;
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		const char *end = strptime(at + 1, formats[i], tm);
		if (end && (!*end || !strcmp(end, "Z") || !strcmp(end, " UTC")))
			return true;
	}
	return false;
}

err_t find_date(const char *text, struct find_value *out, struct diag *d)
{
	struct tm tm = {0};
	const char *at = text + 1;
	uint64_t seconds;
	out->time = (struct find_time){0};
	if (*text == '@' && read_digits(&at, &seconds) && !*at && seconds <= INT64_MAX) {
		out->time.seconds = (int64_t)seconds;
		return 0;
	}
	at = *text == '@' ? NULL : strptime(text, "%Y-%m-%d", &tm);
	if (!at || !read_time_of_day(at, &tm))
		return wrong(text, "a date (2024-02-29, 2024-02-29 23:59, @SECONDS; UTC)", d);
	int day = tm.tm_mday;
	out->time.seconds = timegm(&tm);
	if (tm.tm_mday != day) /* the 30th of February became another day */
		return wrong(text, "a day of the calendar", d);
	return 0;
}
