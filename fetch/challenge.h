/*
 * challenge - what a 401 asks for: WWW-Authenticate (RFC 9110, 11.6.1; distribution's token flow)
 *
 * A header may hold several challenges, and there may be several headers. Bearer is taken before
 * Basic; other schemes are ignored.
 */
#ifndef IMGFS_FETCH_CHALLENGE_H
#define IMGFS_FETCH_CHALLENGE_H

#include "index/base.h"

#define CHALLENGE_PARAM_MAX 4096 /* bytes of one parameter value */

enum challenge_scheme {
	CHALLENGE_NONE,
	CHALLENGE_BASIC,
	CHALLENGE_BEARER,
};

/* Strings are owned; NULL where the challenge does not have them. */
struct challenge {
	enum challenge_scheme scheme;
	char *realm;
	char *service;
	char *scope; /* one or more, separated by blanks */
	char *error; /* "invalid_token", "insufficient_scope" */
};

/*
 * challenge_add - look for a better challenge in one header value
 * Start with a zeroed struct and call it for each header. What is malformed ends the search in that
 * header; what came before it counts.
 */
void challenge_add(struct challenge *best, const char *header);
void challenge_fini(struct challenge *c);
void challenge_copy(struct challenge *to, const struct challenge *from);
/* challenge_has_error - whether the error parameter is this one. */
bool challenge_has_error(const struct challenge *c, const char *error);

#endif
