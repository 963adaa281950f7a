/*
 * The second half of the proof, second part: where bytes lie. Every file lies inside its layer's
 * stream, chunks cover the stream without a gap, their blob ranges stay inside the blob, and what a
 * decoder is told to do is something that the codec can do.
 */
#include "index/index_priv.h"
#include "index/merge.h"
#include "index/window.h"

#include <sys/stat.h>

#define SPARSE_SIZE_MAX ((uint64_t)INT64_MAX)
#define HEADER_BITS_MIN 3u
#define HEADER_BITS_MAX 2400u /* 17 + 19 * 3 + 320 * 7, RFC 1951 section 3.2.7, rounded up */
#define SKIP_MAX	257u  /* one less than the longest match */

/* Size of the stream that `data` (layer << 48 | offset) points into; false when there is no such
 * layer. */
static bool stream_size_of(const struct index *ix, uint64_t data, uint64_t *size)
{
	uint64_t layer = data >> 48;
	if (ix->info.kind == INDEX_LAYER) {
		*size = ix->info.stream_size;
		return layer == 0;
	}
	if (layer >= ix->info.n_layers)
		return false;
	*size = get_le64(ix->layers[layer].stream_size);
	return true;
}

static bool data_fits(const struct index *ix, uint64_t data, uint64_t len)
{
	uint64_t size, off = data & (STREAM_MAX * 2 - 1);
	return stream_size_of(ix, data, &size) && off <= size && len <= size - off;
}

static err_t verify_sparse(const struct index *ix, uint32_t row, uint64_t *next, struct diag *d)
{
	const struct disk_inode *inode = &ix->inodes[row];
	uint64_t size = get_le64(inode->size), ref = get_le64(inode->ref);
	uint64_t first = ref & UINT32_MAX, count = ref >> 32, end = 0;
	if (size > SPARSE_SIZE_MAX || first != *next || count > ix->n_extents - first)
		return broken(d, "30", "row %u: extents %llu and %llu more", row,
			      (unsigned long long)first, (unsigned long long)count);
	*next = first + count;
	for (uint64_t i = first; i < *next; i++) {
		const struct disk_extent *x = &ix->extents[i];
		uint64_t off = get_le64(x->off), len = get_le64(x->len);
		if (len == 0 || off < end || off > size || len > size - off ||
		    !data_fits(ix, get_le64(x->data), len))
			return broken(d, "30", "row %u: extent %llu", row, (unsigned long long)i);
		end = off + len;
	}
	return 0;
}

static err_t verify_files(const struct index *ix, struct diag *d)
{
	static const uint8_t none[SHA256_LEN];
	uint64_t next = 0;
	for (uint32_t i = 0; i < ix->info.n_regular; i++) {
		uint32_t row = ix->info.n_dirs + i;
		const struct disk_inode *inode = &ix->inodes[row];
		uint64_t size = get_le64(inode->size), ref = get_le64(inode->ref);
		if (get_le16(inode->flags) & INODE_SPARSE) {
			err_t err = verify_sparse(ix, row, &next, d);
			if (err)
				return err;
			if (ix->digests &&
			    memcmp(ix->digests + (uint64_t)i * SHA256_LEN, none, SHA256_LEN) != 0)
				return broken(d, "31", "row %u: a sparse file with a digest", row);
		} else if (size ? !data_fits(ix, ref, size) : ref != 0) {
			return broken(d, "29", "row %u: %llu bytes at %llx", row,
				      (unsigned long long)size, (unsigned long long)ref);
		}
	}
	return next == ix->n_extents ? 0 : broken(d, "30", "extents that belong to no file");
}

/* I33: the blob range suits the codec and what stands before it. */
static bool blob_range_fits(const struct index_info *info, const struct chunk *c,
			    const struct chunk *before)
{
	if (c->blob_len == 0 || c->blob_off > info->blob_size ||
	    c->blob_len > info->blob_size - c->blob_off)
		return false;
	if (c->codec != CHUNK_ZSTD_INNER && c->blob_len > CHUNK_BLOB_MAX)
		return false;
	switch (info->codec) {
	case BLOB_TAR:
		return c->codec == CHUNK_STORED && c->blob_off == c->stream_off &&
		       c->blob_len == c->stream_len;
	case BLOB_GZIP:
		return c->codec == CHUNK_GZIP && (!before || c->blob_off >= before->blob_off);
	case BLOB_ZSTD:
		if (c->codec != CHUNK_ZSTD && c->codec != CHUNK_ZSTD_INNER)
			return false;
		if (before && c->codec == CHUNK_ZSTD_INNER && before->codec == CHUNK_ZSTD_INNER &&
		    c->blob_off == before->blob_off)
			return c->blob_len == before->blob_len;
		return !before || c->blob_off >= before->blob_off + before->blob_len;
	}
	return false;
}

/* I34: only a gzip chunk has a way to start; each way has exactly its own fields. */
static bool start_fits(const struct chunk *c, bool first)
{
	bool inside = c->start == START_INSIDE, stored = c->start == START_STORED;
	if (c->codec != CHUNK_GZIP || c->start == START_MEMBER)
		return c->start == 0 && !c->bit && !c->skip && !c->header_bits && !c->stored_left &&
		       !c->final_block && !c->window_len;
	if (first || c->start > START_STORED || c->bit > 7 || c->final_block > 1)
		return false;
	if (inside ? c->header_bits < HEADER_BITS_MIN || c->header_bits > HEADER_BITS_MAX ||
			     c->skip > SKIP_MAX
		   : c->header_bits || c->skip)
		return false;
	if (stored ? c->stored_left < 1 || c->stored_left > 65535 || c->bit : c->stored_left != 0)
		return false;
	return inside || stored || !c->final_block;
}

bool chunk_fits(const struct index_info *info, const struct chunk *c, const struct chunk *before,
		bool first)
{
	return blob_range_fits(info, c, before) && start_fits(c, first);
}

static err_t verify_chunks(const struct index *ix, struct diag *d)
{
	uint64_t stream = 0, windows = 0, windows_len = ix->sections[SECTION_WINDOWS].raw_len;
	struct chunk c, before;
	for (uint32_t i = 0; i < ix->info.n_chunks; i++) {
		index_chunk(ix, i, &c);
		if (c.stream_off != stream || c.stream_len == 0 ||
		    c.stream_len > CHUNK_STREAM_MAX || get_le32(ix->chunks[i].reserved))
			return broken(d, "32", "chunk %u: stream %llu and %u more", i,
				      (unsigned long long)c.stream_off, c.stream_len);
		stream += c.stream_len;
		if (!blob_range_fits(&ix->info, &c, i ? &before : NULL))
			return broken(d, "33", "chunk %u: blob range %llu and %llu more", i,
				      (unsigned long long)c.blob_off,
				      (unsigned long long)c.blob_len);
		if (!start_fits(&c, i == 0))
			return broken(d, "34", "chunk %u: start %u", i, c.start);
		if (c.window_len ? c.window_off != windows || c.window_len > WINDOW_ENCODED_MAX
				 : c.window_off != 0)
			return broken(d, "35", "chunk %u: window", i);
		windows += c.window_len;
		before = c;
	}
	if (stream != ix->info.stream_size)
		return broken(d, "32", "chunks cover %llu of %llu bytes",
			      (unsigned long long)stream, (unsigned long long)ix->info.stream_size);
	return windows == windows_len ? 0 : broken(d, "35", "WINDOWS has bytes of no chunk");
}

static err_t verify_layers(const struct index *ix, struct diag *d)
{
	struct digest blobs[INDEX_LAYERS_MAX], key;
	for (uint32_t i = 0; i < ix->info.n_layers; i++) {
		struct index_layer l;
		index_layer(ix, i, &l);
		const struct disk_layer *row = &ix->layers[i];
		size_t blob = digest_len(&l.blob_digest), diff = digest_len(&l.diff_id);
		bool tails = true;
		for (size_t k = 0; k < DIGEST_MAX; k++)
			tails = tails && (k < blob || !row->blob_digest[k]) &&
				(k < diff || !row->diff_id[k]);
		for (size_t k = 0; k < sizeof(row->reserved); k++)
			tails = tails && !row->reserved[k];
		if (!blob || !diff || !tails || l.stream_size > STREAM_MAX ||
		    l.blob_size > STREAM_MAX)
			return broken(d, "36", "layer %u", i);
		blobs[i] = l.blob_digest;
	}
	image_key_of(blobs, ix->info.n_layers, &key);
	return digest_equal(&key, &ix->info.image_key)
		       ? 0
		       : broken(d, "37", "the image key is not that of the layers");
}

/* I38: HEADS has a row for each layer, and the heads fill the rest. */
static err_t verify_heads(const struct index *ix, struct diag *d)
{
	static const struct disk_layer_head none;
	const struct section *s = &ix->sections[SECTION_HEADS];
	uint64_t at = (uint64_t)ix->info.n_layers * sizeof(none);
	if (s->len < at)
		return broken(d, "38", "HEADS has %llu bytes", (unsigned long long)s->len);
	for (uint32_t i = 0; i < ix->info.n_layers; i++) {
		struct disk_layer_head row;
		memcpy(&row, s->p + i * sizeof(row), sizeof(row));
		uint64_t len = get_le32(row.head_len);
		bool absent = memcmp(&row, &none, sizeof(row)) == 0;
		if (len > s->len - at || get_le32(row.reserved) ||
		    (!absent && (len == 0 || get_le64(row.form_len) < len)))
			return broken(d, "38", "the head of layer %u", i);
		at += len;
	}
	return at == s->len ? 0 : broken(d, "38", "HEADS has bytes of no layer");
}

err_t verify_data(const struct index *ix, struct diag *d)
{
	err_t err = ix->info.kind == INDEX_IMAGE ? verify_layers(ix, d) : verify_chunks(ix, d);
	if (!err && ix->sections[SECTION_HEADS].p)
		err = verify_heads(ix, d);
	return err ? err : verify_files(ix, d);
}
