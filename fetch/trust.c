/*
 * From options and files to one answer. The user's file is asked before the system's, one entry of
 * one file applies, and the command line has the last word: --index replaces the files, a key or
 * --trust-index=any opens what an entry shut.
 */
#include "fetch/trust_priv.h"

#include "fetch/log.h"

#include <stdio.h>
#include <string.h>

struct trust {
	struct digest bound; /* unset: none was named */
	bool refuses, any;
	struct public_key **keys;
	size_t n, cap;
};

const char *trust_state_name(enum trust_state s)
{
	static const char *const names[] = {"hint", "signed", "bound", "proven"};
	BUG_ON((size_t)s >= ARRAY_LEN(names));
	return names[s];
}

/* Takes the key. */
static err_t add_key(struct trust *t, struct public_key **key, struct diag *d)
{
	if (!try_grow(&t->keys, t->n, &t->cap, sizeof(*t->keys))) {
		public_key_free(key);
		return fail_sys(d, ERR_OTHER, -ENOMEM, "keys");
	}
	t->keys[t->n++] = take(key);
	return 0;
}

/* --- trust files --- */

/* What could replace the key could have replaced the trust file: the same guard. */
static err_t add_key_of_file(struct trust *t, const char *path, struct diag *d)
{
	struct public_key *key;
	struct buf pem = {0};
	err_t err = guarded_file_read(path, KEY_FILE_MAX, &pem, d);
	if (err == -ENOENT || err == -ENOTDIR)
		(void)fail_sys(d, ERR_USAGE, err, "%s", path);
	if (!err)
		err = public_key_parse(buf_bytes(&pem), path, &key, d);
	if (pem.p)
		explicit_bzero(pem.p, pem.n); /* it may be a private key */
	buf_fini(&pem);
	return err ? err : add_key(t, &key, d);
}

static err_t apply_entry(struct trust *t, const struct trust_file *f, const struct trust_entry *e,
			 struct diag *d)
{
	log_debug("trust.entry", "file=%s line=%u", f->path, e->line);
	t->any |= e->any;
	t->refuses |= e->none;
	for (size_t i = 0; i < e->n_keys; i++) {
		err_t err = add_key_of_file(t, e->keys[i], d);
		if (err) {
			diag_prepend(d, "%.300s:%u", f->path, e->line);
			return err;
		}
	}
	return 0;
}

/* *applied: the file had an entry for the subject. */
static err_t apply_file(struct trust *t, const char *path, bool optional, const char *subject,
			bool *applied, struct diag *d)
{
	struct trust_file f;
	struct buf text = {0};
	*applied = false;
	err_t err = guarded_file_read(path, TRUST_FILE_MAX, &text, d);
	if (err) {
		buf_fini(&text);
		if (err != -ENOENT && err != -ENOTDIR)
			return err;
		return optional ? 0 : fail_sys(d, ERR_USAGE, err, "--trust-file %s", path);
	}
	err = trust_file_parse(buf_bytes(&text), path, &f, d);
	buf_fini(&text);
	if (err)
		return err;
	const struct trust_entry *e = trust_file_match(&f, subject);
	*applied = e != NULL;
	if (e)
		err = apply_entry(t, &f, e, d);
	trust_file_fini(&f);
	return err;
}

/* NULL when the environment names no place. A relative one would be whatever folder we are in. */
static char *user_file(void)
{
	const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME");
	if (config && config[0] == '/')
		return xasprintf("%s/imgfs/trust", config);
	return home && home[0] == '/' ? xasprintf("%s/.config/imgfs/trust", home) : NULL;
}

static err_t apply_files(struct trust *t, const char *system_file, const char *named,
			 const char *subject, bool *applied, struct diag *d)
{
	*applied = false;
	if (named)
		return apply_file(t, named, false, subject, applied, d);
	auto_free char *user = user_file();
	err_t err = user ? apply_file(t, user, true, subject, applied, d) : 0;
	if (!err && !*applied)
		err = apply_file(t, system_file, true, subject, applied, d);
	return err;
}

/* --- the command line --- */

static err_t take_index(struct trust *t, const struct trust_options *o, struct diag *d)
{
	if (strcmp(o->index, "none") == 0) {
		t->refuses = true;
		return o->any ? fail(d, ERR_USAGE, -EINVAL,
				     "--index=none and --trust-index=any contradict each other: "
				     "give one of them")
			      : 0;
	}
	err_t err = digest_parse(BYTES_STR(o->index), &t->bound, d);
	if (err) {
		diag_prepend(d, "--index is a digest (sha256:HEX) or none");
		if (d)
			d->cls = ERR_USAGE;
	}
	return err;
}

static err_t take_keys(struct trust *t, const char *const *paths, struct diag *d)
{
	for (; paths && *paths; paths++) {
		struct public_key *key;
		err_t err = public_key_load(*paths, &key, d);
		if (err)
			diag_prepend(d, "--trust-key");
		if (!err)
			err = add_key(t, &key, d);
		if (err)
			return err;
	}
	return 0;
}

/* --index decides, and what stands beside it. */
static err_t take_index_and_keys(struct trust *t, const struct trust_options *o, struct diag *d)
{
	err_t err = take_index(t, o, d);
	t->any = o->any;
	return err ? err : take_keys(t, o->keys, d);
}

static err_t take_options(struct trust *t, const struct trust_options *o, struct diag *d)
{
	size_t of_file = t->n;
	err_t err = take_keys(t, o->keys, d);
	if (o->any || t->n > of_file)
		t->refuses = false;
	t->any |= o->any;
	return err;
}

static err_t read_all(struct trust *t, const char *system_file, const struct trust_options *o,
		      const struct ref *ref, struct diag *d)
{
	if (o->index && !o->default_only)
		return take_index_and_keys(t, o, d);
	auto_free char *subject = NULL;
	bool applied = false;
	err_t err = ref_pattern_subject(ref, &subject, d);
	if (!err)
		err = apply_files(t, system_file, o->trust_file, subject, &applied, d);
	if (err || (applied && o->default_only))
		return err;
	return o->index ? take_index_and_keys(t, o, d) : take_options(t, o, d);
}

err_t trust_new_with(const char *system_file, const struct trust_options *o, const struct ref *ref,
		     struct trust **out, struct diag *d)
{
	struct trust *t = new_of(struct trust);
	err_t err = read_all(t, system_file, o, ref, d);
	if (err)
		trust_free(&t);
	*out = t;
	return err;
}

err_t trust_new(const struct trust_options *o, const struct ref *ref, struct trust **out,
		struct diag *d)
{
	return trust_new_with(TRUST_SYSTEM_FILE, o, ref, out, d);
}

void trust_free(struct trust **t)
{
	if (!*t)
		return;
	for (size_t i = 0; i < (*t)->n; i++)
		public_key_free(&(*t)->keys[i]);
	free((*t)->keys);
	free(*t);
	*t = NULL;
}

/* --- answers --- */

bool trust_refuses(const struct trust *t)
{
	return t->refuses;
}

bool trust_looks(const struct trust *t)
{
	return !t->refuses && (t->bound.alg || t->any || t->n);
}

bool trust_takes_hints(const struct trust *t)
{
	return t->any && !t->refuses;
}

const struct digest *trust_bound(const struct trust *t)
{
	return t->bound.alg ? &t->bound : NULL;
}

size_t trust_n_keys(const struct trust *t)
{
	return t->n;
}

const struct public_key *trust_key(const struct trust *t, size_t i)
{
	BUG_ON(i >= t->n);
	return t->keys[i];
}

static bool is_trusted(const struct trust *t, struct bytes statement,
		       const struct statement_signature *sig)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(public_key_id(t->keys[i]), sig->key_id) == 0 &&
		    public_key_verifies(t->keys[i], statement, sig->signature))
			return true;
	return false;
}

enum trust_state trust_judge(const struct trust *t, struct bytes statement,
			     const struct statement_signature *sigs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_trusted(t, statement, &sigs[i]))
			return TRUST_SIGNED;
	return TRUST_HINT;
}
