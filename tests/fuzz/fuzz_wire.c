/*
 * fuzz_wire - arbitrary bytes as the published form of an index: refused with a reason, or an index
 * that opens (an image: or is refused), and goes out and in again unchanged
 *
 * The first byte chooses what the rest is: a head (0), the form of a layer (1) whose lengths and
 * digests are made right first, the form of an image (2), or one group alone (3): its head in 16
 * bytes, then its columns and windows before they are packed.
 */
#include "index/index_priv.h"
#include "index/wire_priv.h"

#include <zstd.h>

#define PARTS_MAX (16u << 20) /* all groups of a layer unpacked; beyond it costs only memory */

static void check_head(const struct wire_head *h)
{
	uint64_t n = 0;
	for (uint32_t i = 0; i < h->n_groups; i++) {
		uint32_t len = wire_group_len(h, i);
		BUG_ON(len == 0 || len > h->group_chunks);
		BUG_ON(wire_group_at(h, h->stream_offs[i]) != i);
		n += len;
	}
	BUG_ON(n != h->info.n_chunks || h->tree.off + h->tree.len != h->digests.off ||
	       h->digests.off + h->digests.len != h->form_len);
	if (h->n_groups)
		BUG_ON(wire_group_at(h, h->info.stream_size - 1) != h->n_groups - 1);
}

static void try_head(struct bytes in)
{
	struct wire_head *h = NULL;
	struct diag d = DIAG_INIT;
	err_t err = wire_head_parse(in, &h, &d);
	BUG_ON(err && !d.text[0]);
	if (!err)
		check_head(h);
	wire_head_free(&h);
}

/* --- layers --- */

/* Name the parts by their lengths and digests: the last one takes the rest. */
static void seal_parts(struct buf *form, uint32_t n_groups, size_t at)
{
	struct wire_disk_head *head = (void *)form->p;
	struct wire_disk_group *rows = (void *)(form->p + sizeof(*head));
	for (uint32_t i = 0; i < n_groups; i++) {
		size_t len = min_of((size_t)get_le32(rows[i].len), form->n - at);
		rows[i].len = put_le32((uint32_t)len);
		sha256_of(form->p + at, len, rows[i].sha256);
		at += len;
	}
	size_t tree = (size_t)min_of(get_le64(head->tree_len), (uint64_t)(form->n - at));
	head->tree_len = put_le64(tree);
	sha256_of(form->p + at, tree, head->tree_sha256);
	at += tree;
	head->digests_len = put_le64(form->n - at);
	sha256_of(form->p + at, form->n - at, head->digests_sha256);
}

static void seal(struct buf *form)
{
	struct wire_disk_head *head = (void *)form->p;
	if (form->n < sizeof(*head))
		return;
	size_t head_len = get_le32(head->begin.head_len);
	head->begin.form_len = put_le64(form->n);
	if (head_len < sizeof(*head) || head_len > form->n)
		return;
	seal_parts(form, (uint32_t)((head_len - sizeof(*head)) / sizeof(struct wire_disk_group)),
		   head_len);
}

/* The canonical digest is the last thing to be compared; so it is asked for, and put in. */
static bool seal_canonical(struct buf *form, const struct buf *file)
{
	struct wire_disk_head *head = (void *)form->p;
	struct index *ix;
	struct digest canonical;
	if (!file->n || index_open_bytes(buf_bytes(file), &ix, NULL))
		return false;
	BUG_ON(index_info(ix)->kind != INDEX_LAYER);
	err_t err = index_canonical_digest(ix, &canonical);
	BUG_ON(err && err != -EBADMSG);
	head->table_xxh3 = put_le64(index_table_xxh3(ix));
	memcpy(head->canonical, canonical.b, sizeof(head->canonical));
	index_close(&ix);
	return !err;
}

/* What was accepted goes out and in again: the same index, if it is one that a build makes. */
static void layer_again(const struct buf *file)
{
	struct index *ix;
	struct buf form = {0}, again = {0};
	struct diag d = DIAG_INIT;
	BUG_ON(index_open_bytes(buf_bytes(file), &ix, NULL));
	err_t err = wire_layer_encode(ix, &form, &d);
	BUG_ON(err && err != -E2BIG && err != -ENOTSUP);
	if (!err) {
		BUG_ON(wire_layer_decode(buf_bytes(&form), &again, &d));
		BUG_ON(!bytes_equal(buf_bytes(file), buf_bytes(&again)));
	}
	index_close(&ix);
	buf_fini(&form);
	buf_fini(&again);
}

/* The unpacked size of what a few bytes can claim: level 19 takes a minute over a gigabyte. */
static bool is_small(struct bytes form)
{
	struct wire_disk_begin begin;
	struct wire_head *h = NULL;
	uint64_t sum = 0;
	if (form.n < sizeof(begin))
		return true;
	memcpy(&begin, form.p, sizeof(begin));
	if (get_le32(begin.head_len) > form.n ||
	    wire_head_parse((struct bytes){form.p, get_le32(begin.head_len)}, &h, NULL))
		return true;
	for (uint32_t i = 0; i < h->n_groups; i++) {
		struct bytes rows, windows;
		if (wire_group_split((struct bytes){form.p + h->groups[i].off, h->groups[i].len},
				     &rows, &windows, NULL))
			break;
		unsigned long long n = ZSTD_getFrameContentSize(windows.p, windows.n);
		if (n < ZSTD_CONTENTSIZE_ERROR)
			sum += n;
	}
	wire_head_free(&h);
	return sum < PARTS_MAX;
}

static void try_layer(struct bytes in)
{
	struct buf form = {0}, file = {0};
	struct diag d = DIAG_INIT, s = DIAG_INIT;
	struct wire_sizes sizes;
	BUG_ON(buf_append(&form, in.p, in.n));
	seal(&form);
	if (is_small(buf_bytes(&form))) {
		err_t err = wire_layer_decode(buf_bytes(&form), &file, &d);
		BUG_ON(err && !d.text[0]);
		if (err == -EBADMSG && seal_canonical(&form, &file)) {
			file.n = 0;
			err = wire_layer_decode(buf_bytes(&form), &file, &d);
			BUG_ON(err);
		}
		if (!err) {
			layer_again(&file);
			BUG_ON(wire_layer_sizes(buf_bytes(&form), &sizes, &s));
			BUG_ON(sizes.total != form.n);
		}
	}
	buf_fini(&form);
	buf_fini(&file);
}

/* --- images --- */

static void image_again(const struct index *ix, const struct buf *file)
{
	struct buf form = {0}, again = {0};
	uint32_t n = index_info(ix)->n_layers;
	struct index_layer_head *heads = xcalloc(n + 1, sizeof(*heads));
	struct diag d = DIAG_INIT;
	for (uint32_t i = 0; i < n; i++)
		if (index_layer_head(ix, i, &heads[i])) {
			BUG_ON(heads[i].form_len < heads[i].head.n);
			try_head(heads[i].head);
		} else {
			heads[i] = (struct index_layer_head){0};
		}
	BUG_ON(wire_image_encode(ix, heads, &form, &d));
	BUG_ON(wire_image_decode(buf_bytes(&form), &again, &d));
	BUG_ON(!bytes_equal(buf_bytes(file), buf_bytes(&again)));
	free(heads);
	buf_fini(&form);
	buf_fini(&again);
}

static void try_image(struct bytes in)
{
	struct buf form = {0}, file = {0};
	struct index *ix = NULL;
	struct digest digest;
	struct diag d = DIAG_INIT;
	BUG_ON(buf_append(&form, in.p, in.n));
	if (form.n >= sizeof(struct wire_disk_begin))
		((struct wire_disk_begin *)(void *)form.p)->form_len = put_le64(form.n);
	err_t err = wire_image_decode(buf_bytes(&form), &file, &d);
	BUG_ON(err && !d.text[0]);
	if (!err)
		err = index_open_bytes(buf_bytes(&file), &ix, &d);
	BUG_ON(err && !d.text[0]);
	if (!err) {
		BUG_ON(index_canonical_digest(ix, &digest));
		BUG_ON(!index_same_tree(ix, ix));
		image_again(ix, &file);
		index_close(&ix);
	}
	buf_fini(&form);
	buf_fini(&file);
}

/* --- one group --- */

struct group_head {
	uint8_t codec;
	uint8_t second; /* odd: it is not the first group of the stream */
	le16 n_chunks;
	le32 stream_len, blob_len;
	le16 rows_len; /* of the columns; the windows are the rest */
	uint8_t reserved[2];
};

static void half(struct bytes raw, struct buf *out)
{
	size_t bound = ZSTD_compressBound(raw.n);
	if (!raw.n)
		return;
	BUG_ON(buf_reserve(out, bound));
	size_t n = ZSTD_compress(out->p + out->n, bound, raw.p, raw.n, 1);
	BUG_ON(ZSTD_isError(n));
	out->n += n;
}

/* What wire_group_rows promises of rows that it lets pass. */
static void check_rows(const struct wire_head *h, uint32_t group, const struct chunk *rows)
{
	uint64_t stream = h->stream_offs[group], windows = 0;
	uint32_t n = wire_group_len(h, group);
	for (uint32_t i = 0; i < n; i++) {
		BUG_ON(rows[i].stream_off != stream || rows[i].stream_len == 0 ||
		       rows[i].stream_len > CHUNK_STREAM_MAX);
		BUG_ON(rows[i].blob_off > h->info.blob_size ||
		       rows[i].blob_len > h->info.blob_size - rows[i].blob_off);
		BUG_ON(rows[i].window_len && rows[i].window_off != windows);
		BUG_ON(!chunk_fits(&h->info, &rows[i], i ? &rows[i - 1] : NULL,
				   group == 0 && i == 0));
		stream += rows[i].stream_len;
		windows += rows[i].window_len;
	}
	BUG_ON(stream != h->info.stream_size);
}

static void try_group(struct bytes in)
{
	struct group_head g;
	struct chunk rows[WIRE_CHUNKS_MAX];
	uint64_t stream_offs[2] = {0, 1};
	struct wire_part parts[2] = {0};
	struct buf packed = {0}, piece = {0}, windows = {0};
	struct diag d = DIAG_INIT, w = DIAG_INIT;
	if (in.n < sizeof(g))
		return;
	memcpy(&g, in.p, sizeof(g));
	in = (struct bytes){in.p + sizeof(g), in.n - sizeof(g)};
	uint32_t group = g.second & 1, n = get_le16(g.n_chunks) % WIRE_CHUNKS_MAX + 1;
	size_t rows_len = min_of((size_t)get_le16(g.rows_len), in.n);
	struct wire_head h = {.info = {.kind = INDEX_LAYER,
				       .codec = g.codec % 3,
				       .n_chunks = n * (group + 1),
				       .stream_size = (uint64_t)group + get_le32(g.stream_len),
				       .blob_size = get_le32(g.blob_len)},
			      .group_chunks = n,
			      .n_groups = group + 1,
			      .stream_offs = stream_offs,
			      .groups = parts};
	half((struct bytes){in.p, rows_len}, &packed);
	le32 len = put_le32((uint32_t)packed.n);
	BUG_ON(buf_append(&piece, &len, sizeof(len)) || buf_append(&piece, packed.p, packed.n));
	half((struct bytes){in.p + rows_len, in.n - rows_len}, &piece);
	err_t err = wire_group_rows(&h, group, buf_bytes(&piece), rows, &d);
	BUG_ON(err && (err != -EBADMSG || !d.text[0]));
	if (!err)
		check_rows(&h, group, rows);
	err = wire_group_windows(&h, group, buf_bytes(&piece), &windows, &w);
	BUG_ON(err && (err != -EBADMSG || !w.text[0]));
	BUG_ON(!err && windows.n != in.n - rows_len);
	buf_fini(&packed);
	buf_fini(&piece);
	buf_fini(&windows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const tries[])(struct bytes in) = {try_head, try_layer, try_image, try_group};
	if (size)
		tries[data[0] % ARRAY_LEN(tries)]((struct bytes){data + 1, size - 1});
	return 0;
}
