/*
 * document_text - documents for tests: from text, with '' written for " so that C stays readable
 */
#ifndef IMGFS_TESTS_DOCUMENT_TEXT_H
#define IMGFS_TESTS_DOCUMENT_TEXT_H

/* Before cmocka.h, whose fail() is a macro. */
#include "fetch/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define OCI_INDEX     "application/vnd.oci.image.index.v1+json"
#define OCI_MANIFEST  "application/vnd.oci.image.manifest.v1+json"
#define OCI_CONFIG    "application/vnd.oci.image.config.v1+json"
#define OCI_LAYER     "application/vnd.oci.image.layer.v1.tar"
#define DOCKER_LIST   "application/vnd.docker.distribution.manifest.list.v2+json"
#define DOCKER_IMAGE  "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define DOCKER_LAYER  "application/vnd.docker.image.rootfs.diff.tar"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEX_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define SHA_A "sha256:" HEX_A
#define SHA_B "sha256:" HEX_B
#define SHA_C "sha256:" HEX_C

/* A descriptor without its closing brace, so that more fields can follow. */
#define DESC(type, digest, size) "{'mediaType':'" type "','digest':'" digest "','size':" size
#define CONFIG			 "'config':" DESC(OCI_CONFIG, SHA_A, "7") "}"
#define LAYER_A			 DESC(OCI_LAYER, SHA_A, "10") "}"
#define LAYER_B			 DESC(OCI_LAYER "+gzip", SHA_B, "20") "}"

/* The text with every ' turned into "; the caller frees. */
static inline char *json_text(const char *text)
{
	char *copy = xstrdup(text);
	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	return copy;
}

static inline struct document document_text(const char *text, const char *media_type)
{
	struct document doc = {0};
	auto_free char *json = json_text(text);
	assert_int_equal(buf_append(&doc.bytes, json, strlen(json)), 0);
	digest_of(DIGEST_SHA256, doc.bytes.p, doc.bytes.n, &doc.digest);
	snprintf(doc.media_type, sizeof(doc.media_type), "%s", media_type);
	return doc;
}

/* Both must hold: the result, and where it is an error, a part of its text. */
static inline void assert_outcome(const char *what, err_t got, err_t expected, const struct diag *d,
				  const char *part)
{
	if (got == expected && (!part || strstr(d->text, part)))
		return;
	fail_msg("%s: got %d \"%s\", expected %d with \"%s\"", what, got, d->text, expected,
		 part ? part : "");
}

#endif
