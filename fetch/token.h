/*
 * token - trading a credential (or none) for a bearer token (distribution's token specification)
 *
 * The realm that is asked was named by a peer. Whether it may be asked at all, and whether it may
 * be given a credential, is decided by the caller (registry_auth.c); here the rules hold that every
 * token request keeps: no redirect takes a credential to another origin, and none leaves the
 * allowed networks.
 */
#ifndef IMGFS_FETCH_TOKEN_H
#define IMGFS_FETCH_TOKEN_H

#include "fetch/credentials.h"
#include "fetch/http.h"

#define TOKEN_ANSWER_MAX (64u << 10)
#define TOKEN_LIFE_MIN_S 60 /* the specification's default, and its floor */
#define TOKEN_SCOPES_MAX 8

struct token {
	char *value;	/* owned; a secret */
	int64_t life_s; /* from its receipt; the server's clock is not asked */
};
void token_fini(struct token *t);

struct token_request {
	const struct http_url *realm;
	const char *service;		      /* NULL: none */
	const char *scopes[TOKEN_SCOPES_MAX]; /* the most wanted first: some servers see one */
	size_t n_scopes;
	const struct credential *credential; /* NULL: anonymous */
	unsigned networks;
	int64_t deadline_ms;
};

/*
 * token_fetch - POST for an identity token (falls back to GET where a server has no such thing),
 * GET otherwise. -EACCES (ERR_DENIED) when the server refuses; -EDQUOT (ERR_RATE); -EREMOTEIO
 * (ERR_NETWORK) for another status; -EPROTO (ERR_NETWORK) for an answer without a token; http
 * errors.
 */
err_t token_fetch(struct http *http, const struct token_request *request, struct token *out,
		  struct diag *d) must_check;

/* token_parse - the answer's JSON; -EPROTO (ERR_NETWORK) without a token in it. */
err_t token_parse(struct bytes json, struct token *out, struct diag *d) must_check;

/* basic_authorization - "Basic base64(user:password)"; a secret, the caller frees. */
char *basic_authorization(const char *username, const char *password);

#endif
