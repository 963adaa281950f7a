/*
 * credentials_priv - where credentials are looked for, for credentials.c and credentials_survey.c
 */
#ifndef IMGFS_FETCH_CREDENTIALS_PRIV_H
#define IMGFS_FETCH_CREDENTIALS_PRIV_H

#include "fetch/credentials.h"

struct credential_place {
	char *path; /* owned; NULL when the environment does not name it */
	bool old_format;
};

#define CREDENTIAL_PLACES 5
/* credentials_places - in the order in which they count; the caller frees the paths. */
void credentials_places(struct credential_place places[CREDENTIAL_PLACES]);
/* credential_place_is_absent - whether reading a place gave `err` because nothing of ours can be
 * there: no such file, or a folder on the way that is closed to us. */
bool credential_place_is_absent(const char *path, err_t err);

#endif
