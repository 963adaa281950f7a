/*
 * tls_trust - what a user has put aside for one host: authorities and a client certificate
 *
 * The layout that Docker and containers-certs.d(5) share: a directory HOST[:PORT] below
 * ~/.config/containers/certs.d, /etc/containers/certs.d or /etc/docker/certs.d (the first that
 * exists), in it *.crt files (authorities, trusted besides the system's, for this host only) and
 * pairs X.cert, X.key (a client certificate).
 */
#ifndef IMGFS_FETCH_TLS_TRUST_H
#define IMGFS_FETCH_TLS_TRUST_H

#include "index/base.h"

#define TLS_TRUST_FILE_MAX  (1u << 20) /* the system's whole bundle has a quarter of it */
#define TLS_TRUST_FILES_MAX 64

/* Owned; empty or NULL where there is nothing. */
struct tls_trust {
	struct buf authorities;	 /* PEM */
	char *certificate, *key; /* paths */
};
/* tls_trust_load - for "host" or "host:port". Files that can not be read are logged and passed
 * over. */
void tls_trust_load(const char *host, struct tls_trust *out);
void tls_trust_fini(struct tls_trust *trust);

#endif
