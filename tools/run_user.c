/*
 * Lines of colon-separated fields (passwd(5), group(5)), read in place: nothing of them is changed,
 * and no field is taken that its line does not have.
 */
#include "tools/run_user.h"

#include <string.h>

#define PASSWD_FIELDS 7 /* name:password:uid:gid:comment:home:shell */
#define GROUP_FIELDS  4 /* name:password:gid:member,member */

/* The bytes up to a separator, which is taken away too; false when nothing is left. */
static bool next_part(struct bytes *rest, char separator, struct bytes *part)
{
	const uint8_t *end;
	if (!rest->p || !rest->n)
		return false;
	end = memchr(rest->p, separator, rest->n);
	part->p = rest->p;
	part->n = end ? (size_t)(end - rest->p) : rest->n;
	size_t taken = part->n + (end ? 1 : 0);
	rest->p += taken;
	rest->n -= taken;
	return true;
}

/* A line's fields; those it does not have are empty. Returns how many it has. */
static size_t line_fields(struct bytes line, struct bytes *fields, size_t max)
{
	size_t n = 0;
	memset(fields, 0, max * sizeof(*fields));
	while (n < max && next_part(&line, ':', &fields[n]))
		n++;
	return n;
}

static bool is_number(struct bytes text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
	return text.n > 0;
}

/* A decimal id; false for anything else, and beyond RUN_ID_MAX. */
static bool parse_id(struct bytes text, uint32_t *id)
{
	uint64_t value = 0;
	if (!is_number(text))
		return false;
	for (size_t i = 0; i < text.n; i++) {
		value = value * 10 + (text.p[i] - '0');
		if (value > RUN_ID_MAX)
			return false;
	}
	*id = (uint32_t)value;
	return true;
}

/* The first entry of the user that is named, or whose number is given. */
static bool find_user(struct bytes passwd, struct bytes who, struct run_user *out,
		      struct bytes *name)
{
	struct bytes line, f[PASSWD_FIELDS];
	bool by_id = is_number(who);
	uint32_t uid, gid, wanted = 0;
	if (by_id && !parse_id(who, &wanted))
		return false;
	while (next_part(&passwd, '\n', &line)) {
		if (line_fields(line, f, PASSWD_FIELDS) < 4 || !f[0].n || !parse_id(f[2], &uid) ||
		    !parse_id(f[3], &gid))
			continue;
		if (by_id ? uid != wanted : !bytes_equal(f[0], who))
			continue;
		out->uid = uid;
		out->gid = gid;
		*name = f[0];
		if (f[5].n && f[5].p[0] == '/' && !memchr(f[5].p, '\0', f[5].n)) {
			free(out->home);
			out->home = xstrndup((const char *)f[5].p, f[5].n);
		}
		return true;
	}
	return false;
}

static bool find_group(struct bytes group, struct bytes which, uint32_t *gid)
{
	struct bytes line, f[GROUP_FIELDS];
	while (next_part(&group, '\n', &line))
		if (line_fields(line, f, GROUP_FIELDS) >= 3 && bytes_equal(f[0], which) &&
		    parse_id(f[2], gid))
			return true;
	return false;
}

static bool lists_member(struct bytes members, struct bytes name)
{
	struct bytes member;
	while (next_part(&members, ',', &member))
		if (bytes_equal(member, name))
			return true;
	return false;
}

static bool has_group(const struct run_user *user, uint32_t gid)
{
	for (size_t i = 0; i < user->n_groups; i++)
		if (user->groups[i] == gid)
			return true;
	return false;
}

/* All groups that list a user. */
static err_t add_memberships(struct bytes group, struct bytes name, struct run_user *out,
			     struct diag *d)
{
	struct bytes line, f[GROUP_FIELDS];
	uint32_t gid;
	while (next_part(&group, '\n', &line)) {
		if (line_fields(line, f, GROUP_FIELDS) < 4 || !parse_id(f[2], &gid) ||
		    !lists_member(f[3], name) || has_group(out, gid))
			continue;
		if (out->n_groups == RUN_GROUPS_MAX)
			return fail(d, ERR_UNSUPPORTED, -E2BIG,
				    "user '%.*s' is in more than %d groups of the image",
				    (int)min_of(name.n, (size_t)64), (const char *)name.p,
				    RUN_GROUPS_MAX);
		out->groups[out->n_groups++] = gid;
	}
	return 0;
}

static err_t resolve_user(struct bytes who, struct bytes passwd, struct run_user *out,
			  struct bytes *name, struct diag *d)
{
	struct bytes root = BYTES_STR("0");
	if (!who.n)
		who = root;
	if (find_user(passwd, who, out, name) || parse_id(who, &out->uid))
		return 0;
	if (is_number(who))
		return fail(d, ERR_USAGE, -EINVAL, "user '%.*s': ids end at %u",
			    (int)min_of(who.n, (size_t)64), (const char *)who.p, RUN_ID_MAX);
	return fail(d, ERR_NOT_FOUND, -ENOENT, "user '%.*s' is not in the image's /etc/passwd",
		    (int)min_of(who.n, (size_t)256), (const char *)who.p);
}

static err_t resolve_group(struct bytes which, struct bytes group, struct run_user *out,
			   struct diag *d)
{
	if (parse_id(which, &out->gid) ||
	    (!is_number(which) && find_group(group, which, &out->gid)))
		return 0;
	if (is_number(which))
		return fail(d, ERR_USAGE, -EINVAL, "group '%.*s': ids end at %u",
			    (int)min_of(which.n, (size_t)64), (const char *)which.p, RUN_ID_MAX);
	return fail(d, ERR_NOT_FOUND, -ENOENT, "group '%.*s' is not in the image's /etc/group",
		    (int)min_of(which.n, (size_t)256), (const char *)which.p);
}

err_t run_user_resolve(const char *text, struct bytes passwd, struct bytes group,
		       struct run_user *out, struct diag *d)
{
	struct bytes who = BYTES_STR(text ? text : ""), which = {0}, name = {0};
	const uint8_t *colon = memchr(who.p, ':', who.n);
	err_t err;
	*out = (struct run_user){.home = xstrdup("/")};
	if (colon) {
		which.p = colon + 1;
		which.n = who.n - (size_t)(which.p - who.p);
		who.n = (size_t)(colon - who.p);
	}
	err = resolve_user(who, passwd, out, &name, d);
	if (!err && which.n)
		err = resolve_group(which, group, out, d);
	else if (!err && name.n)
		err = add_memberships(group, name, out, d);
	if (err)
		run_user_fini(out);
	return err;
}

void run_user_fini(struct run_user *user)
{
	free(user->home);
	*user = (struct run_user){0};
}
