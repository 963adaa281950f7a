/*
 * The published form of layers (index/WIRE.md): every kind of layer goes out and comes back byte
 * for byte, whole and group by group; and each field of the head that lies is refused with its
 * reason, in the head alone where that can tell.
 */
#include "tests/unit/wire_build.h"

#include <xxhash.h>

static const struct wire_layer layers[] = {
	{.name = "gzip, many groups", BLOB_GZIP, .big_file = 1800000, .target = CHUNK_TARGET_MIN},
	{.name = "gzip, few chunks", BLOB_GZIP, .big_file = 3000000},
	{.name = "tar, groups", BLOB_TAR, .big_file = 4400000, .target = CHUNK_TARGET_MIN},
	{.name = "zstd, frames",
	 BLOB_ZSTD,
	 .big_file = 5300000,
	 .frame = 20000,
	 .target = CHUNK_TARGET_MIN},
	{.name = "zstd, one frame", BLOB_ZSTD, .big_file = 4400000, .target = CHUNK_TARGET_MIN},
	{.name = "one chunk", BLOB_GZIP},
	{.name = "one chunk of tar", BLOB_TAR},
	{.name = "no members", BLOB_TAR, .no_members = true},
	{.name = "no bytes", BLOB_TAR, .no_bytes = true},
};

/* --- what is right --- */

static void check_row(const struct chunk *got, const struct chunk *want, uint64_t window_off)
{
	assert_int_equal(got->stream_off, want->stream_off);
	assert_int_equal(got->blob_off, want->blob_off);
	assert_int_equal(got->blob_len, want->blob_len);
	assert_int_equal(got->stream_len, want->stream_len);
	assert_int_equal(got->codec, want->codec);
	assert_int_equal(got->start, want->start);
	assert_int_equal(got->bit, want->bit);
	assert_int_equal(got->final_block, want->final_block);
	assert_int_equal(got->skip, want->skip);
	assert_int_equal(got->header_bits, want->header_bits);
	assert_int_equal(got->stored_left, want->stored_left);
	assert_int_equal(got->window_len, want->window_len);
	assert_int_equal(got->window_off, want->window_len ? window_off : 0);
	assert_memory_equal(got->sha256, want->sha256, SHA256_LEN);
	assert_int_equal(got->xxh3, want->xxh3);
}

static void check_group(const struct index *ix, const struct wire_head *h, uint32_t group,
			struct bytes piece)
{
	struct chunk rows[WIRE_CHUNKS_MAX], want;
	auto_buf struct buf windows = {0}, wanted = {0}, raw = {0}, by_hand = {0};
	struct bytes packed, rest;
	uint32_t n = wire_group_len(h, group), first = group * h->group_chunks;
	assert_int_equal(wire_part_check(&h->groups[group], piece), 0);
	assert_int_equal(wire_group_rows(h, group, piece, rows, NULL), 0);
	for (uint32_t i = 0; i < n; i++) {
		index_chunk(ix, first + i, &want);
		check_row(&rows[i], &want, wanted.n);
		assert_int_equal(wire_group_at(h, want.stream_off), group);
		assert_int_equal(wire_group_at(h, want.stream_off + want.stream_len - 1), group);
		auto_buf struct buf window = {0};
		assert_int_equal(index_chunk_window(ix, &want, &window), 0);
		put_raw(&wanted, window.p, window.n);
	}
	assert_int_equal(wire_group_windows(h, group, piece, &windows, NULL), 0);
	assert_true(bytes_equal(buf_bytes(&windows), buf_bytes(&wanted)));
	/* The columns, as WIRE.md says they are. */
	assert_int_equal(wire_group_split(piece, &packed, &rest, NULL), 0);
	assert_int_equal(wire_unpack(packed, 1 << 20, &raw), 0);
	wire_rows_raw(rows, n, &by_hand);
	assert_true(bytes_equal(buf_bytes(&raw), buf_bytes(&by_hand)));
}

static void check_head(const struct index *ix, const struct wire_head *h)
{
	const struct index_info *info = index_info(ix);
	struct digest canonical;
	assert_int_equal(index_canonical_digest(ix, &canonical), 0);
	assert_memory_equal(h->canonical, canonical.b, SHA256_LEN);
	assert_int_equal(h->table_xxh3, index_table_xxh3(ix));
	assert_true(digest_equal(&h->info.blob_digest, &info->blob_digest));
	assert_true(digest_equal(&h->info.diff_id, &info->diff_id));
	assert_int_equal(h->info.kind, INDEX_LAYER);
	assert_int_equal(h->info.blob_size, info->blob_size);
	assert_int_equal(h->info.stream_size, info->stream_size);
	assert_int_equal(h->info.codec, info->codec);
	assert_int_equal(h->info.chunk_target, info->chunk_target);
	assert_int_equal(h->info.n_chunks, info->n_chunks);
	assert_int_equal(h->n_groups, (info->n_chunks + h->group_chunks - 1) / h->group_chunks);
}

static void check_sizes(const struct buf *form, const struct wire_head *h)
{
	struct wire_sizes sizes;
	uint64_t groups = 0;
	assert_int_equal(wire_layer_sizes(buf_bytes(form), &sizes, NULL), 0);
	for (uint32_t i = 0; i < h->n_groups; i++)
		groups += h->groups[i].len;
	assert_int_equal(sizes.head, h->head_len);
	assert_int_equal(sizes.rows + sizes.windows, groups);
	assert_int_equal(sizes.head + sizes.rows + sizes.windows + sizes.tree + sizes.digests,
			 sizes.total);
	assert_int_equal(sizes.total, form->n);
}

/* Out and in again; returns the number of groups. */
static uint32_t check_round_trip(const struct index *ix, const struct buf *file)
{
	auto_buf struct buf form = {0}, twice = {0}, again = {0};
	struct diag d = DIAG_INIT;
	wire_encode(ix, &form);
	wire_encode(ix, &twice);
	assert_true(bytes_equal(buf_bytes(&form), buf_bytes(&twice)));
	if (wire_layer_decode(buf_bytes(&form), &again, &d))
		fail_msg("%s", d.text);
	assert_int_equal(again.n, file->n);
	assert_memory_equal(again.p, file->p, file->n);
	struct wire_head *h = wire_head_of(&form);
	check_head(ix, h);
	check_sizes(&form, h);
	for (uint32_t i = 0; i < h->n_groups; i++)
		check_group(ix, h, i, wire_part_at(&form, &h->groups[i]));
	uint32_t n = h->n_groups;
	wire_head_free(&h);
	return n;
}

static void round_trips(void **state)
{
	static const uint32_t groups_least[ARRAY_LEN(layers)] = {5, 1, 2, 2, 2, 1, 1, 1, 0};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(layers); i++) {
		struct wire_world w;
		wire_world_make(&layers[i], &w);
		uint32_t groups = check_round_trip(w.ix, &w.file);
		if (groups < groups_least[i] || (groups && !groups_least[i]))
			fail_msg("%s: %u groups", layers[i].name, groups);
		wire_world_free(&w);
	}
}

/* Make the checksums of an index right again. */
static void seal(struct buf *file)
{
	struct disk_header *h = (void *)file->p;
	struct disk_section *rows = (void *)(file->p + sizeof(*h));
	uint32_t n = get_le32(h->n_sections);
	for (uint32_t i = 0; i < n; i++)
		rows[i].xxh3 = put_le64(XXH3_64bits(file->p + get_le64(rows[i].offset),
						    get_le64(rows[i].stored_len)));
	h->xxh3 = put_le64(0);
	h->xxh3 = put_le64(XXH3_64bits(h, sizeof(*h) + n * sizeof(*rows)));
}

static struct disk_chunk *chunk_rows(struct buf *file)
{
	struct disk_header *h = (void *)file->p;
	struct disk_section *rows = (void *)(file->p + sizeof(*h));
	for (uint32_t i = 0; i < get_le32(h->n_sections); i++)
		if (get_le32(rows[i].type) == SECTION_CHUNKS)
			return (void *)(file->p + get_le64(rows[i].offset));
	fail_msg("no CHUNKS");
	return NULL;
}

/* Rows with each field at its limit: no real gzip stream has them all. */
static void every_field(void **state)
{
	(void)state;
	struct wire_world w;
	wire_world_make(&layers[0], &w);
	index_close(&w.ix);
	struct disk_chunk *rows = chunk_rows(&w.file);
	rows[1].start = START_INSIDE;
	rows[1].header_bits = put_le16(2400);
	rows[1].skip = put_le16(257);
	rows[1].bit = 7;
	rows[1].final_block = 1;
	rows[2].start = START_STORED;
	rows[2].stored_left = put_le32(65535);
	rows[2].header_bits = rows[2].skip = put_le16(0);
	rows[2].bit = 0;
	rows[2].final_block = 1;
	rows[3].start = START_INSIDE;
	rows[3].header_bits = put_le16(3);
	rows[3].xxh3 = put_le64(UINT64_MAX);
	seal(&w.file);
	w.ix = wire_open(&w.file);
	check_round_trip(w.ix, &w.file);
	wire_world_free(&w);
}

/* A later imgfs may count up `minor`: readers of this version go on. */
static void minor_is_ignored(void **state)
{
	(void)state;
	struct wire_world w;
	auto_buf struct buf form = {0}, file = {0};
	wire_world_make(&layers[5], &w);
	wire_encode(w.ix, &form);
	((struct wire_disk_head *)(void *)form.p)->begin.minor = put_le16(7);
	assert_int_equal(wire_layer_decode(buf_bytes(&form), &file, NULL), 0);
	assert_true(bytes_equal(buf_bytes(&file), buf_bytes(&w.file)));
	wire_world_free(&w);
}

/* --- what lies --- */

static struct buf right; /* the form of layers[0] */

static struct wire_disk_head *head(struct buf *form)
{
	return (void *)form->p;
}

static struct wire_disk_group *group(struct buf *form, size_t i)
{
	return (void *)(form->p + sizeof(struct wire_disk_head) +
			i * sizeof(struct wire_disk_group));
}

#define ADD16(field, n) ((field) = put_le16((uint16_t)(get_le16(field) + (n))))
#define ADD32(field, n) ((field) = put_le32(get_le32(field) + (uint32_t)(n)))
#define ADD64(field, n) ((field) = put_le64(get_le64(field) + (uint64_t)(n)))

/* clang-format off */
static void magic(struct buf *f) { head(f)->begin.magic[7] = '\r'; }
static void image_magic(struct buf *f) { memcpy(head(f)->begin.magic, WIRE_IMAGE_MAGIC, 8); }
static void older(struct buf *f) { head(f)->begin.version = put_le16(0); }
static void newer(struct buf *f) { ADD16(head(f)->begin.version, 1); }
static void form_longer(struct buf *f) { ADD64(head(f)->begin.form_len, 1); }
static void form_huge(struct buf *f) { head(f)->begin.form_len = put_le64(WIRE_FORM_MAX + 1); }
static void head_longer(struct buf *f) { ADD32(head(f)->begin.head_len, 44); }
static void head_odd(struct buf *f) { ADD32(head(f)->begin.head_len, 1); }
static void head_shorter(struct buf *f) { ADD32(head(f)->begin.head_len, -44); }
static void head_none(struct buf *f) { head(f)->begin.head_len = put_le32(303); }
static void head_beyond(struct buf *f) { head(f)->begin.head_len = put_le32(UINT32_MAX); }
static void blob_alg(struct buf *f) { head(f)->blob_alg = 0; }
static void blob_alg_unknown(struct buf *f) { head(f)->blob_alg = 7; }
static void diff_alg(struct buf *f) { head(f)->diff_alg = 0; }
static void blob_tail(struct buf *f) { head(f)->blob_digest[32] = 1; }
static void diff_tail(struct buf *f) { head(f)->diff_id[63] = 1; }
static void codec(struct buf *f) { head(f)->codec = 3; }
static void reserved(struct buf *f) { head(f)->reserved = 1; }
static void target_small(struct buf *f) { head(f)->chunk_target = put_le32(CHUNK_TARGET_MIN - 1); }
static void target_large(struct buf *f) { head(f)->chunk_target = put_le32(CHUNK_STREAM_MAX + 1); }
static void blob_size_huge(struct buf *f) { head(f)->blob_size = put_le64(STREAM_MAX + 1); }
static void stream_size_huge(struct buf *f) { head(f)->stream_size = put_le64(STREAM_MAX + 1); }
static void stream_size_none(struct buf *f) { head(f)->stream_size = put_le64(0); }
static void no_chunks(struct buf *f) { head(f)->n_chunks = put_le32(0); }
static void chunks_of_nothing(struct buf *f) { head(f)->n_chunks = put_le32(UINT32_MAX); }
static void a_group_too_many(struct buf *f) { ADD32(head(f)->n_chunks, 16); }
static void a_group_too_few(struct buf *f) { ADD32(head(f)->n_chunks, -16); }
static void groups_of_none(struct buf *f) { head(f)->group_chunks = put_le32(0); }
static void groups_of_many(struct buf *f) { head(f)->group_chunks = put_le32(WIRE_CHUNKS_MAX + 1); }
static void group_empty(struct buf *f) { group(f, 1)->len = put_le32(0); }
static void group_long(struct buf *f) { group(f, 1)->len = put_le32(WIRE_GROUP_MAX + 1); }
static void group_first(struct buf *f) { group(f, 0)->stream_off = put_le64(1); }
static void group_order(struct buf *f) { group(f, 2)->stream_off = group(f, 1)->stream_off; }
static void group_swapped(struct buf *f) { struct wire_disk_group g = *group(f, 1); *group(f, 1) = *group(f, 2); *group(f, 2) = g; }
static void group_outside(struct buf *f) { group(f, 2)->stream_off = head(f)->stream_size; }
static void group_len(struct buf *f) { ADD32(group(f, 1)->len, 1); }
static void tree_len(struct buf *f) { ADD64(head(f)->tree_len, -1); }
static void tree_huge(struct buf *f) { head(f)->tree_len = put_le64(UINT64_MAX); }
static void digests_len(struct buf *f) { ADD64(head(f)->digests_len, 1); }
static void digests_huge(struct buf *f) { head(f)->digests_len = put_le64(WIRE_FORM_MAX + 1); }
static void parts_moved(struct buf *f) { ADD64(head(f)->tree_len, 1); ADD64(head(f)->digests_len, -1); }
static void groups_moved(struct buf *f) { ADD32(group(f, 1)->len, 1); ADD32(group(f, 2)->len, -1); }
static void group_sha256(struct buf *f) { group(f, 1)->sha256[31] ^= 1; }
static void tree_sha256(struct buf *f) { head(f)->tree_sha256[0] ^= 1; }
static void digests_sha256(struct buf *f) { head(f)->digests_sha256[0] ^= 1; }
static void canonical(struct buf *f) { head(f)->canonical[31] ^= 0x80; }
static void table_xxh3(struct buf *f) { ADD64(head(f)->table_xxh3, 1); }
static void blob_digest(struct buf *f) { head(f)->blob_digest[31] ^= 1; }
static void salt(struct buf *f) { head(f)->blob_digest[0] ^= 1; }
static void diff_id(struct buf *f) { head(f)->diff_id[0] ^= 1; }
static void target_other(struct buf *f) { ADD32(head(f)->chunk_target, 1); }
static void codec_other(struct buf *f) { head(f)->codec = BLOB_ZSTD; }
static void blob_size_more(struct buf *f) { ADD64(head(f)->blob_size, 1); }
static void blob_size_less(struct buf *f) { head(f)->blob_size = put_le64(100); }
static void stream_size_more(struct buf *f) { ADD64(head(f)->stream_size, 1); }
static void stream_size_less(struct buf *f) { ADD64(head(f)->stream_size, -1); }
static void a_chunk_more(struct buf *f) { ADD32(head(f)->n_chunks, get_le32(head(f)->n_chunks) % 16 ? 1 : -1); }
static void a_chunk_less(struct buf *f) { ADD32(head(f)->n_chunks, get_le32(head(f)->n_chunks) % 16 == 1 ? 1 : -1); }
static void group_stream_off(struct buf *f) { ADD64(group(f, 2)->stream_off, 1); }
static void cut(struct buf *f) { f->n--; }
static void longer(struct buf *f) { put_raw(f, "", 1); }
static void nothing(struct buf *f) { f->n = 23; }
/* clang-format on */

struct lie {
	const char *name;
	void (*change)(struct buf *form);
	bool alone; /* the head alone is refused, for the same reason */
	err_t err;
	const char *text;
};

#define HEAD(f, text)                                                                              \
	{                                                                                          \
#f, f, true, -EBADMSG, text                                                        \
	}
#define WHOLE(f, text)                                                                             \
	{                                                                                          \
#f, f, false, -EBADMSG, text                                                       \
	}

static const struct lie lies[] = {
	HEAD(magic, "the magic is missing"),
	HEAD(image_magic, "the magic is missing"),
	{"older", older, true, -ENOTSUP, "form 0, which is older; this imgfs reads form 1"},
	{"newer", newer, true, -ENOTSUP, "form 2, which is newer; this imgfs reads form 1"},
	HEAD(form_huge, "2147483649 bytes"),
	WHOLE(form_longer, "its head says"),
	HEAD(head_longer, " groups"),
	HEAD(head_odd, " groups"),
	HEAD(head_shorter, " groups"),
	HEAD(head_none, "a head of 303 bytes"),
	WHOLE(head_beyond, "its head says"),
	HEAD(blob_alg, "a digest of the head"),
	HEAD(blob_alg_unknown, "a digest of the head"),
	HEAD(diff_alg, "a digest of the head"),
	HEAD(blob_tail, "a digest of the head"),
	HEAD(diff_tail, "a digest of the head"),
	HEAD(codec, "codec, sizes or chunks"),
	HEAD(reserved, "codec, sizes or chunks"),
	HEAD(target_small, "codec, sizes or chunks"),
	HEAD(target_large, "codec, sizes or chunks"),
	HEAD(blob_size_huge, "codec, sizes or chunks"),
	HEAD(stream_size_huge, "codec, sizes or chunks"),
	HEAD(stream_size_none, "codec, sizes or chunks"),
	HEAD(no_chunks, "codec, sizes or chunks"),
	HEAD(chunks_of_nothing, "codec, sizes or chunks"),
	HEAD(a_group_too_many, " groups"),
	HEAD(a_group_too_few, " groups"),
	HEAD(groups_of_none, "groups of 0 chunks"),
	HEAD(groups_of_many, "groups of 1025 chunks"),
	HEAD(group_empty, "group 1 of the head"),
	HEAD(group_long, "group 1 of the head"),
	HEAD(group_first, "group 0 of the head"),
	HEAD(group_order, "group 2 of the head"),
	HEAD(group_swapped, "group 2 of the head"),
	HEAD(group_outside, "group 2 of the head"),
	HEAD(group_len, "do not fill it"),
	HEAD(tree_len, "do not fill it"),
	HEAD(tree_huge, "lengths of the head"),
	HEAD(digests_len, "do not fill it"),
	HEAD(digests_huge, "lengths of the head"),
	WHOLE(parts_moved, "SHA-256 of the tree"),
	WHOLE(groups_moved, "SHA-256 of a group"),
	WHOLE(group_sha256, "SHA-256 of a group"),
	WHOLE(tree_sha256, "SHA-256 of the tree"),
	WHOLE(digests_sha256, "SHA-256 of the digests"),
	WHOLE(canonical, "the whole is not what its head says"),
	WHOLE(table_xxh3, "the whole is not what its head says"),
	WHOLE(blob_digest, "the whole is not what its head says"),
	WHOLE(salt, "the whole is not what its head says"),
	WHOLE(diff_id, "the whole is not what its head says"),
	WHOLE(target_other, "the whole is not what its head says"),
	WHOLE(codec_other, "group 0, chunk 0: blob range or start"),
	WHOLE(blob_size_more, "the whole is not what its head says"),
	WHOLE(blob_size_less, "group 0, chunk 0: blob range or start"),
	WHOLE(stream_size_more, "covers the wrong bytes"),
	WHOLE(stream_size_less, "covers the wrong bytes"),
	WHOLE(a_chunk_more, "do not decode"),
	WHOLE(a_chunk_less, "do not decode"),
	WHOLE(group_stream_off, "group 1 covers the wrong bytes"),
	WHOLE(cut, "its head says"),
	WHOLE(longer, "its head says"),
	WHOLE(nothing, "a form of 23 bytes"),
};

static void check_reason(const struct lie *lie, err_t err, const struct diag *d)
{
	if (err != lie->err || !strstr(d->text, lie->text))
		fail_msg("%s: %d '%s' lacks '%s'", lie->name, err, d->text, lie->text);
	assert_int_equal(strncmp(d->text, "published index: ", 17), 0);
	assert_int_equal(d->cls, err == -ENOTSUP ? ERR_UNSUPPORTED : ERR_INTEGRITY);
}

static void check_lie(const struct lie *lie)
{
	auto_buf struct buf form = {0}, file = {0};
	struct diag d = DIAG_INIT, alone = DIAG_INIT;
	struct wire_head *h = NULL;
	wire_copy(buf_bytes(&right), &form);
	lie->change(&form);
	check_reason(lie, wire_layer_decode(buf_bytes(&form), &file, &d), &d);
	uint32_t n = get_le32(head(&form)->begin.head_len);
	if (n > form.n || form.n < sizeof(struct wire_disk_head))
		return;
	err_t err = wire_head_parse((struct bytes){form.p, n}, &h, &alone);
	if (lie->alone)
		check_reason(lie, err, &alone);
	else if (lie->change != form_longer && err)
		fail_msg("%s: the head alone: %s", lie->name, alone.text);
	wire_head_free(&h);
}

/* A head by itself, as an image names it, is as long as it says. */
static void heads_of_another_length(void **state)
{
	(void)state;
	auto_buf struct buf form = {0};
	uint32_t n = get_le32(head(&right)->begin.head_len);
	for (int more = -1; more <= 1; more++) {
		struct wire_head *h = NULL;
		wire_copy(buf_bytes(&right), &form);
		ADD32(head(&form)->begin.head_len, more);
		err_t err = wire_head_parse((struct bytes){form.p, n}, &h, NULL);
		assert_int_equal(err, more ? -EBADMSG : 0);
		wire_head_free(&h);
	}
}

static void test_lies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++)
		check_lie(&lies[i]);
}

/* Each byte of a small form changed, and each beginning of it: nothing of that is taken for it. */
static void every_byte_counts(void **state)
{
	(void)state;
	struct wire_world w;
	auto_buf struct buf form = {0};
	wire_world_make(&layers[5], &w);
	wire_encode(w.ix, &form);
	for (size_t i = 0; i < form.n; i++) {
		auto_buf struct buf file = {0}, rest = {0};
		/* What has no meaning here: `minor`, and the size of a group where there is one. */
		bool idle =
			i == 10 || i == 11 || i == offsetof(struct wire_disk_head, group_chunks);
		form.p[i] ^= 0x41;
		err_t err = wire_layer_decode(buf_bytes(&form), &file, NULL);
		form.p[i] ^= 0x41;
		if (err != (idle ? 0 : i == 8 || i == 9 ? -ENOTSUP : -EBADMSG))
			fail_msg("byte %zu: %d", i, err);
		if (!err)
			assert_true(bytes_equal(buf_bytes(&file), buf_bytes(&w.file)));
		err = wire_layer_decode((struct bytes){form.p, i}, &rest, NULL);
		if (err != -EBADMSG)
			fail_msg("%zu bytes: %d", i, err);
	}
	wire_world_free(&w);
}

static int make_right(void **state)
{
	struct wire_world w;
	(void)state;
	wire_world_make(&layers[0], &w);
	wire_encode(w.ix, &right);
	wire_world_free(&w);
	return 0;
}

static int free_right(void **state)
{
	(void)state;
	buf_fini(&right);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips),
		cmocka_unit_test(every_field),
		cmocka_unit_test(minor_is_ignored),
		cmocka_unit_test_setup_teardown(test_lies, make_right, free_right),
		cmocka_unit_test_setup_teardown(heads_of_another_length, make_right, free_right),
		cmocka_unit_test(every_byte_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
