/*
 * conf - imgfs.conf: what options are when the command line leaves them out, for each registry and
 * repository
 *
 *   [default]
 *   store = /srv/imgfs
 *   [registry registry.example.com]
 *   trust-key = /etc/imgfs/example.pem
 *   [repository registry.example.com/models/...]      a '*' may stand at the end
 *   fill = idle
 *
 * Read are the user's file ($XDG_CONFIG_HOME/imgfs/imgfs.conf, else ~/.config/imgfs/imgfs.conf) and
 * CONF_SYSTEM_FILE; --config or $IMGFS_CONFIG name another in the place of both, or "none". Each
 * key is taken from the most specific section that has it, and of two equally specific ones from
 * the user's file. Who is believed is one answer: the keys of CONF_TRUST are taken together, from
 * the most specific section that has any of them, and not at all when the command line has any.
 */
#ifndef IMGFS_TOOLS_CONF_H
#define IMGFS_TOOLS_CONF_H

#include "tools/cli.h"

#define CONF_SYSTEM_FILE "/etc/imgfs/imgfs.conf"
#define CONF_FILE_MAX	 (256u << 10) /* some thousand sections */

#define CONF_SEVERAL_MAX 16 /* of a key that may be repeated, in one section */

#define READ_BUDGET_MAX_S 86400 /* longer waits are on-error = wait */

enum conf_kind {
	CONF_TEXT,
	CONF_PATH, /* absolute, with ~/ in front, or relative to the file's folder */
	CONF_WORD, /* one of the words of `arg`, parted by '|' */
	CONF_FLAG, /* yes or no */
};
enum conf_group {
	CONF_IMAGE, /* any command that opens an image */
	CONF_TRUST, /* the same; taken together */
	CONF_MOUNT, /* imgfs mount */
};

/* A key is called as its option is. */
struct conf_key {
	const char *name; /* "plain-http" */
	const char *arg;  /* "yes|no", "FILE" */
	const char *help; /* one line */
	enum conf_kind kind;
	enum conf_group group;
	bool several; /* may stand in a section more than once */
	/* what else a value must be, or NULL; fills d without naming the key */
	err_t (*check)(const char *value, struct diag *d);
};
extern const struct conf_key conf_keys[]; /* ended by a row of zeroes */

/* conf_key_find - NULL: there is no such key. */
const struct conf_key *conf_key_find(const char *name);
/* conf_key_nearest - the key that is probably meant, or NULL. */
const struct conf_key *conf_key_nearest(const char *typed);
/* conf_key_check - -EINVAL (ERR_USAGE) for a value that the key can not have; names the key. */
err_t conf_key_check(const struct conf_key *key, const char *value, struct diag *d) must_check;

/* One value that is in force, and where it stands. */
struct conf_setting {
	const struct conf_key *key;
	const char *value; /* of a path: absolute */
	const char *file;
	const char *section; /* "default", "registry h.io" */
	unsigned line;
};
/* One file that was looked for. */
struct conf_place {
	char *path;
	bool is_there;
};
/* What is in force for one reference; in the order of conf_keys. Strings live as long as it. */
struct conf;

/*
 * conf_load - read the files and choose
 * @named      --config, or NULL; empty is as NULL
 * @reference  NULL: only [default] counts; so too for one that can not be parsed or is not there
 * ERR_USAGE: a line that is wrong (-EINVAL, with file:line), a named file that is missing;
 * ERR_DENIED: a file, or a key file that is in force, that others could have written (-EPERM).
 * Cost: two small files.
 */
err_t conf_load(const char *named, const char *reference, struct conf **out,
		struct diag *d) must_check;
/* conf_load_with - the same with another system-wide file: tests have no /etc of their own. */
err_t conf_load_with(const char *system_file, const char *named, const char *reference,
		     struct conf **out, struct diag *d) must_check;
/* conf_free - NULL inside is fine. */
void conf_free(struct conf **conf);

/* conf_n_settings, conf_setting - all that is in force, in the order of conf_keys. */
size_t conf_n_settings(const struct conf *conf);
const struct conf_setting *conf_setting(const struct conf *conf, size_t i);
/* conf_n_places, conf_place - the files that were looked for, in the order in which they count;
 * none with --config none. */
size_t conf_n_places(const struct conf *conf);
const struct conf_place *conf_place(const struct conf *conf, size_t i);

/* conf_get - the value of a key in force (of several the first), or NULL; naming an unknown key is
 * a bug. */
const struct conf_setting *conf_get(const struct conf *conf, const char *key);
/* conf_flag - whether a CONF_FLAG key is "yes". */
bool conf_flag(const struct conf *conf, const char *key);

/*
 * conf_fill - give the common options what the command line and the environment ($IMGFS_STORE,
 * $REGISTRY_AUTH_FILE) left unset; the strings are the conf's
 */
void conf_fill(const struct conf *conf, struct common_options *common);

/* conf_trust_is_given - whether the command line says who is believed, so that CONF_TRUST keys do
 * not count. */
bool conf_trust_is_given(const struct common_options *common);

#endif
