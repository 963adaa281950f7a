/*
 * One lie an invariant (index/FORMAT.md, "Invariants"): a right index is changed in one place, its
 * checksums are made right again, and index_open must refuse it with that invariant's number. Then
 * random changes: whatever is still accepted must be safe to read from end to end.
 */
#include "tests/unit/layer_text.h"

#include "index/dump.h"
#include "index/format.h"
#include "index/wire.h"

#include <xxhash.h>
#include <zlib.h>

/* A layer with every kind of entry and a gzip stream of several chunks, an image on top of another
 * layer, and the same as it comes out of its published form, which names a form of the upper layer
 * only. */
static struct buf layer_file, image_file, published_file;

static void put_xattr_file(struct buf *tar, const char *name)
{
	auto_buf struct buf body = {0};
	pax_text(&body, "SCHILY.xattr.user.a", "1");
	pax_text(&body, "SCHILY.xattr.user.b", "22");
	put_pax(tar, 'x', &body);
	put_file(tar, name, "x");
}

static void put_sparse_file(struct buf *tar, const char *name)
{
	auto_buf struct buf body = {0};
	pax_text(&body, "GNU.sparse.size", "5000");
	pax_text(&body, "GNU.sparse.numblocks", "2");
	pax_text(&body, "GNU.sparse.map", "10,2,4000,3");
	put_pax(tar, 'x', &body);
	put_file(tar, name, "abcde");
}

static void put_noise_file(struct buf *tar, const char *name, size_t n)
{
	uint8_t *noise = xcalloc(1, n);
	for (size_t i = 0, x = 1; i < n; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		noise[i] = (uint8_t)("etaoin shrdlu"[(x >> 40) % 13]);
	}
	put_member(tar, '0', name, noise, n);
	free(noise);
}

static void gzip_bytes(const struct buf *in, struct buf *out)
{
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 3, 0), Z_OK);
	assert_int_equal(buf_reserve(out, deflateBound(&z, in->n)), 0);
	z.next_in = in->p;
	z.avail_in = (uInt)in->n;
	z.next_out = out->p;
	z.avail_out = (uInt)out->cap;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->n = z.total_out;
	deflateEnd(&z);
}

static void index_of_gzip(const struct buf *tar, struct buf *file)
{
	auto_buf struct buf blob = {0};
	gzip_bytes(tar, &blob);
	struct digest blob_digest, diff_id;
	digest_of(DIGEST_SHA256, blob.p, blob.n, &blob_digest);
	digest_of(DIGEST_SHA256, tar->p, tar->n, &diff_id);
	struct layer_build_options options = {.chunk_target = CHUNK_TARGET_MIN};
	struct layer_build *b = layer_build_new(&options);
	struct diag d = DIAG_INIT;
	if (layer_build_feed(b, blob.p, blob.n, &d) ||
	    layer_build_finish(b, &blob_digest, blob.n, &diff_id, file, &d))
		fail_msg("%s", d.text);
	layer_build_free(&b);
}

static void make_published(const struct index *upper)
{
	auto_buf struct buf form = {0}, image_form = {0};
	struct wire_sizes sizes;
	struct index_layer_head heads[2] = {0};
	struct index *image;
	assert_int_equal(wire_layer_encode(upper, &form, NULL), 0);
	assert_int_equal(wire_layer_sizes(buf_bytes(&form), &sizes, NULL), 0);
	digest_of(DIGEST_SHA256, form.p, form.n, &heads[1].form);
	heads[1].form_len = form.n;
	heads[1].head = (struct bytes){form.p, sizes.head};
	assert_int_equal(index_open_bytes(buf_bytes(&image_file), &image, NULL), 0);
	assert_int_equal(wire_image_encode(image, heads, &image_form, NULL), 0);
	assert_int_equal(wire_image_decode(buf_bytes(&image_form), &published_file, NULL), 0);
	index_close(&image);
}

static int make_files(void **state)
{
	(void)state;
	auto_buf struct buf tar = {0}, lower_file = {0};
	put_file(&tar, "file", "hello");
	put_file(&tar, "empty", "");
	put_head(&tar, tar_head('5', "dir"));
	put_head(&tar, tar_head('5', "dir/sub"));
	put_file(&tar, "dir/sub/deep", "deep");
	put_link(&tar, '2', "symlink", "dir/sub");
	put_link(&tar, '1', "hardlink", "file");
	put_link(&tar, '1', "lowerlink", "below");
	put_head(&tar, tar_head('6', "fifo"));
	struct block device = tar_head('3', "device");
	tar_octal(&device, 329, 8, 1);
	put_head(&tar, device);
	put_file(&tar, ".wh.gone", "");
	put_xattr_file(&tar, "xattrs");
	put_sparse_file(&tar, "sparse");
	put_noise_file(&tar, "noise", 100000);
	put_end(&tar);
	index_of_gzip(&tar, &layer_file);
	assert_int_equal(index_of_text("f below x", &lower_file, NULL), 0);
	struct index *layers[2];
	assert_int_equal(index_open_bytes(buf_bytes(&lower_file), &layers[0], NULL), 0);
	assert_int_equal(index_open_bytes(buf_bytes(&layer_file), &layers[1], NULL), 0);
	assert_true(index_info(layers[1])->n_chunks >= 4);
	assert_int_equal(merge_layers((const struct index *const *)layers, 2, &image_file, NULL),
			 0);
	make_published(layers[1]);
	index_close(&layers[0]);
	index_close(&layers[1]);
	return 0;
}

static int free_files(void **state)
{
	(void)state;
	buf_fini(&layer_file);
	buf_fini(&image_file);
	buf_fini(&published_file);
	return 0;
}

/* A copy that can be changed. */
struct patient {
	struct buf file;
	struct index *right; /* the index before the change, to find rows in */
};

static struct patient patient_of(const struct buf *file)
{
	struct patient p = {0};
	assert_int_equal(buf_append(&p.file, file->p, file->n), 0);
	assert_int_equal(index_open_bytes(buf_bytes(file), &p.right, NULL), 0);
	return p;
}

static struct disk_section *section_row(struct patient *p, uint32_t type)
{
	struct disk_header *h = (void *)p->file.p;
	struct disk_section *rows = (void *)(p->file.p + sizeof(*h));
	for (uint32_t i = 0; i < get_le32(h->n_sections); i++)
		if (get_le32(rows[i].type) == type)
			return &rows[i];
	fail_msg("no section %u", type);
	return NULL;
}

static void *section_at(struct patient *p, uint32_t type, uint64_t off)
{
	return p->file.p + get_le64(section_row(p, type)->offset) + off;
}

static uint32_t row_named(struct patient *p, const char *path)
{
	uint32_t row;
	assert_int_equal(index_path(p->right, BYTES_STR(path), false, &row), 0);
	return row;
}

static struct disk_inode *inode_named(struct patient *p, const char *path)
{
	return section_at(p, SECTION_INODES,
			  (uint64_t)row_named(p, path) * sizeof(struct disk_inode));
}

static struct disk_dirent *dirent_at(struct patient *p, uint32_t i)
{
	return section_at(p, SECTION_DIRENTS, (uint64_t)i * sizeof(struct disk_dirent));
}

static struct disk_dirent *dirent_named(struct patient *p, const char *name)
{
	for (uint32_t i = 0; i < index_info(p->right)->n_dirents; i++) {
		struct disk_dirent *e = dirent_at(p, i);
		const uint8_t *at = section_at(p, SECTION_STRINGS, get_le32(e->name_off));
		if (e->name_len == strlen(name) && memcmp(at, name, e->name_len) == 0)
			return e;
	}
	fail_msg("no name %s", name);
	return NULL;
}

static struct disk_chunk *chunk_at(struct patient *p, uint32_t i)
{
	return section_at(p, SECTION_CHUNKS, (uint64_t)i * sizeof(struct disk_chunk));
}

static void seal_header(struct patient *p)
{
	struct disk_header *h = (void *)p->file.p;
	uint32_t n = min_of(get_le32(h->n_sections), FORMAT_SECTIONS_MAX);
	h->xxh3 = put_le64(0);
	h->xxh3 = put_le64(XXH3_64bits(h, sizeof(*h) + n * sizeof(struct disk_section)));
}

/* Make all checksums right again. */
static void seal(struct patient *p)
{
	struct disk_header *h = (void *)p->file.p;
	struct disk_section *rows = (void *)(p->file.p + sizeof(*h));
	for (uint32_t i = 0; i < get_le32(h->n_sections) && i < FORMAT_SECTIONS_MAX; i++) {
		uint64_t off = get_le64(rows[i].offset), len = get_le64(rows[i].stored_len);
		if (off <= p->file.n && len <= p->file.n - off)
			rows[i].xxh3 = put_le64(XXH3_64bits(p->file.p + off, len));
	}
	seal_header(p);
}

#define ADD32(field, n) ((field) = put_le32(get_le32(field) + (uint32_t)(n)))
#define ADD64(field, n) ((field) = put_le64(get_le64(field) + (uint64_t)(n)))
#define HEADER(p)	((struct disk_header *)(void *)(p)->file.p)
#define LAYER_META(p)	((struct disk_layer_meta *)section_at(p, SECTION_META, 0))
#define IMAGE_META(p)	((struct disk_image_meta *)section_at(p, SECTION_META, 0))

/* clang-format off */
static void i01_magic(struct patient *p) { p->file.p[0] = 'X'; }
static void i01_short(struct patient *p) { p->file.n = 40; }
static void i02_version(struct patient *p) { HEADER(p)->version = put_le16(2); }
static void i03_cut(struct patient *p) { p->file.n -= 1; }
static void i03_longer(struct patient *p) { assert_int_equal(buf_append(&p->file, "x", 1), 0); }
static void i04_sections(struct patient *p) { HEADER(p)->n_sections = put_le32(33); }
static void i05_header(struct patient *p) { HEADER(p)->minor = put_le16(9); }
static void i06_kind(struct patient *p) { HEADER(p)->kind = put_le32(3); }
static void i06_reserved(struct patient *p) { HEADER(p)->reserved1[7] = 1; }
static void i07_unknown(struct patient *p) { section_row(p, SECTION_WINDOWS)->type = put_le32(900); }
static void i07_flag(struct patient *p) { ADD32(section_row(p, SECTION_META)->flags, 8); }
static void i07_order(struct patient *p) { section_row(p, SECTION_DIRENTS)->type = put_le32(SECTION_INODES); }
static void i08_align(struct patient *p) { ADD64(section_row(p, SECTION_INODES)->offset, 8); }
static void i08_overlap(struct patient *p) { section_row(p, SECTION_INODES)->offset = section_row(p, SECTION_META)->offset; }
static void i08_outside(struct patient *p) { ADD64(section_row(p, SECTION_INODES)->stored_len, p->file.n); }
static void i08_gap(struct patient *p) { p->file.p[get_le64(section_row(p, SECTION_INODES)->offset) - 1] = 1; }
static void i08_reserved(struct patient *p) { section_row(p, SECTION_META)->reserved = put_le64(1); }
static void i09_meta(struct patient *p) { LAYER_META(p)->chunk_target = put_le32(20000); seal_header(p); }
static void i09_windows(struct patient *p) { *(uint8_t *)section_at(p, SECTION_WINDOWS, 20) ^= 1; seal_header(p); }
static void i10_framed(struct patient *p) { ADD32(section_row(p, SECTION_META)->flags, 2); }
static void i10_raw(struct patient *p) { ADD64(section_row(p, SECTION_INODES)->raw_len, 40); }
static void i10_frames(struct patient *p) { ADD32(((struct disk_framed *)section_at(p, SECTION_WINDOWS, 0))->n_frames, 1); }
static void i10_frame_end(struct patient *p) { *(uint8_t *)section_at(p, SECTION_WINDOWS, 8) -= 1; }
static void i10_frame_size(struct patient *p) { ADD64(section_row(p, SECTION_WINDOWS)->raw_len, -1); }
static void i11_alg(struct patient *p) { LAYER_META(p)->blob_alg = 7; }
static void i11_tail(struct patient *p) { LAYER_META(p)->diff_id[40] = 1; }
static void i11_codec(struct patient *p) { LAYER_META(p)->codec = 3; }
static void i11_target(struct patient *p) { LAYER_META(p)->chunk_target = put_le32(1); }
static void i11_stream(struct patient *p) { LAYER_META(p)->stream_size = put_le64(STREAM_MAX + 1); }
static void i11_dirs(struct patient *p) { LAYER_META(p)->tree.n_dirs = put_le32(0); }
static void i11_regular(struct patient *p) { LAYER_META(p)->tree.n_regular = put_le32(UINT32_MAX); }
static void i11_layers(struct patient *p) { IMAGE_META(p)->n_layers = put_le32(513); }
static void i11_reserved(struct patient *p) { IMAGE_META(p)->reserved2 = put_le64(1); }
static void i12_inodes(struct patient *p) { ADD32(LAYER_META(p)->tree.n_inodes, 1); }
static void i12_dirents(struct patient *p) { ADD64(LAYER_META(p)->tree.n_dirents, -1); }
static void i12_layers(struct patient *p) { ADD32(IMAGE_META(p)->n_layers, -1); }
static void i13_len(struct patient *p) { ADD32(((struct disk_xattr_set *)section_at(p, SECTION_XATTRS, 8))->len, 4); }
static void i13_count(struct patient *p) { ADD32(((struct disk_xattr_set *)section_at(p, SECTION_XATTRS, 8))->n_xattrs, 1); }
static void i13_none(struct patient *p) { ((struct disk_xattr_set *)section_at(p, SECTION_XATTRS, 8))->n_xattrs = put_le32(0); }
static void i13_zeroes(struct patient *p) { *(uint8_t *)section_at(p, SECTION_XATTRS, 3) = 1; }
static void i13_value(struct patient *p) { ADD32(((struct disk_xattr *)section_at(p, SECTION_XATTRS, 16))->value_len, 60000); }
static void i13_order(struct patient *p) { *(uint8_t *)section_at(p, SECTION_XATTRS, 16 + 8 + 5) = 'z'; }
static void i13_nul(struct patient *p) { *(uint8_t *)section_at(p, SECTION_XATTRS, 16 + 8 + 5) = 0; }
static void i14_dir(struct patient *p) { inode_named(p, "dir")->mode = put_le16(S_IFREG | 0644); }
static void i14_file(struct patient *p) { inode_named(p, "file")->mode = put_le16(S_IFDIR | 0755); }
static void i14_socket(struct patient *p) { inode_named(p, "fifo")->mode = put_le16(S_IFSOCK | 0644); }
static void i14_nothing(struct patient *p) { inode_named(p, "gone")->flags = put_le16(0); }
static void i14_image(struct patient *p) { struct disk_inode *i = inode_named(p, "fifo"); i->mode = put_le16(0); i->flags = put_le16(INODE_WHITEOUT); }
static void i15_unknown(struct patient *p) { inode_named(p, "file")->flags = put_le16(1 << 9); }
static void i15_opaque_file(struct patient *p) { inode_named(p, "file")->flags = put_le16(INODE_OPAQUE); }
static void i15_opaque_image(struct patient *p) { inode_named(p, "dir")->flags = put_le16(INODE_OPAQUE); }
static void i16_owner(struct patient *p) { inode_named(p, "file")->owner = put_le32(1000); }
static void i17_nanoseconds(struct patient *p) { inode_named(p, "file")->time = put_le64(UINT64_C(1000000000) << 34); }
static void i18_first(struct patient *p) { ADD64(inode_named(p, "dir")->ref, 1); }
static void i18_count(struct patient *p) { ADD64(inode_named(p, "dir/sub")->ref, UINT64_C(1) << 32); }
static void i18_fewer(struct patient *p) { ADD64(inode_named(p, "dir/sub")->ref, -(UINT64_C(1) << 32)); }
static void i19_len(struct patient *p) { dirent_at(p, 0)->name_len = 0; }
static void i19_outside(struct patient *p) { dirent_at(p, 0)->name_off = put_le32(UINT32_MAX - 2); }
static void i19_slash(struct patient *p) { *(uint8_t *)section_at(p, SECTION_STRINGS, get_le32(dirent_at(p, 0)->name_off)) = '/'; }
static void i19_nul(struct patient *p) { *(uint8_t *)section_at(p, SECTION_STRINGS, get_le32(dirent_at(p, 0)->name_off)) = 0; }
static void i19_dots(struct patient *p) { struct disk_dirent *e = dirent_named(p, "dir"); e->name_len = 2; memcpy(section_at(p, SECTION_STRINGS, get_le32(e->name_off)), "..", 2); }
static void i20_hash(struct patient *p) { ADD32(dirent_at(p, 0)->hash, 1); }
static void i20_order(struct patient *p) { struct disk_dirent a = *dirent_at(p, 0); *dirent_at(p, 0) = *dirent_at(p, 1); *dirent_at(p, 1) = a; }
static void i20_twice(struct patient *p) { *dirent_at(p, 1) = *dirent_at(p, 0); }
static void i21_row(struct patient *p) { dirent_at(p, 0)->row = put_le32(100000); }
static void i21_root(struct patient *p) { dirent_named(p, "dir")->row = put_le32(0); }
static void i21_type(struct patient *p) { dirent_named(p, "file")->type = 4; }
static void i21_reserved(struct patient *p) { dirent_at(p, 0)->reserved = put_le16(1); }
static void i22_parent(struct patient *p) { inode_named(p, "dir/sub")->nlink_or_parent = put_le32(0); }
static void i22_root(struct patient *p) { inode_named(p, "/")->nlink_or_parent = put_le32(1); }
static void i22_cycle(struct patient *p) { dirent_named(p, "sub")->row = put_le32(row_named(p, "dir")); }
static void i24_nlink(struct patient *p) { ADD32(inode_named(p, "file")->nlink_or_parent, 1); }
static void i24_subdirs(struct patient *p) { ADD64(inode_named(p, "dir")->size, 1); }
static void i25_target(struct patient *p) { inode_named(p, "symlink")->ref = put_le64(UINT64_MAX); }
static void i25_empty(struct patient *p) { inode_named(p, "symlink")->size = put_le64(0); }
static void i25_nul(struct patient *p) { *(uint8_t *)section_at(p, SECTION_STRINGS, get_le64(inode_named(p, "symlink")->ref) + 3) = 0; }
static void i26_fifo(struct patient *p) { inode_named(p, "fifo")->size = put_le64(1); }
static void i26_device(struct patient *p) { inode_named(p, "device")->ref = put_le64(1); }
static void i26_zero_device(struct patient *p) { inode_named(p, "device")->size = put_le64(0); }
static void i27_middle(struct patient *p) { ADD32(inode_named(p, "xattrs")->xattrs, 4); }
static void i27_outside(struct patient *p) { inode_named(p, "xattrs")->xattrs = put_le32(UINT32_MAX - 3); }
static void i28_flags(struct patient *p) { ADD32(LAYER_META(p)->tree.flags, INDEX_HAS_SETID); }
static void i28_size(struct patient *p) { ADD64(LAYER_META(p)->tree.files_size, 1); }
static void i29_outside(struct patient *p) { inode_named(p, "file")->ref = put_le64(LAYER_META(p)->stream_size.b[0] + (UINT64_C(1) << 40)); }
static void i29_layer(struct patient *p) { inode_named(p, "file")->ref = put_le64(UINT64_C(9) << 48); }
static void i29_empty(struct patient *p) { inode_named(p, "empty")->ref = put_le64(512); }
static void i30_overlap(struct patient *p) { ((struct disk_extent *)section_at(p, SECTION_EXTENTS, 24))->off = put_le64(11); }
static void i30_outside(struct patient *p) { ((struct disk_extent *)section_at(p, SECTION_EXTENTS, 24))->off = put_le64(4998); }
static void i30_empty(struct patient *p) { ((struct disk_extent *)section_at(p, SECTION_EXTENTS, 0))->len = put_le64(0); }
static void i30_data(struct patient *p) { ((struct disk_extent *)section_at(p, SECTION_EXTENTS, 0))->data = put_le64(STREAM_MAX); }
static void i30_partition(struct patient *p) { ADD64(inode_named(p, "sparse")->ref, -(UINT64_C(1) << 32)); }
static void i31_digest(struct patient *p) { *(uint8_t *)section_at(p, SECTION_DIGESTS, (uint64_t)(row_named(p, "sparse") - index_info(p->right)->n_dirs) * 32) = 1; }
static void i32_gap(struct patient *p) { ADD64(chunk_at(p, 1)->stream_off, 1); }
static void i32_empty(struct patient *p) { chunk_at(p, 1)->stream_len = put_le32(0); }
static void i32_long(struct patient *p) { chunk_at(p, 1)->stream_len = put_le32(CHUNK_STREAM_MAX + 1); }
static void i32_end(struct patient *p) { ADD32(chunk_at(p, index_info(p->right)->n_chunks - 1)->stream_len, 1); }
static void i32_reserved(struct patient *p) { chunk_at(p, 0)->reserved = put_le32(1); }
static void i33_outside(struct patient *p) { ADD64(chunk_at(p, 2)->blob_len, 1000000); }
static void i33_empty(struct patient *p) { chunk_at(p, 2)->blob_len = put_le64(0); }
static void i33_order(struct patient *p) { chunk_at(p, 2)->blob_off = put_le64(0); }
static void i33_codec(struct patient *p) { chunk_at(p, 2)->codec = CHUNK_STORED; }
static void i34_start(struct patient *p) { chunk_at(p, 1)->start = 4; }
static void i34_bit(struct patient *p) { chunk_at(p, 1)->bit = 8; }
static void i34_skip(struct patient *p) { chunk_at(p, 1)->skip = put_le16(1); }
static void i34_first(struct patient *p) { chunk_at(p, 0)->start = START_BLOCK; }
static void i34_header_bits(struct patient *p) { chunk_at(p, 1)->start = START_INSIDE; chunk_at(p, 1)->header_bits = put_le16(2); }
static void i34_left(struct patient *p) { chunk_at(p, 1)->start = START_STORED; chunk_at(p, 1)->bit = 0; }
static void i35_off(struct patient *p) { ADD64(chunk_at(p, 1)->window_off, 1); }
static void i35_len(struct patient *p) { chunk_at(p, 1)->window_len = put_le32(70000); }
static void i35_rest(struct patient *p) { chunk_at(p, index_info(p->right)->n_chunks - 1)->window_len = put_le32(0); chunk_at(p, index_info(p->right)->n_chunks - 1)->window_off = put_le64(0); }
static void i36_alg(struct patient *p) { ((struct disk_layer *)section_at(p, SECTION_LAYERS, 0))->blob_alg = 0; }
static void i36_tail(struct patient *p) { ((struct disk_layer *)section_at(p, SECTION_LAYERS, 0))->diff_id[33] = 1; }
static void i36_size(struct patient *p) { ((struct disk_layer *)section_at(p, SECTION_LAYERS, 0))->blob_size = put_le64(UINT64_MAX); }
static void i37_key(struct patient *p) { IMAGE_META(p)->image_key[0] ^= 1; }
static void i37_layer(struct patient *p) { ((struct disk_layer *)section_at(p, SECTION_LAYERS, 0))->blob_digest[0] ^= 1; }
static struct disk_layer_head *head_row(struct patient *p, uint32_t i) { return section_at(p, SECTION_HEADS, (uint64_t)i * sizeof(struct disk_layer_head)); }
static void i38_longer(struct patient *p) { ADD32(head_row(p, 1)->head_len, 1); }
static void i38_shorter(struct patient *p) { ADD32(head_row(p, 1)->head_len, -1); }
static void i38_huge(struct patient *p) { head_row(p, 0)->head_len = put_le32(UINT32_MAX); }
static void i38_no_head(struct patient *p) { head_row(p, 0)->form_sha256[31] = 1; }
static void i38_no_form(struct patient *p) { head_row(p, 1)->form_len = put_le64(0); }
static void i38_beyond_form(struct patient *p) { head_row(p, 1)->form_len = put_le64(get_le32(head_row(p, 1)->head_len) - 1); }
static void i38_absent(struct patient *p) { memset(head_row(p, 1), 0, sizeof(struct disk_layer_head)); }
static void i38_reserved(struct patient *p) { head_row(p, 1)->reserved = put_le32(1); }
static void i38_absent_odd(struct patient *p) { head_row(p, 0)->reserved = put_le32(1); }
static void i38_cut(struct patient *p) { struct disk_section *s = section_row(p, SECTION_HEADS); s->stored_len = s->raw_len = put_le64(95); p->file.n = get_le64(s->offset) + 95; HEADER(p)->file_len = put_le64(p->file.n); }
static void i38_none(struct patient *p) { struct disk_section *s = section_row(p, SECTION_HEADS); s->stored_len = s->raw_len = put_le64(0); p->file.n = get_le64(s->offset); HEADER(p)->file_len = put_le64(p->file.n); }
/* clang-format on */

struct lie {
	const char *name;
	void (*change)(struct patient *p);
	bool image; /* change the image index, not the layer index */
	bool unsealed;
	bool published; /* change the published image index */
};

#define LAYER(f)                                                                                   \
	{                                                                                          \
#f, f, false, false, false                                                         \
	}
#define IMAGE(f)                                                                                   \
	{                                                                                          \
#f, f, true, false, false                                                          \
	}
#define UNSEALED(f)                                                                                \
	{                                                                                          \
#f, f, false, true, false                                                          \
	}

#define HEADS(f)                                                                                   \
	{                                                                                          \
#f, f, false, false, true                                                          \
	}

static const struct lie lies[] = {
	LAYER(i01_magic),	LAYER(i01_short),	LAYER(i02_version),
	LAYER(i03_cut),		LAYER(i03_longer),	LAYER(i04_sections),
	UNSEALED(i05_header),	LAYER(i06_kind),	LAYER(i06_reserved),
	LAYER(i07_unknown),	LAYER(i07_flag),	LAYER(i07_order),
	LAYER(i08_align),	LAYER(i08_overlap),	LAYER(i08_outside),
	LAYER(i08_gap),		LAYER(i08_reserved),	UNSEALED(i09_meta),
	UNSEALED(i09_windows),	LAYER(i10_framed),	LAYER(i10_raw),
	LAYER(i10_frames),	LAYER(i10_frame_end),	LAYER(i10_frame_size),
	LAYER(i11_alg),		LAYER(i11_tail),	LAYER(i11_codec),
	LAYER(i11_target),	LAYER(i11_stream),	LAYER(i11_dirs),
	LAYER(i11_regular),	IMAGE(i11_layers),	IMAGE(i11_reserved),
	LAYER(i12_inodes),	LAYER(i12_dirents),	IMAGE(i12_layers),
	LAYER(i13_len),		LAYER(i13_count),	LAYER(i13_none),
	LAYER(i13_zeroes),	LAYER(i13_value),	LAYER(i13_order),
	LAYER(i13_nul),		LAYER(i14_dir),		LAYER(i14_file),
	LAYER(i14_socket),	LAYER(i14_nothing),	IMAGE(i14_image),
	LAYER(i15_unknown),	LAYER(i15_opaque_file), IMAGE(i15_opaque_image),
	LAYER(i16_owner),	LAYER(i17_nanoseconds), LAYER(i18_first),
	LAYER(i18_count),	LAYER(i18_fewer),	LAYER(i19_len),
	LAYER(i19_outside),	LAYER(i19_slash),	LAYER(i19_nul),
	LAYER(i19_dots),	LAYER(i20_hash),	LAYER(i20_order),
	LAYER(i20_twice),	LAYER(i21_row),		LAYER(i21_root),
	LAYER(i21_type),	LAYER(i21_reserved),	LAYER(i22_parent),
	LAYER(i22_root),	LAYER(i22_cycle),	LAYER(i24_nlink),
	LAYER(i24_subdirs),	LAYER(i25_target),	LAYER(i25_empty),
	LAYER(i25_nul),		LAYER(i26_fifo),	LAYER(i26_device),
	IMAGE(i26_zero_device), LAYER(i27_middle),	LAYER(i27_outside),
	LAYER(i28_flags),	LAYER(i28_size),	LAYER(i29_outside),
	IMAGE(i29_layer),	LAYER(i29_empty),	LAYER(i30_overlap),
	LAYER(i30_outside),	LAYER(i30_empty),	LAYER(i30_data),
	LAYER(i30_partition),	LAYER(i31_digest),	LAYER(i32_gap),
	LAYER(i32_empty),	LAYER(i32_long),	LAYER(i32_end),
	LAYER(i32_reserved),	LAYER(i33_outside),	LAYER(i33_empty),
	LAYER(i33_order),	LAYER(i33_codec),	LAYER(i34_start),
	LAYER(i34_bit),		LAYER(i34_skip),	LAYER(i34_first),
	LAYER(i34_header_bits), LAYER(i34_left),	LAYER(i35_off),
	LAYER(i35_len),		LAYER(i35_rest),	IMAGE(i36_alg),
	IMAGE(i36_tail),	IMAGE(i36_size),	IMAGE(i37_key),
	IMAGE(i37_layer),	HEADS(i38_longer),	HEADS(i38_shorter),
	HEADS(i38_huge),	HEADS(i38_no_head),	HEADS(i38_no_form),
	HEADS(i38_beyond_form), HEADS(i38_absent),	HEADS(i38_reserved),
	HEADS(i38_absent_odd),	HEADS(i38_cut),		HEADS(i38_none),
};

static void check_lie(const struct lie *lie)
{
	struct patient p = patient_of(lie->published ? &published_file
				      : lie->image   ? &image_file
						     : &layer_file);
	lie->change(&p);
	if (!lie->unsealed && p.file.n >= sizeof(struct disk_header))
		seal(&p);
	struct index *ix = NULL;
	struct diag d = DIAG_INIT;
	const char number[5] = {'I', lie->name[1], lie->name[2], ':', 0};
	err_t err = index_open_bytes(buf_bytes(&p.file), &ix, &d);
	if (err == 0 || strncmp(d.text, number, 4) != 0)
		fail_msg("%s: %d '%s'", lie->name, err, d.text);
	bool newer =
		lie->change == i02_version || lie->change == i07_unknown || lie->change == i07_flag;
	assert_int_equal(err, newer ? -ENOTSUP : -EBADMSG);
	assert_int_equal(d.cls, newer ? ERR_UNSUPPORTED : ERR_INTEGRITY);
	index_close(&p.right);
	buf_fini(&p.file);
}

static void test_lies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++)
		check_lie(&lies[i]);
}

/* I23 needs an input of its own: a chain of directories one deeper than allowed. */
static void test_i23_depth(void **state)
{
	(void)state;
	for (unsigned depth = FORMAT_DEPTH_MAX; depth <= FORMAT_DEPTH_MAX + 1; depth++) {
		struct diag d = DIAG_INIT;
		auto_buf struct buf tar = {0}, file = {0}, path = {0}, body = {0};
		/* one name can not be so long: the second half hangs below a symlink to the first
		 */
		for (unsigned i = 0; i < FORMAT_DEPTH_MAX / 2; i++)
			put_raw(&path, "d/", 2);
		put_raw(&path, "", 1);
		pax_text(&body, "path", (char *)path.p);
		put_pax(&tar, 'x', &body);
		put_head(&tar, tar_head('5', "x"));
		pax_text(&body, "linkpath", (char *)path.p);
		put_pax(&tar, 'x', &body);
		put_link(&tar, '2', "s", "x");
		buf_fini(&path);
		put_raw(&path, "s/", 2);
		for (unsigned i = FORMAT_DEPTH_MAX / 2; i < depth; i++)
			put_raw(&path, "d/", 2);
		put_raw(&path, "", 1);
		pax_text(&body, "path", (char *)path.p);
		put_pax(&tar, 'x', &body);
		put_head(&tar, tar_head('5', "x"));
		put_end(&tar);
		err_t err = index_of_tar(&tar, &file, &d);
		assert_int_equal(err, depth > FORMAT_DEPTH_MAX ? -EBADMSG : 0);
		struct index *ix;
		if (!err) {
			assert_int_equal(index_open_bytes(buf_bytes(&file), &ix, &d), 0);
			index_close(&ix);
		}
	}
}

/* All right files are accepted, and every invariant of FORMAT.md but I23 has a lie above. */
static void test_complete(void **state)
{
	(void)state;
	bool seen[39] = {[23] = true};
	for (size_t i = 0; i < ARRAY_LEN(lies); i++)
		seen[atoi(lies[i].name + 1)] = true;
	for (int i = 1; i < 39; i++)
		if (!seen[i])
			fail_msg("no lie for I%02d", i);
	const struct buf *const files[] = {&layer_file, &image_file, &published_file};
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct patient p = patient_of(files[i]);
		index_close(&p.right);
		buf_fini(&p.file);
	}
}

/* Random bytes in random places, checksums right: refused, or readable to the end without harm. */
static void test_random_changes(void **state)
{
	(void)state;
	const struct buf *const files[] = {&layer_file, &image_file, &published_file};
	uint64_t x = 88172645463325252u;
	unsigned accepted = 0;
	FILE *null = fopen("/dev/null", "w");
	for (unsigned i = 0; i < 4000; i++) {
		struct patient p = patient_of(files[i % ARRAY_LEN(files)]);
		for (unsigned k = 0; k <= i % 3; k++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			p.file.p[x % p.file.n] = (uint8_t)(x >> 56);
		}
		seal(&p);
		struct index *ix;
		if (index_open_bytes(buf_bytes(&p.file), &ix, NULL) == 0) {
			struct digest digest;
			err_t dumped = index_dump(ix, null),
			      hashed = index_canonical_digest(ix, &digest);
			assert_true((dumped == 0 || dumped == -EBADMSG) &&
				    (hashed == 0 || hashed == -EBADMSG));
			index_close(&ix);
			accepted++;
		}
		index_close(&p.right);
		buf_fini(&p.file);
	}
	fclose(null);
	assert_true(accepted > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_i23_depth),
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_random_changes),
	};
	return cmocka_run_group_tests(tests, make_files, free_files);
}
