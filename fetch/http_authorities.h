/*
 * http_authorities - whose certificates are believed, for `imgfs doctor`
 */
#ifndef IMGFS_FETCH_HTTP_AUTHORITIES_H
#define IMGFS_FETCH_HTTP_AUTHORITIES_H

#include "index/base.h"

/* Owned. */
struct http_authorities {
	char *library; /* "libcurl/7.88.1, OpenSSL/3.0.17" */
	char *file;    /* SSL_CERT_FILE, or what libcurl was built with; NULL: none */
	char *dir;     /* SSL_CERT_DIR, or what libcurl was built with; NULL: none */
	err_t err;     /* of reading the file; 0 without one */
	size_t n;      /* certificates in the file that OpenSSL takes */
	size_t n_bad;  /* and that it does not */
	size_t n_dir;  /* entries of the directory that TLS libraries look at (HASH.N) */
};
/* http_authorities_load - fields are set as far as they are known. Cost: parses the whole bundle.
 */
void http_authorities_load(struct http_authorities *out);
void http_authorities_fini(struct http_authorities *a);

#endif
