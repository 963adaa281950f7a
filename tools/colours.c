/*
 * LS_COLORS is a list of KEY=SGR with colons between, KEY two letters for a kind of file or
 * "*SUFFIX"; what it does not say has the colour that dircolors(1) gives it.
 */
#include "tools/colours.h"

#include <string.h>
#include <sys/stat.h>

#define SGR_MAX 40 /* bytes of one colour; longer ones are no colour */

/* A kind of file: the first row that fits a mode decides. */
static const struct {
	uint32_t mask, mode;
	const char *key, *sgr;
} kinds[] = {
	{S_IFMT, S_IFLNK, "ln", "01;36"},
	{S_IFMT | S_ISVTX | S_IWOTH, S_IFDIR | S_ISVTX | S_IWOTH, "tw", "30;42"},
	{S_IFMT | S_IWOTH, S_IFDIR | S_IWOTH, "ow", "34;42"},
	{S_IFMT | S_ISVTX, S_IFDIR | S_ISVTX, "st", "37;44"},
	{S_IFMT, S_IFDIR, "di", "01;34"},
	{S_IFMT, S_IFIFO, "pi", "33"},
	{S_IFMT, S_IFSOCK, "so", "01;35"},
	{S_IFMT, S_IFBLK, "bd", "01;33"},
	{S_IFMT, S_IFCHR, "cd", "01;33"},
	{S_IFMT | S_ISUID, S_IFREG | S_ISUID, "su", "37;41"},
	{S_IFMT | S_ISGID, S_IFREG | S_ISGID, "sg", "30;43"},
	{S_IFMT | S_IXUSR, S_IFREG | S_IXUSR, "ex", "01;32"},
	{S_IFMT | S_IXGRP, S_IFREG | S_IXGRP, "ex", "01;32"},
	{S_IFMT | S_IXOTH, S_IFREG | S_IXOTH, "ex", "01;32"},
};

static bool is_sgr(struct bytes text)
{
	for (size_t i = 0; i < text.n; i++)
		if (!strchr("0123456789;", text.p[i]) || !text.p[i])
			return false;
	return text.n < SGR_MAX;
}

static bool ends_with(struct bytes name, const char *suffix, size_t n)
{
	return name.n >= n && !memcmp(name.p + name.n - n, suffix, n);
}

/* The last item of LS_COLORS whose key fits: a word of its own, or the end of a name. */
static bool find_item(const char *key, struct bytes name, struct bytes *sgr)
{
	const char *at = getenv("LS_COLORS");
	bool found = false;
	for (; at && *at; at += strspn(at, ":")) {
		const char *end = strchrnul(at, ':'), *equals = memchr(at, '=', (size_t)(end - at));
		size_t n = equals ? (size_t)(equals - at) : 0;
		bool fits = key ? n == strlen(key) && !memcmp(at, key, n)
				: n > 1 && *at == '*' && ends_with(name, at + 1, n - 1);
		struct bytes value = {(const uint8_t *)equals + 1,
				      equals ? (size_t)(end - equals - 1) : 0};
		if (fits && is_sgr(value)) {
			*sgr = value;
			found = true;
		}
		at = end;
	}
	return found;
}

static struct bytes kind_sgr(const char *key, const char *usual)
{
	struct bytes sgr = BYTES_STR(usual);
	(void)find_item(key, sgr, &sgr);
	return sgr;
}

static struct bytes sgr_of(uint32_t mode, struct bytes name, bool broken)
{
	struct bytes sgr;
	if (broken)
		return kind_sgr("or", "01;31");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if ((mode & kinds[i].mask) == kinds[i].mode)
			return kind_sgr(kinds[i].key, kinds[i].sgr);
	return find_item(NULL, name, &sgr) ? sgr : kind_sgr("fi", "");
}

bool colours_begin(FILE *out, uint32_t mode, struct bytes name, bool broken)
{
	struct bytes sgr = sgr_of(mode, name, broken);
	if (!sgr.n)
		return false;
	fprintf(out, "\033[%.*sm", (int)sgr.n, (const char *)sgr.p);
	return true;
}

void colours_end(FILE *out, bool begun)
{
	if (begun)
		fputs("\033[0m", out);
}
