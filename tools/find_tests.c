/*
 * The tests of find(1): one row each, with what reads its argument and what it asks of an inode.
 * All of it is in the index; nothing is fetched.
 */
#include "tools/find.h"
#include "tools/text.h"

#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>

#define DAY_S 86400

static err_t keep_text(const char *text, struct find_value *out, struct diag *d)
{
	(void)d;
	out->text = text;
	return 0;
}

/* --- names --- */

static bool test_name(const struct find_value *v, const struct candidate *c)
{
	return text_matches(v->text, c->name, 0);
}

static bool test_iname(const struct find_value *v, const struct candidate *c)
{
	return text_matches(v->text, c->name, FNM_CASEFOLD);
}

static bool test_path(const struct find_value *v, const struct candidate *c)
{
	return text_matches(v->text, c->path, 0);
}

static bool test_ipath(const struct find_value *v, const struct candidate *c)
{
	return text_matches(v->text, c->path, FNM_CASEFOLD);
}

static bool target_matches(const struct find_value *v, const struct candidate *c, int flags)
{
	return S_ISLNK(c->inode.mode) &&
	       text_matches(v->text, index_link_target(c->tree, c->row), flags);
}

static bool test_lname(const struct find_value *v, const struct candidate *c)
{
	return target_matches(v, c, 0);
}

static bool test_ilname(const struct find_value *v, const struct candidate *c)
{
	return target_matches(v, c, FNM_CASEFOLD);
}

/* --- kind and permissions --- */

static bool test_type(const struct find_value *v, const struct candidate *c)
{
	return v->bits & 1u << ((c->inode.mode & S_IFMT) >> 12);
}

static bool test_perm(const struct find_value *v, const struct candidate *c)
{
	uint32_t mode = c->inode.mode & 07777;
	if (v->sign == '-')
		return (mode & v->bits) == v->bits;
	return v->sign == '/' ? !v->bits || mode & v->bits : mode == v->bits;
}

static bool test_uid(const struct find_value *v, const struct candidate *c)
{
	return find_compare(v, c->inode.uid);
}

static bool test_gid(const struct find_value *v, const struct candidate *c)
{
	return find_compare(v, c->inode.gid);
}

static bool test_links(const struct find_value *v, const struct candidate *c)
{
	return find_compare(v, c->inode.nlink);
}

/* Names would have to be looked up in a file of the image, which is not fetched for it. */
static err_t parse_owner(const char *text, struct find_value *out, struct diag *d)
{
	if (!strcmp(text, "root"))
		return 0;
	if (*text >= '0' && *text <= '9')
		return find_number(text, out, d);
	return fail(d, ERR_USAGE, -EINVAL,
		    "'%s' is not a number; names stand in the image's /etc/passwd and /etc/group, "
		    "which 'imgfs cat' shows",
		    text);
}

/* --- sizes --- */

static bool test_size(const struct find_value *v, const struct candidate *c)
{
	return find_compare(v, c->inode.size / v->unit + (c->inode.size % v->unit != 0));
}

static bool test_empty(const struct find_value *v, const struct candidate *c)
{
	(void)v;
	if (S_ISDIR(c->inode.mode))
		return !index_dir_count(c->tree, c->row);
	return S_ISREG(c->inode.mode) && !c->inode.size;
}

/* --- times --- */

static err_t parse_days(const char *text, struct find_value *out, struct diag *d)
{
	out->unit = DAY_S;
	return find_number(text, out, d);
}

static err_t parse_minutes(const char *text, struct find_value *out, struct diag *d)
{
	out->unit = 60;
	return find_number(text, out, d);
}

/* Whole units that have passed; what lies ahead is younger than any number. */
static bool test_age(const struct find_value *v, const struct candidate *c)
{
	int64_t age;
	if (__builtin_sub_overflow(v->time.seconds, c->inode.mtime, &age))
		age = c->inode.mtime > v->time.seconds ? INT64_MIN : INT64_MAX;
	else if (v->time.ns < c->inode.mtime_ns)
		age--;
	if (age < 0)
		return v->sign == '-';
	return find_compare(v, (uint64_t)age / v->unit);
}

static bool test_newer(const struct find_value *v, const struct candidate *c)
{
	if (c->inode.mtime != v->time.seconds)
		return c->inode.mtime > v->time.seconds;
	return c->inode.mtime_ns > v->time.ns;
}

/* --- other files of the image --- */

static err_t bind_row(const struct index *tree, struct find_value *value, struct diag *d)
{
	auto_free char *path = xasprintf("/%s", value->text);
	err_t err = index_path(tree, BYTES_STR(path), false, &value->row);
	if (err)
		return fail(d, ERR_NOT_FOUND, err, "%s: no such file in the image", value->text);
	return 0;
}

static err_t bind_time(const struct index *tree, struct find_value *value, struct diag *d)
{
	struct inode inode;
	err_t err = bind_row(tree, value, d);
	if (err)
		return err;
	index_inode(tree, value->row, &inode);
	value->time = (struct find_time){inode.mtime, inode.mtime_ns};
	return 0;
}

static bool test_samefile(const struct find_value *v, const struct candidate *c)
{
	return c->row == v->row;
}

static bool test_true(const struct find_value *v, const struct candidate *c)
{
	(void)v;
	(void)c;
	return true;
}

static bool test_false(const struct find_value *v, const struct candidate *c)
{
	(void)v;
	(void)c;
	return false;
}

static err_t parse_depth(const char *text, struct find_value *out, struct diag *d)
{
	err_t err = find_number(text, out, d);
	if (!err && out->sign)
		return fail(d, ERR_USAGE, -EINVAL, "'%s' is not a depth (0, 1, 2, ...)", text);
	return err;
}

static const struct primary primaries[] = {
	{"-name", PRIMARY_TEST, true, keep_text, NULL, test_name},
	{"-iname", PRIMARY_TEST, true, keep_text, NULL, test_iname},
	{"-path", PRIMARY_TEST, true, keep_text, NULL, test_path},
	{"-wholename", PRIMARY_TEST, true, keep_text, NULL, test_path},
	{"-ipath", PRIMARY_TEST, true, keep_text, NULL, test_ipath},
	{"-lname", PRIMARY_TEST, true, keep_text, NULL, test_lname},
	{"-ilname", PRIMARY_TEST, true, keep_text, NULL, test_ilname},
	{"-type", PRIMARY_TEST, true, find_types, NULL, test_type},
	{"-perm", PRIMARY_TEST, true, find_mode, NULL, test_perm},
	{"-uid", PRIMARY_TEST, true, find_number, NULL, test_uid},
	{"-gid", PRIMARY_TEST, true, find_number, NULL, test_gid},
	{"-user", PRIMARY_TEST, true, parse_owner, NULL, test_uid},
	{"-group", PRIMARY_TEST, true, parse_owner, NULL, test_gid},
	{"-links", PRIMARY_TEST, true, find_number, NULL, test_links},
	{"-size", PRIMARY_TEST, true, find_size, NULL, test_size},
	{"-empty", PRIMARY_TEST, false, NULL, NULL, test_empty},
	{"-mtime", PRIMARY_TEST, true, parse_days, NULL, test_age},
	{"-mmin", PRIMARY_TEST, true, parse_minutes, NULL, test_age},
	{"-newer", PRIMARY_TEST, true, keep_text, bind_time, test_newer},
	{"-newermt", PRIMARY_TEST, true, find_date, NULL, test_newer},
	{"-samefile", PRIMARY_TEST, true, keep_text, bind_row, test_samefile},
	{"-true", PRIMARY_TEST, false, NULL, NULL, test_true},
	{"-false", PRIMARY_TEST, false, NULL, NULL, test_false},
	{"-print", PRIMARY_PRINT, false, NULL, NULL, NULL},
	{"-print0", PRIMARY_PRINT0, false, NULL, NULL, NULL},
	{"-ls", PRIMARY_LS, false, NULL, NULL, NULL},
	{"-printf", PRIMARY_PRINTF, true, keep_text, NULL, NULL},
	{"-prune", PRIMARY_PRUNE, false, NULL, NULL, NULL},
	{"-quit", PRIMARY_QUIT, false, NULL, NULL, NULL},
	{"-maxdepth", PRIMARY_MAXDEPTH, true, parse_depth, NULL, NULL},
	{"-mindepth", PRIMARY_MINDEPTH, true, parse_depth, NULL, NULL},
	{"-depth", PRIMARY_DEPTH, false, NULL, NULL, NULL},
};

const struct primary *find_primary(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(primaries); i++)
		if (!strcmp(primaries[i].name, word))
			return &primaries[i];
	return NULL;
}

const char *find_primary_name(size_t i)
{
	return i < ARRAY_LEN(primaries) ? primaries[i].name : NULL;
}
