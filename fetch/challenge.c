/*
 * The grammar of WWW-Authenticate has one trap: a comma separates both the parameters of a
 * challenge and the challenges. A token followed by '=' is a parameter, any other token starts a
 * new challenge.
 */
#include "fetch/challenge.h"

#include <string.h>

static bool is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t");
}

static const char *skip_separators(const char *at)
{
	return at + strspn(at, " \t,");
}

static struct bytes take_token(const char **at)
{
	const char *start = *at;
	while (is_token_char(**at))
		++*at;
	return (struct bytes){(const uint8_t *)start, (size_t)(*at - start)};
}

static bool token_is(struct bytes token, const char *name)
{
	return token.n == strlen(name) && strncasecmp((const char *)token.p, name, token.n) == 0;
}

/* A quoted string or a bare word, unescaped, ended by NUL; false when it is malformed or too long.
 */
static bool take_value(const char **at, struct buf *out)
{
	const char *s = *at;
	bool quoted = *s == '"';
	err_t err = 0;
	out->n = 0;
	out->limit = CHALLENGE_PARAM_MAX + 1;
	if (quoted)
		s++;
	while (!err && *s && (quoted ? *s != '"' : !strchr(" \t,", *s))) {
		if (quoted && *s == '\\' && s[1])
			s++;
		err = buf_append(out, s++, 1);
	}
	if (!err)
		err = buf_append(out, "", 1);
	if (err || (quoted && *s != '"'))
		return false;
	*at = s + quoted;
	return true;
}

static char **field_of(struct challenge *c, struct bytes name)
{
	if (token_is(name, "realm"))
		return &c->realm;
	if (token_is(name, "service"))
		return &c->service;
	if (token_is(name, "scope"))
		return &c->scope;
	if (token_is(name, "error"))
		return &c->error;
	return NULL;
}

/* The first value of a parameter counts; a second one could only be there to confuse. */
static void keep_param(struct challenge *c, struct bytes name, const struct buf *value)
{
	char **field = field_of(c, name);
	if (field && !*field)
		*field = xstrdup((const char *)value->p);
}

/* Parameters up to the next scheme or the end; false when malformed. */
static bool take_params(const char **at, struct challenge *c)
{
	struct buf value = {0};
	bool good = true;
	for (;;) {
		const char *next = skip_separators(*at);
		struct bytes name = take_token(&next);
		const char *equals = skip_blanks(next);
		if (!name.n || *equals != '=')
			break;
		next = skip_blanks(equals + 1);
		good = take_value(&next, &value);
		if (!good)
			break;
		keep_param(c, name, &value);
		*at = next;
	}
	buf_fini(&value);
	return good;
}

/* A token68 ("Negotiate oYIB...==") has no parameters: skip it, so that what follows is seen. */
static const char *skip_token68(const char *at)
{
	const char *end = at;
	while (is_token_char(*end) || *end == '/')
		end++;
	end += strspn(end, "=");
	const char *after = skip_blanks(end);
	return end > at && (*after == ',' || *after == 0) ? after : at;
}

static enum challenge_scheme scheme_of(struct bytes name)
{
	if (token_is(name, "bearer"))
		return CHALLENGE_BEARER;
	return token_is(name, "basic") ? CHALLENGE_BASIC : CHALLENGE_NONE;
}

/* A realm is what a Bearer challenge is about; without one it is of no use. */
static bool is_better(const struct challenge *c, const struct challenge *best)
{
	return c->scheme > best->scheme && (c->scheme != CHALLENGE_BEARER || c->realm);
}

void challenge_add(struct challenge *best, const char *header)
{
	const char *at = header;
	bool good = true;
	while (good) {
		struct challenge c = {0};
		at = skip_separators(at);
		struct bytes scheme = take_token(&at);
		if (!scheme.n)
			return;
		c.scheme = scheme_of(scheme);
		if (c.scheme == CHALLENGE_NONE)
			at = skip_token68(skip_blanks(at));
		good = take_params(&at, &c);
		if (is_better(&c, best)) {
			challenge_fini(best);
			*best = c;
		} else {
			challenge_fini(&c);
		}
	}
}

void challenge_fini(struct challenge *c)
{
	free(c->realm);
	free(c->service);
	free(c->scope);
	free(c->error);
	*c = (struct challenge){0};
}

void challenge_copy(struct challenge *to, const struct challenge *from)
{
	challenge_fini(to);
	*to = (struct challenge){
		.scheme = from->scheme,
		.realm = xstrdup_or_null(from->realm),
		.service = xstrdup_or_null(from->service),
		.scope = xstrdup_or_null(from->scope),
		.error = xstrdup_or_null(from->error),
	};
}

bool challenge_has_error(const struct challenge *c, const char *error)
{
	return c->error && strcasecmp(c->error, error) == 0;
}
