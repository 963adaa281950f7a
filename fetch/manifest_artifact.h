/*
 * manifest_artifact - the artifact manifest that publishes an index (index/WIRE.md, "The artifact")
 *
 * One OCI artifact beside each image: it names the published form of the merged tree and of each
 * layer's index, carries the image's config, and may be signed.
 */
#ifndef IMGFS_FETCH_MANIFEST_ARTIFACT_H
#define IMGFS_FETCH_MANIFEST_ARTIFACT_H

#include "fetch/manifest.h"

#define ARTIFACT_TYPE_PREFIX "application/vnd.imgfs.index."
#define ARTIFACT_TYPE	     ARTIFACT_TYPE_PREFIX "v1"
#define ARTIFACT_KEY_ID_MAX  64 /* bytes of a key's name, with NUL */
#define ARTIFACT_KEYS_MAX    16 /* signatures that are looked at */
/* A config up to this size travels in the artifact; larger ones are fetched as blobs. */
#define ARTIFACT_CONFIG_MAX (32u << 10)
/* An image manifest, or its entry in an image index, names its published index by this. */
#define ARTIFACT_ANNOTATION "vnd.imgfs.index"

struct artifact_layer {
	struct digest layer;	/* the layer's blob */
	struct descriptor form; /* its index's published form */
};

struct artifact_signature {
	char key_id[ARTIFACT_KEY_ID_MAX];
	struct buf bytes;
};

struct artifact {
	struct descriptor subject; /* the image manifest; digest unset: the artifact names none */
	struct descriptor tree;	   /* the published form of the merged tree */
	struct artifact_layer *layers; /* in the image's order, each blob once; owned */
	size_t n_layers;
	struct descriptor profile; /* packed (index/profile.h); digest unset: there is none */
	struct descriptor config;  /* the image's; digest unset: not named */
	struct buf config_bytes;   /* as carried, not compared with config.digest; may be empty */
	struct artifact_signature signatures[ARTIFACT_KEYS_MAX];
	size_t n_signatures;
};

/*
 * artifact_parse - *out needs artifact_fini on success only
 * -ENOTSUP (ERR_UNSUPPORTED): another version's; -EBADMSG (ERR_INTEGRITY): no published index, or a
 * malformed one.
 */
err_t artifact_parse(const struct document *doc, struct artifact *out, struct diag *d) must_check;
void artifact_fini(struct artifact *a);

/* artifact_statement - what a signature covers, appended to an empty buffer (fetch/TRUST.md). */
err_t artifact_statement(const struct artifact *a, struct buf *out) must_check;

/* artifact_write - the manifest's bytes, appended to an empty buffer; the same for the same
 * artifact on every machine. */
err_t artifact_write(const struct artifact *a, struct buf *out) must_check;

/* artifact_descriptor - the JSON text of the descriptor that lists of referrers get, with the
 * manifest itself as `data` where it is small; the caller frees. */
char *artifact_descriptor(const struct artifact *a, struct bytes manifest);

/* One entry of a list of referrers that may be a published index. */
struct artifact_candidate {
	struct digest digest;
	bool sure; /* its type says so; otherwise only a look can tell */
	char key_ids[ARTIFACT_KEYS_MAX][ARTIFACT_KEY_ID_MAX]; /* who claims to have signed it */
	size_t n_key_ids;
	struct buf
		manifest; /* as carried in the list, not compared with the digest; may be empty */
};
#define ARTIFACT_CANDIDATES_MAX 50 /* candidates of all lists together that are kept */
struct artifact_candidates {
	struct artifact_candidate *list; /* owned */
	size_t n;
	bool other_version; /* one of another version was there */
	/* set by the caller, may be NULL: candidates that claim such a key are never left out for
	 * others */
	bool (*wants)(void *arg, const char *key_id);
	void *wants_arg;
};
/*
 * artifact_candidates_add - the entries of one list that may be ours
 * Malformed entries are passed over; -EBADMSG when the text is no list at all.
 */
err_t artifact_candidates_add(struct artifact_candidates *c, struct bytes json,
			      struct diag *d) must_check;
void artifact_candidates_fini(struct artifact_candidates *c);

#endif
