/*
 * Which file, which key, which form. A document is searched in the order helper for this host,
 * helper for all hosts, stored secret; the first one that has something ends the search.
 */
#include "fetch/credentials_priv.h"

#include "fetch/json.h"
#include "fetch/log.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char HUB_HOST[] = "docker.io";
static const char HUB_KEY[] = "https://index.docker.io/v1/";
static const char *const HUB_ALIASES[] = {"docker.io", "index.docker.io", "registry-1.docker.io"};

void secret_free(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

void credential_fini(struct credential *c)
{
	secret_free(&c->username);
	secret_free(&c->password);
	secret_free(&c->identity_token);
	secret_free(&c->registry_token);
	free(c->origin);
	c->origin = NULL;
}

bool credential_is_empty(const struct credential *c)
{
	return !c->username && !c->identity_token && !c->registry_token;
}

static bool is_hub(const char *host)
{
	for (size_t i = 0; i < ARRAY_LEN(HUB_ALIASES); i++)
		if (strcmp(host, HUB_ALIASES[i]) == 0)
			return true;
	return false;
}

/* --- keys --- */

/* "https://host/v1/" and "host/v1" mean the host; with `out` large enough for the key. */
static void key_host(const char *key, char *out, size_t size)
{
	const char *scheme = strstr(key, "://");
	if (scheme)
		key = scheme + 3;
	snprintf(out, size, "%.*s", (int)min_of(strcspn(key, "/"), size - 1), key);
}

static bool key_is_old(const char *key)
{
	if (strstr(key, "://"))
		return true;
	const char *slash = strchr(key, '/');
	return slash && (strcmp(slash, "/v1/") == 0 || strcmp(slash, "/v2/") == 0 ||
			 strcmp(slash, "/v1") == 0 || strcmp(slash, "/v2") == 0);
}

static bool key_names_host(const char *key, const char *host)
{
	char name[512];
	if (strchr(key, '/') && !key_is_old(key))
		return false;
	key_host(key, name, sizeof(name));
	return strcmp(name, host) == 0 || (is_hub(host) && is_hub(name));
}

/* The value under "host/org/repo", else "host/org", else any key that means the host. */
static json_t *find_key(json_t *object, const char *host, const char *repo)
{
	auto_free char *path = xasprintf("%s/%s", host, repo);
	const char *key;
	json_t *value;
	for (char *slash; (slash = strrchr(path, '/')); *slash = 0)
		if ((value = json_object_get(object, path)))
			return value;
	if ((value = json_object_get(object, host)))
		return value;
	if (is_hub(host) && (value = json_object_get(object, HUB_KEY)))
		return value;
	json_object_foreach(object, key, value) if (key_names_host(key, host)) return value;
	return NULL;
}

/* --- values --- */

static char *string_field(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text && *text ? xstrdup(text) : NULL;
}

/* base64("user:password"), as `docker login` writes it. */
static bool decode_auth(const char *text, struct credential *out)
{
	size_t n = strlen(text);
	if (n == 0 || n % 4 || n > CREDENTIAL_FILE_MAX)
		return false;
	char *plain = xcalloc(n, 1); /* zeroes behind the text, whatever was decoded */
	bool good =
		EVP_DecodeBlock((unsigned char *)plain, (const unsigned char *)text, (int)n) >= 0;
	char *colon = good ? strchr(plain, ':') : NULL;
	if (colon) {
		*colon = 0;
		out->username = xstrdup(plain);
		out->password = xstrdup(colon + 1);
	}
	explicit_bzero(plain, n);
	free(plain);
	return colon != NULL;
}

static void read_entry(json_t *entry, struct credential *out)
{
	const char *auth = json_string_value(json_object_get(entry, "auth"));
	out->identity_token = string_field(entry, "identitytoken");
	out->registry_token = string_field(entry, "registrytoken");
	if (auth && *auth && decode_auth(auth, out))
		return;
	out->username = string_field(entry, "username");
	out->password = string_field(entry, "password");
	if (out->username && !out->password)
		out->password = xstrdup("");
}

static const char *helper_for(json_t *root, const char *host)
{
	const char *key;
	json_t *value;
	json_object_foreach(json_object_get(root, "credHelpers"), key,
			    value) if (key_names_host(key, host) &&
				       json_is_string(value)) return json_string_value(value);
	return NULL;
}

/* A helper that fails does not keep anybody from a public image: it is logged and passed over. */
static bool ask_helper(const char *name, const char *host, struct credential *out)
{
	struct diag why = DIAG_INIT;
	if (!name || !*name)
		return false;
	err_t err = credential_helper_get(name, is_hub(host) ? HUB_KEY : host, out, &why);
	if (err)
		log_warn("credentials.helper", "helper=%s host=%s error=\"%s\"", name, host,
			 why.text);
	return !err && !credential_is_empty(out);
}

static void search(json_t *root, bool old_format, const char *host, const char *repo,
		   struct credential *out)
{
	if (!old_format) {
		if (ask_helper(helper_for(root, host), host, out))
			return;
		if (ask_helper(json_string_value(json_object_get(root, "credsStore")), host, out))
			return;
	}
	json_t *entry = find_key(old_format ? root : json_object_get(root, "auths"), host, repo);
	if (json_is_object(entry))
		read_entry(entry, out);
}

err_t credentials_parse(struct bytes json, bool old_format, const char *host, const char *repo,
			struct credential *out, struct diag *d)
{
	json_t *root;
	*out = (struct credential){0};
	if (json_parse_object(json, &root, d))
		return fail(d, ERR_USAGE, -EINVAL, "not a credentials file: no strict JSON object");
	search(root, old_format, host, repo, out);
	json_decref(root);
	return 0;
}

/* --- places --- */

static err_t search_file(const char *path, bool old_format, const char *host, const char *repo,
			 struct credential *out, struct diag *d)
{
	struct buf text = {0};
	err_t err = read_file(path, CREDENTIAL_FILE_MAX, &text);
	if (err)
		(void)fail_sys(d, ERR_USAGE, err, "%s", path);
	else if ((err = credentials_parse(buf_bytes(&text), old_format, host, repo, out, d)))
		diag_prepend(d, "%s", path);
	else if (!credential_is_empty(out) && !out->origin)
		out->origin = xstrdup(path);
	if (text.p)
		explicit_bzero(text.p, text.n);
	buf_fini(&text);
	return err;
}

static char *join(const char *dir, const char *rest)
{
	return dir && *dir ? xasprintf("%s%s", dir, rest) : NULL;
}

void credentials_places(struct credential_place places[CREDENTIAL_PLACES])
{
	const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME");
	const char *docker = getenv("DOCKER_CONFIG"), *runtime = getenv("XDG_RUNTIME_DIR");
	memset(places, 0, CREDENTIAL_PLACES * sizeof(*places));
	places[0].path = join(runtime, "/containers/auth.json");
	places[1].path = xasprintf("/run/containers/%u/auth.json", (unsigned)geteuid());
	places[2].path = config && *config ? join(config, "/containers/auth.json")
					   : join(home, "/.config/containers/auth.json");
	places[3].path = docker && *docker ? join(docker, "/config.json")
					   : join(home, "/.docker/config.json");
	places[4] = (struct credential_place){join(home, "/.dockercfg"), true};
}

/* Where root runs containers, /run/containers is closed to others: no login of theirs lies in it.
 */
bool credential_place_is_absent(const char *path, err_t err)
{
	if (err == -EACCES)
		return faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) != 0 && errno == EACCES;
	return err == -ENOENT || err == -ENOTDIR;
}

static void search_places(const char *host, const char *repo, struct credential *out)
{
	struct credential_place places[CREDENTIAL_PLACES];
	credentials_places(places);
	for (size_t i = 0; i < CREDENTIAL_PLACES; i++) {
		struct diag why = DIAG_INIT;
		if (places[i].path && credential_is_empty(out)) {
			err_t err = search_file(places[i].path, places[i].old_format, host, repo,
						out, &why);
			if (err && !credential_place_is_absent(places[i].path, err))
				log_warn("credentials.file", "error=\"%s\"", why.text);
		}
		free(places[i].path);
	}
}

static void search_environment(const char *host, const char *repo, struct credential *out)
{
	const char *text = getenv("DOCKER_AUTH_CONFIG");
	struct diag why = DIAG_INIT;
	if (!text || !*text)
		return;
	if (credentials_parse(BYTES_STR(text), false, host, repo, out, &why))
		log_warn("credentials.file", "DOCKER_AUTH_CONFIG error=\"%s\"", why.text);
	else if (!credential_is_empty(out) && !out->origin)
		out->origin = xstrdup("DOCKER_AUTH_CONFIG");
}

static err_t find(const char *authfile, const char *host, const char *repo, struct credential *out,
		  struct diag *d)
{
	const char *from_env = getenv("REGISTRY_AUTH_FILE");
	*out = (struct credential){0};
	if (is_hub(host))
		host = HUB_HOST;
	if (authfile)
		return search_file(authfile, false, host, repo, out, d);
	if (from_env && *from_env)
		return search_file(from_env, false, host, repo, out, d);
	search_environment(host, repo, out);
	if (credential_is_empty(out))
		search_places(host, repo, out);
	return 0;
}

err_t credentials_find(const char *authfile, const char *host, const char *repo,
		       struct credential *out, struct diag *d)
{
	err_t err = find(authfile, host, repo, out, d);
	/* From now on a core dump, or a debugger of the same user, would show a secret. */
	if (!err && !credential_is_empty(out) && prctl(PR_SET_DUMPABLE, 0) != 0)
		log_warn("credentials.dumpable", "error=%d", errno);
	return err;
}
