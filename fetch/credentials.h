/*
 * credentials - what the user has logged in with: docker config.json, podman auth.json, helpers
 *
 * Where is looked, first match wins:
 *   --authfile or $REGISTRY_AUTH_FILE, then alone
 *   $DOCKER_AUTH_CONFIG (the JSON itself)
 *   $XDG_RUNTIME_DIR/containers/auth.json, /run/containers/UID/auth.json
 *   ${XDG_CONFIG_HOME:-~/.config}/containers/auth.json
 *   ${DOCKER_CONFIG:-~/.docker}/config.json
 *   ~/.dockercfg
 * In a file credHelpers[host] comes before credsStore, and that before auths. Keys of auths may be
 * namespaced (host/org/repo: the most specific one counts) or old (https://host/v1/). Formats:
 * containers-auth.json(5), docker-credential-helpers.
 */
#ifndef IMGFS_FETCH_CREDENTIALS_H
#define IMGFS_FETCH_CREDENTIALS_H

#include "index/base.h"

#define CREDENTIAL_FILE_MAX	     (1u << 20)
#define CREDENTIAL_HELPER_TIMEOUT_S  15		 /* it may ask a key ring, not a human */
#define CREDENTIAL_HELPER_OUTPUT_MAX (64u << 10) /* tokens of clouds reach a few KiB */

/* Secrets. Strings are owned, NULL where absent, and wiped when freed. */
struct credential {
	char *username, *password;
	char *identity_token; /* traded for access tokens (OAuth2 refresh token) */
	char *registry_token; /* sent as Bearer as it is */
	char *origin;	      /* file or helper it came from, for messages */
};
/* secret_free - wipe, free and forget a string; NULL is fine. */
void secret_free(char **secret);
void credential_fini(struct credential *c);
bool credential_is_empty(const struct credential *c);

/*
 * credentials_find - for a repository of a host ("docker.io", "localhost:5000"); empty if none
 * @authfile  --authfile, or NULL
 * Read anew at each call, so that a new login is seen by a mount that is weeks old. Files and
 * helpers that are broken are logged and passed over, except a broken @authfile: -EINVAL or -errno
 * (ERR_USAGE). Cost: file reads, and possibly a helper that runs for up to
 * CREDENTIAL_HELPER_TIMEOUT_S. A process that was given a secret leaves no core dump any more, and
 * its memory can not be read by other processes of its user (PR_SET_DUMPABLE).
 */
err_t credentials_find(const char *authfile, const char *host, const char *repo,
		       struct credential *out, struct diag *d) must_check;

/* One place where credentials are looked for. Nothing in it is secret. */
struct credential_source {
	const char *name; /* a path, or "$DOCKER_AUTH_CONFIG" */
	err_t err; /* 0; -ENOENT: it is not there; -EINVAL: no JSON; -errno: can not be read */
	bool open_to_others;	    /* its mode lets others read it */
	size_t n_logins;	    /* hosts and repositories that it holds something for */
	const char *const *helpers; /* names of the credential helpers that it wants asked */
	size_t n_helpers;
};
typedef void (*credential_source_fn)(void *arg, const struct credential_source *source);
/* credentials_survey - show every place that credentials_find would look into; no helper is run. */
void credentials_survey(const char *authfile, credential_source_fn show, void *arg);

/*
 * credentials_parse - the same search in one document
 * @old_format  ~/.dockercfg: the document is what `auths` is elsewhere
 * 0 with an empty credential when the document has nothing for the host; -EINVAL: no such JSON.
 */
err_t credentials_parse(struct bytes json, bool old_format, const char *host, const char *repo,
			struct credential *out, struct diag *d) must_check;

/*
 * credential_helper_get - ask docker-credential-NAME
 * The helper is executed directly, with a short environment, a time limit and a limit on its
 * output. 0 with an empty credential when it has none. -EINVAL: a name that could leave PATH; -EIO:
 * it failed; -ETIMEDOUT; -ENOENT: there is no such program.
 */
err_t credential_helper_get(const char *name, const char *server, struct credential *out,
			    struct diag *d) must_check;
/* credential_helper_name_valid - letters, digits, '-', '_', '.'; what may follow
 * "docker-credential-". */
bool credential_helper_name_valid(const char *name);

#endif
