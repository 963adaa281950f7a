/*
 * store - the local directory of documents, indexes, chunks and kept blobs (fetch/STORE.md)
 *
 * Everything in it is verified before it is put there and again when it is taken out for the first
 * time in a process. Files are published by rename; only chunk data and maps are written in place,
 * data before bit. A store may be used by several processes at once. Thread safe.
 */
#ifndef IMGFS_FETCH_STORE_H
#define IMGFS_FETCH_STORE_H

#include "fetch/source.h"
#include "index/index.h"

struct store;

/*
 * store_open - open or create
 * @dir  NULL: $IMGFS_STORE, else /var/lib/imgfs as root, else $XDG_CACHE_HOME/imgfs, else
 * ~/.cache/imgfs The directory and what is below it must be ours and closed to others (0700), else
 * -EPERM (ERR_STORE).
 */
err_t store_open(const char *dir, struct store **out, struct diag *d) must_check;

/* store_open_there - the same without making one: -ENOENT (ERR_NOT_FOUND) where there is none. */
err_t store_open_there(const char *dir, struct store **out, struct diag *d) must_check;
/* store_default_dir - what dir NULL means; the caller frees. NULL (ERR_STORE): nothing tells. */
char *store_default_dir(struct diag *d);
void store_close(struct store **s);
/* store_default_dir - where store_open looks with NULL; the caller frees. NULL (ERR_STORE) when the
 * environment names no place. */
char *store_default_dir(struct diag *d);
const char *store_dir(const struct store *s);

/* Documents by digest. get: -ENOENT when absent; a file that does not match its digest is removed
 * and absent. */
err_t store_document_get(struct store *s, const struct digest *digest,
			 struct document *out) must_check;
err_t store_document_put(struct store *s, const struct document *doc) must_check;

/* store_document_check - compare a document with its digest: -EBADMSG when it is wrong (removed if
 * `repair`), -ENOENT when it is not there. */
err_t store_document_check(struct store *s, const struct digest *digest, bool repair) must_check;

/* The last digest a tag was seen to name: written after each verified resolve. text is ref_text().
 */
err_t store_tag_put(struct store *s, const char *text, const struct digest *digest) must_check;
err_t store_tag_get(struct store *s, const char *text, struct digest *digest) must_check;

/* store_tags_each - fn for every reference that was resolved, in no order; text is ref_text(). A
 * file that can not be read is passed over. -EPERM, -errno when the directory can not. */
typedef void store_tag_fn(void *arg, const char *text, const struct digest *digest);
err_t store_tags_each(struct store *s, store_tag_fn *fn, void *arg) must_check;

/*
 * Indexes. kind and name: INDEX_LAYER by blob digest, INDEX_IMAGE by image key. get opens and
 * proves the file; one that lies is moved out of the way, logged, and absent (-ENOENT). It also
 * compares kind and name inside. Other errors are the machine's (-ENOMEM, -EMFILE).
 */
err_t store_index_get(struct store *s, enum index_kind kind, const struct digest *name,
		      struct index **out) must_check;
err_t store_index_put(struct store *s, enum index_kind kind, const struct digest *name,
		      struct bytes file) must_check;
/* store_index_there - whether there is such a file, unproved. */
bool store_index_there(struct store *s, enum index_kind kind, const struct digest *name);
/* store_index_path - where it is or would be; the caller frees. */
char *store_index_path(struct store *s, enum index_kind kind, const struct digest *name);

/*
 * Published indexes: what of them was fetched, by the digest of the artifact or of the layer form.
 * It is looked at only for a user who trusts the artifact (fetch/TRUST.md). index: as
 * store_index_get and _put; of the artifact's digest the merged tree (INDEX_IMAGE), of a form's the
 * index that the layer's whole stream gave (INDEX_LAYER): that it is there says that the form was
 * proven.
 */
err_t store_published_index_get(struct store *s, enum index_kind kind, const struct digest *digest,
				struct index **out) must_check;
err_t store_published_index_put(struct store *s, const struct digest *digest,
				struct bytes file) must_check;
bool store_published_index_there(struct store *s, const struct digest *digest);
/* store_published_index_path - as store_index_path. */
char *store_published_index_path(struct store *s, const struct digest *digest);
/* store_form_open - the sparse copy of a layer form of `len` bytes, made if it is not there: a
 * descriptor to read and write parts at their offsets, or -errno. Its bytes are checked by who
 * reads. */
int store_form_open(struct store *s, const struct digest *form, uint64_t len);
/* store_form_read - a copy that is whole and matches its digest; -ENOENT otherwise. write: keep a
 * whole one, whose digest the caller has checked. */
err_t store_form_read(struct store *s, const struct digest *form, uint64_t len,
		      struct buf *out) must_check;
err_t store_form_write(struct store *s, const struct digest *form, struct bytes bytes) must_check;
/* store_form_adopt - the form was proven: its chunks become the layer's, unless that has some. Who
 * has them open goes on with them. */
void store_form_adopt(struct store *s, const struct digest *form, const struct digest *blob);
/* store_published_drop - forget an artifact or a form, with the chunks it decoded. */
void store_published_drop(struct store *s, const struct digest *digest);

/* Profiles, packed (index/profile.h), by a name that the caller makes. get: appended to an empty
 * buffer; -ENOENT when there is none; one that has rotted is removed and absent. */
err_t store_profile_get(struct store *s, const char *name, struct buf *packed) must_check;
err_t store_profile_put(struct store *s, const char *name, struct bytes packed) must_check;
void store_profile_drop(struct store *s, const char *name);

/* Traces, packed (index/trace.h), the same way; a put drops the oldest where there are many. */
err_t store_trace_get(struct store *s, const char *name, struct buf *packed) must_check;
err_t store_trace_put(struct store *s, const char *name, struct bytes packed) must_check;

/*
 * A blob that was streamed for indexing is kept compressed, so that nothing is downloaded twice.
 * create: a writer into a temporary file; write never fails for a full disk (the writer goes dead
 * and commit says -ENOSPC); commit publishes, the caller vouches that the bytes match the digest;
 * abort drops.
 */
struct blob_writer;
err_t store_blob_create(struct store *s, const struct digest *digest,
			struct blob_writer **out) must_check;
void blob_writer_write(struct blob_writer *w, const void *p, size_t n);
err_t blob_writer_commit(struct blob_writer **w) must_check;
void blob_writer_abort(struct blob_writer **w);
/* store_blob_open - descriptor of a kept blob of exactly `size` bytes, or -ENOENT; store_blob_drop
 * removes one that lies. */
int store_blob_open(struct store *s, const struct digest *digest, uint64_t size);
void store_blob_drop(struct store *s, const struct digest *digest);

/*
 * The chunks of one layer. The table is borrowed and must outlive the object; the row of a chunk
 * that is read, put or asked for must be there. When the layer's files can
 * not be made (a full or read-only disk, no descriptors), the object is there all the same and
 * keeps nothing. -EPERM (ERR_STORE) when the place is not ours.
 */
struct chunk_store;
struct chunk_table;
err_t chunk_store_open(struct store *s, const struct chunk_table *table, struct chunk_store **out,
		       struct diag *d) must_check;
void chunk_store_close(struct chunk_store **cs);
/* chunk_store_there - whether the store has files for these chunks, without making them. */
bool chunk_store_there(struct store *s, const struct chunk_table *table);
/*
 * chunk_store_read - bytes [off, off + n) of a stored chunk into p
 * Believed only after the chunk's XXH3 has matched once in this process; a mismatch is punched out,
 * logged, and absent. Returns 0, -ENOENT when not stored. Never another error: a disk that can not
 * be read is a chunk that is not there.
 */
err_t chunk_store_read(struct chunk_store *cs, uint32_t chunk, uint32_t off, uint32_t n,
		       void *p) must_check;
/* chunk_store_read_again - a whole chunk, compared with its XXH3 whatever was verified before;
 * otherwise as chunk_store_read. */
err_t chunk_store_read_again(struct chunk_store *cs, uint32_t chunk, void *p) must_check;
/* chunk_store_check - what the disk has of a chunk, compared with its XXH3; p has room for it.
 * -ENOENT: not stored, or dropped meanwhile; -EBADMSG: it is wrong, and was dropped if `repair`. */
err_t chunk_store_check(struct chunk_store *cs, uint32_t chunk, void *p, bool repair) must_check;
/* chunk_store_will_need - have the disk read a chunk, without waiting. */
void chunk_store_will_need(const struct chunk_store *cs, uint32_t chunk);
/* chunk_store_has - whether the map says so (not yet checked). */
bool chunk_store_has(const struct chunk_store *cs, uint32_t chunk);
/*
 * chunk_store_put - keep a chunk's verified stream bytes: data first, then the bit
 * -ENOSPC and other -errno when it could not be kept; the store then stays pass-through for a
 * while; log once.
 */
err_t chunk_store_put(struct chunk_store *cs, uint32_t chunk, const uint8_t *data) must_check;
/* chunk_store_keeps - false while a put would fail at once (no room, no files). */
bool chunk_store_keeps(const struct chunk_store *cs);
/* chunk_store_complete - whether every chunk is stored. Cost: looks on from where it last found one
 * missing. */
bool chunk_store_complete(struct chunk_store *cs);

/* store_layers_used - layers that have an index and chunks, the ones that got a chunk last first;
 * returns how many were found, at most `max`. Cost: three system calls a layer of the store. */
size_t store_layers_used(struct store *s, struct digest *out, size_t max);

/* What the store has of one layer's bytes. */
struct layer_stored {
	bool blob;	       /* the whole blob, compressed, as it was streamed for indexing */
	uint64_t chunks_bytes; /* disk that decoded chunks take, at most stream_size */
	uint64_t stream_size;  /* of the layer uncompressed; 0: no chunk was ever kept */
};
/*
 * store_layer_stored - @size of the blob; @form the published form whose chunks count too, or NULL
 * The bytes are not looked at: who reads them verifies them. Cost: a few system calls.
 */
void store_layer_stored(struct store *s, const struct digest *blob, uint64_t size,
			const struct digest *form, struct layer_stored *out);

/*
 * Use of an image, by the digest of its manifest: who has it open, and who had it last.
 * store_use_begin notes the time and gives a descriptor: until it is closed (or the process ends)
 * the image is in use. store_use_seize - the same for who wants to remove the image: -EBUSY while
 * it is in use; until it is closed nobody else can begin to use it. Both give -errno where no note
 * can be made. store_use_last - when it was used last (seconds since 1970), and whether it is in
 * use; false: nobody has noted a use.
 */
int store_use_begin(struct store *s, const struct digest *manifest);
int store_use_seize(struct store *s, const struct digest *manifest);
bool store_use_last(struct store *s, const struct digest *manifest, int64_t *when, bool *in_use);
/* store_use_forget - remove the note that a seized descriptor stands for. */
void store_use_forget(struct store *s, const struct digest *manifest);

/* For `imgfs store du`: disk use (allocated bytes) by kind. */
struct store_usage {
	uint64_t documents, indexes, chunks, blobs, other; /* bytes on disk */
	uint64_t n_layers, n_images;
};
err_t store_usage(struct store *s, struct store_usage *out, struct diag *d) must_check;

#endif
