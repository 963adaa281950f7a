/*
 * source - anything that blobs and documents can be read from: a registry, an OCI layout
 *
 * Calls block; they are made by the main thread before the mount and by fetch workers after it,
 * never by a FUSE thread. All are thread safe. Deadlines are absolute, in now_ms() time; a call
 * returns -ETIMEDOUT soon after. Bytes of source_open are unverified: whoever asked for them checks
 * them. Documents are verified by the source.
 */
#ifndef IMGFS_FETCH_SOURCE_H
#define IMGFS_FETCH_SOURCE_H

#include "fetch/ref.h"

#define DOCUMENT_MAX (4u << 20) /* a manifest, index or config; what other clients accept */

/* A manifest, image index or config: its exact bytes and the type its source gave it. */
struct document {
	struct buf bytes;
	struct digest digest; /* of bytes: verified where it was asked for by digest, computed
				 otherwise */
	char media_type[128]; /* without parameters; "" when the source does not say */
};
void document_fini(struct document *doc);

struct source;
struct source_stream;

/* One page of an OCI image index that lists what refers to `subject`; a negative result ends the
 * listing and is passed on. */
typedef err_t (*referrers_page_fn)(void *arg, struct bytes json, struct diag *d);

/* A manifest to be written. All is borrowed. */
struct manifest_put {
	struct digest digest;
	const char *media_type;
	struct bytes content;  /* its exact bytes */
	struct digest subject; /* unset: it refers to nothing */
	/* JSON text of the descriptor that lists of referrers get: mediaType, digest, size,
	 * artifactType, annotations, perhaps data */
	const char *descriptor;
};

/* The last four may be NULL: the source can not do that. */
struct source_ops {
	err_t (*head)(struct source *s, const struct ref *ref, struct digest *out, struct diag *d);
	err_t (*manifest)(struct source *s, const struct ref *ref, const struct digest *by_digest,
			  struct document *out, struct diag *d);
	err_t (*small_blob)(struct source *s, const struct digest *digest, uint64_t size,
			    struct document *out, struct diag *d);
	err_t (*open)(struct source *s, const struct digest *digest, uint64_t size, uint64_t off,
		      uint64_t len, int64_t deadline_ms, struct source_stream **out,
		      struct diag *d);
	err_t (*read)(struct source_stream *st, void *p, size_t n, size_t *got, struct diag *d);
	void (*close)(struct source_stream *st);
	void (*interrupt)(struct source *s);
	void (*free)(struct source *s);
	err_t (*referrers)(struct source *s, const struct ref *ref, const struct digest *subject,
			   const char *artifact_type, referrers_page_fn page, void *arg,
			   struct diag *d);
	err_t (*tags)(struct source *s, struct buf *json, struct diag *d);
	err_t (*blob_put)(struct source *s, const struct digest *digest, struct bytes content,
			  bool *was_there, struct diag *d);
	err_t (*manifest_put)(struct source *s, const struct manifest_put *put, struct diag *d);
};

/* The base of every source; implementations embed it as first member. */
struct source {
	const struct source_ops *ops;
	char *label; /* for messages: "localhost:5000/app", "oci:/dir" */
	void (*trouble)(void *arg, const char *text); /* see source_watch; or NULL */
	void *trouble_arg;
};
struct source_stream {
	struct source *source;
};

/*
 * source_watch - have it said when a call meets trouble and goes on trying, so that who waits can
 * be told why before the call ends
 * @trouble  called on the thread of the call, without any lock; NULL: no more. Set while no call is
 *           under way
 */
void source_watch(struct source *s, void (*trouble)(void *arg, const char *text), void *arg);
/* source_trouble - what implementations call. */
void source_trouble(struct source *s, const char *text);

/*
 * source_head - the digest that the reference's tag names now, without fetching the manifest
 * -ENOTSUP when the source can not say (fall back to source_manifest). For a layout it is a look
 * into index.json.
 */
err_t source_head(struct source *s, const struct ref *ref, struct digest *out,
		  struct diag *d) must_check;

/*
 * source_manifest - a manifest or image index, by digest if by_digest is not NULL, else what the
 * reference names. Verified against by_digest. -ENOENT (ERR_NOT_FOUND), -EACCES (ERR_DENIED),
 * -EBADMSG (ERR_INTEGRITY), -EDQUOT (ERR_RATE), network errors (ERR_NETWORK).
 */
err_t source_manifest(struct source *s, const struct ref *ref, const struct digest *by_digest,
		      struct document *out, struct diag *d) must_check;

/* source_small_blob - a config: size is exact and at most DOCUMENT_MAX; size and digest verified.
 */
err_t source_small_blob(struct source *s, const struct digest *digest, uint64_t size,
			struct document *out, struct diag *d) must_check;

/*
 * source_open - start reading [off, off + len) of a blob of `size` bytes; len >= 1, off + len <=
 * size. The stream gives exactly len bytes or an error; retries and resumes of a broken transfer
 * happen inside. Errors, of source_read too, as source_manifest. -EDQUOT (ERR_RATE) is a registry
 * that limits our rate after all retries, or one that said that a quota is used up: that lasts for
 * hours, and asking again within seconds makes it worse.
 */
err_t source_open(struct source *s, const struct digest *digest, uint64_t size, uint64_t off,
		  uint64_t len, int64_t deadline_ms, struct source_stream **out,
		  struct diag *d) must_check;
/* source_read - up to n more bytes; *got is 0 only at the end of the range. */
err_t source_read(struct source_stream *st, void *p, size_t n, size_t *got,
		  struct diag *d) must_check;
void source_close(struct source_stream **st);

/*
 * source_referrers - what refers to a manifest, page by page
 * @artifact_type  only a hint to filter by, may be NULL: entries of other types, and from a layout
 *                 of other subjects, may be in the pages; the caller filters
 * 0 when there are none (page may never be called). A registry that answers badly or late is one
 * that knows of none: after 5 s at most it is 0 all the same, and `index.referrers` in the log says
 * why. Errors: those of page; -ECANCELED; no connection at all (-ECONNREFUSED, -EHOSTUNREACH);
 * -ENOTSUP; for a layout those of reading it. At most REFERRERS_PAGES_MAX pages of DOCUMENT_MAX
 * bytes. Cost: one request where the registry has the referrers API, two where it has not.
 */
#define REFERRERS_PAGES_MAX 3
err_t source_referrers(struct source *s, const struct ref *ref, const struct digest *subject,
		       const char *artifact_type, referrers_page_fn page, void *arg,
		       struct diag *d) must_check;

/*
 * source_tags - the tags of the repository, as its registry lists them: {"name", "tags": [...]}
 * (distribution-spec), appended to an empty buffer
 * A registry may give a part only. -ENOTSUP for other sources; errors as source_manifest.
 */
err_t source_tags(struct source *s, struct buf *json, struct diag *d) must_check;

/*
 * source_blob_put - store a blob; nothing is sent when it is there already (*was_there)
 * The content is compared with its digest first: -EBADMSG (ERR_INTEGRITY). -EACCES (ERR_DENIED, of
 * a layout ERR_STORE) when the source does not let us write; -ENOTSUP; network errors.
 */
err_t source_blob_put(struct source *s, const struct digest *digest, struct bytes content,
		      bool *was_there, struct diag *d) must_check;

/*
 * source_manifest_put - store a manifest (at most DOCUMENT_MAX bytes) whose blobs are there, and
 * list it where source_referrers looks for its subject, which need not exist. Errors as
 * source_blob_put; -EBADMSG when what keeps the list is no image index (it is left alone); -ESTALE
 * when other writers kept undoing it. The manifest may be stored even then; doing it again is safe.
 */
err_t source_manifest_put(struct source *s, const struct manifest_put *put,
			  struct diag *d) must_check;

/* source_interrupt - make all calls in flight, and later ones, return -ECANCELED soon (the process
 * is going down). */
void source_interrupt(struct source *s);
void source_free(struct source **s);

/*
 * source_read_range - open, read the whole range into p, close
 */
err_t source_read_range(struct source *s, const struct digest *digest, uint64_t size, uint64_t off,
			uint64_t len, int64_t deadline_ms, void *p, struct diag *d) must_check;

#endif
