/*
 * The keys of imgfs.conf: one table for the parser, for mount.imgfs and for the manual page.
 */
#include "tools/conf.h"

#include "fs/options.h"

#include <string.h>

static err_t check_platform(const char *value, struct diag *d)
{
	struct platform platform;
	return platform_parse(value, &platform, d);
}

static err_t check_host(const char *value, struct diag *d)
{
	if (strpbrk(value, "/ \t@"))
		return fail(d, ERR_USAGE, -EINVAL, "not a HOST or HOST:PORT: '%.200s'", value);
	return 0;
}

static err_t check_index(const char *value, struct diag *d)
{
	struct digest digest;
	if (strcmp(value, "none") == 0)
		return 0;
	err_t err = digest_parse(BYTES_STR(value), &digest, d);
	if (err)
		diag_prepend(d, "neither 'none' nor a digest (sha256:HEX)");
	return err ? -EINVAL : 0;
}

static err_t check_seconds(const char *value, struct diag *d)
{
	size_t digits = strspn(value, "0123456789");
	unsigned long n = digits <= 9 ? strtoul(value, NULL, 10) : 0;
	if (value[digits] || n == 0 || n > READ_BUDGET_MAX_S)
		return fail(d, ERR_USAGE, -EINVAL, "1 to %d seconds, not '%.50s'",
			    READ_BUDGET_MAX_S, value);
	return 0;
}

/* As for root: whether this user may is decided when something is mounted. */
static err_t check_mount_options(const char *value, struct diag *d)
{
	struct mount_options options;
	err_t err = mount_options_parse(value, true, &options, d);
	if (!err)
		mount_options_fini(&options);
	return err;
}

const struct conf_key conf_keys[] = {
	{"store", "DIR", "the local store", CONF_PATH, CONF_IMAGE, false, NULL},
	{"platform", "OS/ARCH", "the platform to choose, OS/ARCH[/VARIANT]", CONF_TEXT, CONF_IMAGE,
	 false, check_platform},
	{"authfile", "FILE", "credentials, in the place of those of podman and docker", CONF_PATH,
	 CONF_IMAGE, false, NULL},
	{"token-host", "HOST",
	 "a token server on another host that may be given the registry's credentials", CONF_TEXT,
	 CONF_IMAGE, false, check_host},
	{"plain-http", "yes|no", "speak http to the registry", CONF_FLAG, CONF_IMAGE, false, NULL},
	{"index", "DIGEST|none", "use the published index of this digest; 'none': use none",
	 CONF_TEXT, CONF_TRUST, false, check_index},
	{"trust-key", "FILE",
	 "use published indexes that this public key has signed; may be repeated", CONF_PATH,
	 CONF_TRUST, true, NULL},
	{"trust-index", "any", "use any published index, whoever made it", CONF_WORD, CONF_TRUST,
	 false, NULL},
	{"trust-file", "FILE", "a trust file in the place of the usual ones", CONF_PATH, CONF_TRUST,
	 false, NULL},
	{"fill", "off|idle|full",
	 "fetch the rest of the image, too: while nobody reads, or at once", CONF_WORD, CONF_MOUNT,
	 false, NULL},
	{"read-budget", "SECONDS", "a read that can not be served fails after this time", CONF_TEXT,
	 CONF_MOUNT, false, check_seconds},
	{"on-error", "eio|wait", "fail such a read, or keep trying for ever", CONF_WORD, CONF_MOUNT,
	 false, NULL},
	{"no-profile", "yes|no", "do not record what is read first, nor replay it", CONF_FLAG,
	 CONF_MOUNT, false, NULL},
	{"mount-options", "LIST", "what stands before the command line's -o list", CONF_TEXT,
	 CONF_MOUNT, false, check_mount_options},
	{0},
};

#define KEYS ARRAY_LEN(conf_keys) /* with the one of zeroes */

const struct conf_key *conf_key_find(const char *name)
{
	for (const struct conf_key *key = conf_keys; key->name; key++)
		if (strcmp(key->name, name) == 0)
			return key;
	return NULL;
}

const struct conf_key *conf_key_nearest(const char *typed)
{
	const char *words[KEYS] = {0};
	for (size_t i = 0; conf_keys[i].name; i++)
		words[i] = conf_keys[i].name;
	const char *near = cli_nearest(typed, words);
	return near ? conf_key_find(near) : NULL;
}

/* Whether a word is one of "a|b|c". */
static bool is_one_of(const char *word, const char *choices)
{
	for (const char *end; *choices; choices = *end ? end + 1 : end) {
		end = strchrnul(choices, '|');
		if (strlen(word) == (size_t)(end - choices) &&
		    memcmp(word, choices, (size_t)(end - choices)) == 0)
			return true;
	}
	return false;
}

err_t conf_key_check(const struct conf_key *key, const char *value, struct diag *d)
{
	bool has_choices = key->kind == CONF_WORD || key->kind == CONF_FLAG;
	if (!*value)
		return fail(d, ERR_USAGE, -EINVAL, "%s: a value is missing: %s = %s", key->name,
			    key->name, key->arg);
	if (has_choices && !is_one_of(value, key->arg))
		return fail(d, ERR_USAGE, -EINVAL, "%s: %s, not '%.100s'", key->name, key->arg,
			    value);
	if (!key->check || !key->check(value, d))
		return 0;
	diag_prepend(d, "%s", key->name);
	if (d)
		d->cls = ERR_USAGE;
	return -EINVAL;
}
