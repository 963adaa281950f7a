/*
 * The body of a PAX header: "LENGTH KEY=VALUE\n" records that speak about the next member.
 *
 * Every record is checked, also those whose key means nothing here: an archive that two readers
 * could understand differently is no archive. Keys with a meaning have a row in `keys`; xattrs are
 * known by their prefix. hdrcharset is among the meaningless ones, as names are bytes. Sources:
 * POSIX.1-2017 pax, "pax Extended Header"; star(5) for SCHILY, libarchive tar(5) for LIBARCHIVE;
 * GNU tar manual for GNU.sparse.
 */
#include "index/tar_priv.h"

#include <string.h>

static const char schily_prefix[] = "SCHILY.xattr.";
static const char libarchive_prefix[] = "LIBARCHIVE.xattr.";

#define NANOSECOND_DIGITS 9

static err_t record_fail(struct diag *d)
{
	return fail(d, ERR_INTEGRITY, -EBADMSG, "a PAX record is malformed");
}

static err_t value_fail(struct diag *d, const char *what)
{
	return fail(d, ERR_INTEGRITY, -EBADMSG, "the PAX record %s has a wrong value", what);
}

err_t tar_decimal_parse(struct bytes text, int64_t *out)
{
	size_t i = text.n && (text.p[0] == '-' || text.p[0] == '+');
	bool negative = i && text.p[0] == '-';
	int64_t x = 0;
	if (i == text.n)
		return -EBADMSG;
	for (; i < text.n; i++) {
		int digit = text.p[i] - '0';
		if (digit < 0 || digit > 9 || __builtin_mul_overflow(x, 10, &x))
			return -EBADMSG;
		if (__builtin_add_overflow(x, negative ? -digit : digit, &x))
			return -EBADMSG;
	}
	*out = x;
	return 0;
}

/* Digits after the point as nanoseconds; *rest is set when something below a nanosecond is lost. */
static err_t fraction_parse(struct bytes digits, uint32_t *ns, bool *rest)
{
	*ns = 0;
	*rest = false;
	for (size_t i = 0; i < digits.n; i++) {
		uint8_t digit = (uint8_t)(digits.p[i] - '0');
		if (digit > 9)
			return -EBADMSG;
		if (i < NANOSECOND_DIGITS)
			*ns = *ns * 10 + digit;
		else
			*rest |= digit != 0;
	}
	for (size_t i = digits.n; i < NANOSECOND_DIGITS; i++)
		*ns *= 10;
	return 0;
}

/*
 * A time with a fraction, cut toward the past: -1.5 is two seconds before 1970 and half a second
 * forward from there, and a rest below a nanosecond never makes a file younger.
 */
static err_t time_parse(struct bytes text, int64_t *seconds, uint32_t *ns)
{
	const uint8_t *point = memchr(text.p, '.', text.n);
	size_t whole = point ? (size_t)(point - text.p) : text.n;
	struct bytes fraction = {text.p + whole, text.n - whole};
	bool rest = false;
	if (point)
		fraction = (struct bytes){fraction.p + 1, fraction.n - 1};
	if (tar_decimal_parse((struct bytes){text.p, whole}, seconds) < 0 ||
	    fraction_parse(fraction, ns, &rest) < 0)
		return -EBADMSG;
	if (text.p[0] != '-' || (*ns == 0 && !rest))
		return 0;
	uint32_t back = *ns + rest;
	if (__builtin_sub_overflow(*seconds, 1, seconds))
		return -EBADMSG;
	*ns = 1000000000u - back;
	return 0;
}

/* One row for each key with a meaning; which members of struct tar_pax are used tells its kind. */
enum key_kind {
	KEY_BYTES,    /* any bytes */
	KEY_NAME,     /* bytes without NUL */
	KEY_NUMBER,   /* decimal, sign allowed, checked where it is used */
	KEY_SIZE,     /* decimal, not negative */
	KEY_TIME,     /* mtime */
	KEY_PAIR_OFF, /* sparse 0.0 */
	KEY_PAIR_LEN,
	KEY_REFUSED,
};

struct key {
	const char *name;
	enum key_kind kind;
	size_t value; /* offset in struct tar_pax */
	size_t has;
};
#define AT(member) offsetof(struct tar_pax, member)

static const struct key keys[] = {
	{"path", KEY_NAME, AT(path), 0},
	{"linkpath", KEY_NAME, AT(linkpath), 0},
	{"size", KEY_SIZE, AT(size), AT(has_size)},
	{"uid", KEY_NUMBER, AT(uid), AT(has_uid)},
	{"gid", KEY_NUMBER, AT(gid), AT(has_gid)},
	{"mtime", KEY_TIME, AT(mtime), AT(has_mtime)},
	{"GNU.sparse.name", KEY_NAME, AT(sparse_name), 0},
	{"GNU.sparse.map", KEY_BYTES, AT(sparse_map), 0},
	{"GNU.sparse.major", KEY_BYTES, AT(sparse_major), 0},
	{"GNU.sparse.minor", KEY_BYTES, AT(sparse_minor), 0},
	{"GNU.sparse.size", KEY_SIZE, AT(sparse_size), AT(has_sparse_size)},
	{"GNU.sparse.realsize", KEY_SIZE, AT(sparse_real_size), AT(has_sparse_real_size)},
	{"GNU.sparse.numblocks", KEY_SIZE, AT(sparse_count), AT(has_sparse_count)},
	{"GNU.sparse.offset", KEY_PAIR_OFF, 0, 0},
	{"GNU.sparse.numbytes", KEY_PAIR_LEN, 0, 0},
	/* Solaris: holes without a mark in the header. Read as a plain file it would be wrong. */
	{"SUN.holesdata", KEY_REFUSED, 0, 0},
};

static void *member_at(struct tar_pax *pax, size_t off)
{
	return (uint8_t *)pax + off;
}

static bool has_nul(struct bytes s)
{
	return s.n && memchr(s.p, 0, s.n) != NULL;
}

static err_t pair_take(struct tar_pax *pax, const struct key *key, struct bytes value,
		       struct diag *d)
{
	int64_t number;
	bool is_len = key->kind == KEY_PAIR_LEN;
	if (is_len != pax->pair_open || tar_decimal_parse(value, &number) < 0 || number < 0)
		return value_fail(d, key->name);
	pax->pair_open = !is_len;
	if (is_len)
		return tar_sparse_add(&pax->pairs, pax->pair_off, (uint64_t)number, d);
	pax->pair_off = (uint64_t)number;
	return 0;
}

static err_t number_take(struct tar_pax *pax, const struct key *key, struct bytes value,
			 struct diag *d)
{
	int64_t *number = member_at(pax, key->value);
	bool *has = member_at(pax, key->has);
	*has = value.n != 0;
	if (!*has)
		return 0;
	err_t err = key->kind == KEY_TIME ? time_parse(value, number, &pax->mtime_ns)
					  : tar_decimal_parse(value, number);
	if (err || (key->kind == KEY_SIZE && *number < 0))
		return value_fail(d, key->name);
	return 0;
}

static err_t key_take(struct tar_pax *pax, const struct key *key, struct bytes value,
		      struct diag *d)
{
	switch (key->kind) {
	case KEY_NAME:
	case KEY_BYTES:
		if (key->kind == KEY_NAME && has_nul(value))
			return value_fail(d, key->name);
		memcpy(member_at(pax, key->value), &value, sizeof(value));
		return 0;
	case KEY_NUMBER:
	case KEY_SIZE:
	case KEY_TIME:
		return number_take(pax, key, value, d);
	case KEY_PAIR_OFF:
	case KEY_PAIR_LEN:
		return pair_take(pax, key, value, d);
	case KEY_REFUSED:
		break;
	}
	return fail(d, ERR_INTEGRITY, -EBADMSG, "%s is not supported", key->name);
}

static bool strip_prefix(struct bytes *s, const char *prefix)
{
	size_t n = strlen(prefix);
	if (s->n < n || memcmp(s->p, prefix, n) != 0)
		return false;
	*s = (struct bytes){s->p + n, s->n - n};
	return true;
}

static err_t record_take(struct tar_pax *pax, struct bytes name, struct bytes value, struct diag *d)
{
	if (strip_prefix(&name, schily_prefix))
		return tar_xattrs_put(&pax->xattrs, name, value, d);
	if (strip_prefix(&name, libarchive_prefix))
		return tar_xattrs_put_encoded(&pax->xattrs, name, value, d);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (bytes_equal_str(name, keys[i].name))
			return key_take(pax, &keys[i], value, d);
	return 0;
}

/* Split the first record off `body`. The length counts itself, the space and the newline. */
static err_t record_split(struct bytes *body, struct bytes *name, struct bytes *value)
{
	const uint8_t *space = memchr(body->p, ' ', body->n);
	size_t digits = space ? (size_t)(space - body->p) : 0;
	int64_t len;
	if (tar_decimal_parse((struct bytes){body->p, digits}, &len) < 0)
		return -EBADMSG;
	size_t head = digits + 1;
	if (len <= (int64_t)head || (uint64_t)len > body->n || body->p[len - 1] != '\n')
		return -EBADMSG;
	size_t n = (size_t)len - head - 1;
	const uint8_t *equals = n ? memchr(body->p + head, '=', n) : NULL;
	if (!equals || equals == body->p + head)
		return -EBADMSG;
	size_t name_n = (size_t)(equals - (body->p + head));
	*name = (struct bytes){body->p + head, name_n};
	*value = (struct bytes){equals + 1, n - name_n - 1};
	*body = (struct bytes){body->p + len, body->n - (size_t)len};
	return has_nul(*name) ? -EBADMSG : 0;
}

err_t tar_pax_check(struct bytes body, struct diag *d)
{
	struct bytes name, value;
	while (body.n)
		if (record_split(&body, &name, &value) < 0)
			return record_fail(d);
	return 0;
}

err_t tar_pax_parse(struct tar_pax *pax, struct bytes body, struct diag *d)
{
	tar_pax_reset(pax);
	err_t err = tar_xattrs_reserve(&pax->xattrs, body.n, d);
	if (err)
		return err;
	while (body.n) {
		struct bytes name, value;
		if (record_split(&body, &name, &value) < 0)
			return record_fail(d);
		err = record_take(pax, name, value, d);
		if (err)
			return err;
	}
	return pax->pair_open ? record_fail(d) : 0;
}

void tar_pax_reset(struct tar_pax *pax)
{
	tar_xattrs_clear(&pax->xattrs);
	tar_sparse_reset(&pax->pairs);
	*pax = (struct tar_pax){.xattrs = pax->xattrs, .pairs = pax->pairs};
}

void tar_pax_fini(struct tar_pax *pax)
{
	tar_xattrs_fini(&pax->xattrs);
	tar_sparse_fini(&pax->pairs);
	*pax = (struct tar_pax){0};
}
