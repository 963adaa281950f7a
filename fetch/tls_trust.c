/*
 * certs.d directories. The name of a host becomes a directory name here; it was parsed as part of a
 * reference, so it holds no slash.
 */
#include "fetch/tls_trust.h"

#include "fetch/log.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);
	return n > m && strcmp(name + n - m, suffix) == 0;
}

static void add_authority(const char *path, struct tls_trust *out)
{
	struct buf text = {0};
	err_t err = read_file(path, TLS_TRUST_FILE_MAX, &text);
	if (!err)
		err = buf_append(&out->authorities, text.p, text.n);
	if (!err)
		err = buf_append(&out->authorities, "\n", 1);
	if (err)
		log_warn("tls.trust", "file=%s error=%d", path, -err);
	buf_fini(&text);
}

static void add_pair(const char *certificate, struct tls_trust *out)
{
	size_t n = strlen(certificate) - strlen(".cert");
	auto_free char *key = xasprintf("%.*s.key", (int)n, certificate);
	if (out->certificate || access(key, R_OK) != 0)
		return;
	out->certificate = xstrdup(certificate);
	out->key = take(&key);
}

static void add_file(const char *dir, const char *name, struct tls_trust *out)
{
	auto_free char *path = xasprintf("%s/%s", dir, name);
	if (has_suffix(name, ".crt"))
		add_authority(path, out);
	else if (has_suffix(name, ".cert"))
		add_pair(path, out);
}

/* In the order of names, so that which pair is taken does not depend on the file system. */
static bool load_dir(const char *dir, struct tls_trust *out)
{
	struct dirent **entries;
	int n = scandir(dir, &entries, NULL, alphasort);
	if (n < 0)
		return false;
	for (int i = 0; i < n; i++) {
		if (i < TLS_TRUST_FILES_MAX)
			add_file(dir, entries[i]->d_name, out);
		free(entries[i]);
	}
	free(entries);
	return true;
}

void tls_trust_load(const char *host, struct tls_trust *out)
{
	static const char *const system_dirs[] = {"/etc/containers/certs.d", "/etc/docker/certs.d"};
	const char *home = getenv("HOME");
	*out = (struct tls_trust){0};
	if (home && *home) {
		auto_free char *dir = xasprintf("%s/.config/containers/certs.d/%s", home, host);
		if (load_dir(dir, out))
			return;
	}
	for (size_t i = 0; i < ARRAY_LEN(system_dirs); i++) {
		auto_free char *dir = xasprintf("%s/%s", system_dirs[i], host);
		if (load_dir(dir, out))
			return;
	}
}

void tls_trust_fini(struct tls_trust *trust)
{
	buf_fini(&trust->authorities);
	free(trust->certificate);
	free(trust->key);
	*trust = (struct tls_trust){0};
}
