/*
 * Lies behind right digests: the parts of a layer's published form are changed, and then the head
 * names them by their SHA-256, as a publisher could who wants to. Rows that contradict each other
 * or the head, windows that are not those of the rows, a tree and digests of another layer.
 */
#include "tests/unit/wire_build.h"

#include "index/window.h"
#include "index/wire_tree_priv.h"

static const struct wire_layer gzip_layer = {
	.name = "gzip", .codec = BLOB_GZIP, .big_file = 1800000, .target = CHUNK_TARGET_MIN};
static const struct wire_layer tar_layer = {
	.name = "tar", .codec = BLOB_TAR, .big_file = 4400000, .target = CHUNK_TARGET_MIN};
static const struct wire_layer frames_layer = {.name = "frames",
					       .codec = BLOB_ZSTD,
					       .big_file = 5300000,
					       .frame = 20000,
					       .target = CHUNK_TARGET_MIN};
static const struct wire_layer inner_layer = {
	.name = "inner", .codec = BLOB_ZSTD, .big_file = 4400000, .target = CHUNK_TARGET_MIN};
static const struct wire_layer small_layer = {.name = "small", .codec = BLOB_GZIP};

/* A form in pieces, its head and the rows of the group that lies. */
struct patient {
	struct wire_world w;
	struct buf form;
	struct wire_head *head;
	struct wire_pieces pieces;
	uint32_t group, n;
	struct chunk rows[WIRE_CHUNKS_MAX];
	struct buf windows;
};

static struct patient *patient_of(const struct wire_layer *layer, uint32_t group)
{
	struct patient *p = new_of(struct patient);
	wire_world_make(layer, &p->w);
	wire_encode(p->w.ix, &p->form);
	p->head = wire_head_of(&p->form);
	wire_take_apart(&p->form, &p->pieces);
	p->group = group;
	p->n = wire_group_len(p->head, group);
	struct bytes piece = buf_bytes(&p->pieces.groups[group]);
	assert_int_equal(wire_group_rows(p->head, group, piece, p->rows, NULL), 0);
	assert_int_equal(wire_group_windows(p->head, group, piece, &p->windows, NULL), 0);
	return p;
}

static void patient_free(struct patient **pp)
{
	struct patient *p = take(pp);
	wire_head_free(&p->head);
	wire_pieces_free(&p->pieces);
	wire_world_free(&p->w);
	buf_fini(&p->form);
	buf_fini(&p->windows);
	free(p);
}

/* The rows and windows as they are now, in the place of the group. */
static void repack(struct patient *p)
{
	auto_buf struct buf raw = {0};
	wire_rows_raw(p->rows, p->n, &raw);
	wire_group_put(buf_bytes(&raw), buf_bytes(&p->windows), &p->pieces.groups[p->group]);
}

static err_t group_alone(const struct patient *p, struct diag *d)
{
	struct chunk rows[WIRE_CHUNKS_MAX];
	return wire_group_rows(p->head, p->group, buf_bytes(&p->pieces.groups[p->group]), rows, d);
}

static err_t whole(const struct patient *p, struct diag *d)
{
	auto_buf struct buf form = {0}, file = {0};
	wire_put_together(&p->pieces, &form);
	return wire_layer_decode(buf_bytes(&form), &file, d);
}

static void check_refused(const char *name, err_t err, const struct diag *d, const char *text)
{
	if (err != -EBADMSG || !strstr(d->text, text))
		fail_msg("%s: %d '%s' lacks '%s'", name, err, d->text, text);
	assert_int_equal(d->cls, ERR_INTEGRITY);
}

/* What was taken apart and put together is the form again, so the tools of this test tell no lies
 * by themselves. */
static void nothing_changed(void **state)
{
	static const struct wire_layer *const layers[] = {&gzip_layer, &tar_layer, &frames_layer,
							  &inner_layer};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(layers); i++) {
		auto_buf struct buf form = {0};
		struct patient *p = patient_of(layers[i], 1);
		repack(p);
		wire_put_together(&p->pieces, &form);
		assert_true(bytes_equal(buf_bytes(&form), buf_bytes(&p->form)));
		patient_free(&p);
	}
}

/* --- rows --- */

/* clang-format off */
static void empty(struct patient *p) { p->rows[3].stream_len = 0; }
static void too_long(struct patient *p) { p->rows[3].stream_len = CHUNK_STREAM_MAX + 1; }
static void shorter(struct patient *p) { p->rows[p->n - 1].stream_len--; }
static void longer(struct patient *p) { p->rows[0].stream_len++; }
static void into_the_next(struct patient *p) { p->rows[p->n - 1].stream_len = CHUNK_STREAM_MAX; }
static void no_blob(struct patient *p) { p->rows[3].blob_len = 0; }
static void blob_end(struct patient *p) { p->rows[3].blob_len = p->head->info.blob_size - p->rows[3].blob_off + 1; }
static void blob_outside(struct patient *p) { p->rows[3].blob_off = p->head->info.blob_size; }
static void blob_order(struct patient *p) { p->rows[3].blob_off = p->rows[2].blob_off - 1; }
static void codec_stored(struct patient *p) { p->rows[3].codec = CHUNK_STORED; }
static void codec_zstd(struct patient *p) { p->rows[3].codec = CHUNK_ZSTD; }
static void codec_gzip(struct patient *p) { p->rows[3].codec = CHUNK_GZIP; }
static void codec_unknown(struct patient *p) { p->rows[3].codec = 255; }
static void start_unknown(struct patient *p) { p->rows[3].start = START_STORED + 1; }
static void member_with_window(struct patient *p) { p->rows[3].start = START_MEMBER; p->rows[3].bit = 0; }
static void first_not_a_member(struct patient *p) { p->rows[0].start = START_BLOCK; }
static void bit(struct patient *p) { p->rows[3].bit = 8; }
static void final_flag(struct patient *p) { p->rows[3].final_block = 2; }
static void final_at_a_block(struct patient *p) { p->rows[3].final_block = 1; }
static void skip_at_a_block(struct patient *p) { p->rows[3].skip = 1; }
static void header_at_a_block(struct patient *p) { p->rows[3].header_bits = 17; }
static void left_at_a_block(struct patient *p) { p->rows[3].stored_left = 1; }
static void skip_long(struct patient *p) { p->rows[3].start = START_INSIDE; p->rows[3].header_bits = 17; p->rows[3].skip = 258; }
static void header_short(struct patient *p) { p->rows[3].start = START_INSIDE; p->rows[3].header_bits = 2; }
static void header_long(struct patient *p) { p->rows[3].start = START_INSIDE; p->rows[3].header_bits = 2401; }
static void nothing_left(struct patient *p) { p->rows[3].start = START_STORED; p->rows[3].bit = 0; }
static void much_left(struct patient *p) { nothing_left(p); p->rows[3].stored_left = 65536; }
static void bit_of_stored(struct patient *p) { nothing_left(p); p->rows[3].stored_left = 9; p->rows[3].bit = 1; }
static void window_long(struct patient *p) { p->rows[3].window_len = WINDOW_ENCODED_MAX + 1; }
static void window_of_stored(struct patient *p) { p->rows[3].window_len = 1; }
static void start_of_stored(struct patient *p) { p->rows[3].start = START_BLOCK; }
static void stored_len(struct patient *p) { p->rows[3].blob_len++; }
static void stored_off(struct patient *p) { p->rows[3].blob_off++; }
static void frames_overlap(struct patient *p) { p->rows[3].blob_off--; p->rows[3].blob_len++; }
static void inner_len(struct patient *p) { p->rows[3].blob_len--; }
static void inner_back(struct patient *p) { p->rows[3].blob_off = 0; p->rows[3].blob_len = 1; p->rows[2].blob_off = 1; p->rows[2].blob_len = 9; }
/* clang-format on */

struct row_lie {
	const char *name;
	void (*change)(struct patient *p);
	const struct wire_layer *layer;
	uint32_t group;
	const char *text;
};

#define NOT_OF_ROWS "the windows of group 1 are not those of its rows"
#define WRONG_RANGE "blob range or start"
#define LIE(f, layer, group, text)                                                                 \
	{                                                                                          \
#f, f, &layer, group, text                                                         \
	}

static const struct row_lie row_lies[] = {
	LIE(empty, gzip_layer, 1, "group 1, chunk 3: 0 bytes"),
	LIE(too_long, gzip_layer, 1, "group 1, chunk 3: 1048577 bytes"),
	LIE(shorter, gzip_layer, 1, "group 1 covers the wrong bytes"),
	LIE(longer, gzip_layer, 0, "group 0 covers the wrong bytes"),
	LIE(into_the_next, gzip_layer, 1, "group 1 covers the wrong bytes"),
	LIE(no_blob, gzip_layer, 1, "group 1, chunk 3: blob range or start"),
	LIE(blob_end, gzip_layer, 1, WRONG_RANGE),
	LIE(blob_outside, gzip_layer, 1, WRONG_RANGE),
	LIE(blob_order, gzip_layer, 1, WRONG_RANGE),
	LIE(codec_stored, gzip_layer, 1, WRONG_RANGE),
	LIE(codec_zstd, gzip_layer, 1, WRONG_RANGE),
	LIE(codec_unknown, gzip_layer, 1, WRONG_RANGE),
	LIE(start_unknown, gzip_layer, 1, WRONG_RANGE),
	LIE(member_with_window, gzip_layer, 1, WRONG_RANGE),
	LIE(first_not_a_member, gzip_layer, 0, "group 0, chunk 0: blob range or start"),
	LIE(bit, gzip_layer, 1, WRONG_RANGE),
	LIE(final_flag, gzip_layer, 1, WRONG_RANGE),
	LIE(final_at_a_block, gzip_layer, 1, WRONG_RANGE),
	LIE(skip_at_a_block, gzip_layer, 1, WRONG_RANGE),
	LIE(header_at_a_block, gzip_layer, 1, WRONG_RANGE),
	LIE(left_at_a_block, gzip_layer, 1, WRONG_RANGE),
	LIE(skip_long, gzip_layer, 1, WRONG_RANGE),
	LIE(header_short, gzip_layer, 1, WRONG_RANGE),
	LIE(header_long, gzip_layer, 1, WRONG_RANGE),
	LIE(nothing_left, gzip_layer, 1, WRONG_RANGE),
	LIE(much_left, gzip_layer, 1, WRONG_RANGE),
	LIE(bit_of_stored, gzip_layer, 1, WRONG_RANGE),
	LIE(window_long, gzip_layer, 1, "the rows of group 1 do not decode"),
	LIE(stored_len, tar_layer, 1, WRONG_RANGE),
	LIE(stored_off, tar_layer, 1, WRONG_RANGE),
	LIE(codec_gzip, tar_layer, 1, WRONG_RANGE),
	LIE(window_of_stored, tar_layer, 1, WRONG_RANGE),
	LIE(start_of_stored, tar_layer, 1, WRONG_RANGE),
	LIE(frames_overlap, frames_layer, 1, WRONG_RANGE),
	LIE(codec_stored, frames_layer, 1, WRONG_RANGE),
	LIE(window_of_stored, frames_layer, 1, WRONG_RANGE),
	LIE(inner_len, inner_layer, 1, WRONG_RANGE),
	LIE(inner_back, inner_layer, 1, WRONG_RANGE),
};

static void check_row_lie(const struct row_lie *lie)
{
	struct diag alone = DIAG_INIT, d = DIAG_INIT;
	struct patient *p = patient_of(lie->layer, lie->group);
	lie->change(p);
	repack(p);
	check_refused(lie->name, group_alone(p, &alone), &alone, lie->text);
	check_refused(lie->name, whole(p, &d), &d, lie->text);
	patient_free(&p);
}

static void rows_that_lie(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row_lies); i++)
		check_row_lie(&row_lies[i]);
}

/* What a chunk needs is in its row, whatever its neighbours are: a group alone can not tell that
 * the group before has other ranges. The whole is refused by the index's own rule. */
static void groups_that_contradict_each_other(void **state)
{
	(void)state;
	struct diag d = DIAG_INIT;
	struct patient *p = patient_of(&gzip_layer, 1);
	for (uint32_t i = 0; i < p->n; i++)
		p->rows[i].blob_off = 0;
	repack(p);
	assert_int_equal(group_alone(p, NULL), 0);
	check_refused("order of groups", whole(p, &d), &d, "I33: ");
	patient_free(&p);
}

/* A frame that goes on in the next group is one frame there as well. */
static void a_frame_of_two_lengths(void **state)
{
	(void)state;
	struct diag d = DIAG_INIT;
	struct patient *p = patient_of(&inner_layer, 1);
	for (uint32_t i = 0; i < p->n; i++)
		p->rows[i].blob_len--;
	repack(p);
	assert_int_equal(group_alone(p, NULL), 0);
	check_refused("length of a frame", whole(p, &d), &d, "I33: ");
	patient_free(&p);
}

/* --- columns --- */

static void columns_that_do_not_end_well(void **state)
{
	(void)state;
	struct patient *p = patient_of(&gzip_layer, 1);
	auto_buf struct buf raw = {0};
	wire_rows_raw(p->rows, p->n, &raw);
	for (size_t n = 0; n <= raw.n + 1; n += n + 13 < raw.n ? 13 : 1) {
		auto_buf struct buf bytes = {0};
		struct diag d = DIAG_INIT;
		put_raw(&bytes, raw.p, min_of(n, raw.n));
		if (n > raw.n)
			put_raw(&bytes, "", 1);
		wire_group_put(buf_bytes(&bytes), buf_bytes(&p->windows), &p->pieces.groups[1]);
		if (n != raw.n)
			check_refused("cut", group_alone(p, &d), &d, "group 1 do not decode");
	}
	patient_free(&p);
}

/* Numbers that are larger than what they are put into. */
static void numbers_that_do_not_fit(void **state)
{
	static const struct {
		size_t column;
		uint64_t v;
	} numbers[] = {
		{0, UINT64_C(1) << 32}, /* stream_len */
		{1, UINT64_MAX},	/* the blob_off */
		{1, 2 * STREAM_MAX + 2},
		{2, STREAM_MAX + 1}, /* blob_len */
		{2, UINT64_MAX},
		{3, UINT64_C(1) << 32}, /* window_len */
		{4, 65536},		/* skip */
		{5, 65536},		/* header_bits */
		{6, UINT64_C(1) << 32}, /* stored_left */
		{7, 256},		/* codec: 1 would be right */
		{8, 256},
		{9, 256},
		{10, 256},
	};
	(void)state;
	struct patient *p = patient_of(&small_layer, 0);
	assert_int_equal(p->n, 1);
	const struct chunk *c = &p->rows[0];
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		struct diag d = DIAG_INIT;
		auto_buf struct buf raw = {0};
		uint64_t row[11] = {c->stream_len, 2 * c->blob_off, c->blob_len, 0, 0, 0, 0,
				    c->codec};
		row[numbers[i].column] = numbers[i].v;
		for (size_t k = 0; k < ARRAY_LEN(row); k++)
			wire_put_number(&raw, row[k]);
		put_raw(&raw, c->sha256, SHA256_LEN);
		put_raw(&raw, &c->xxh3, sizeof(c->xxh3));
		wire_group_put(buf_bytes(&raw), (struct bytes){0}, &p->pieces.groups[0]);
		check_refused("number", group_alone(p, &d), &d, "group 0 do not decode");
	}
	patient_free(&p);
}

/* --- frames --- */

/* A group whose two halves are these bytes. */
static void put_halves(struct patient *p, struct bytes rows, struct bytes windows)
{
	struct buf *out = &p->pieces.groups[p->group];
	le32 len = put_le32((uint32_t)rows.n);
	out->n = 0;
	put_raw(out, &len, sizeof(len));
	put_raw(out, rows.p, rows.n);
	put_raw(out, windows.p, windows.n);
}

static void pieces_that_are_cut(void **state)
{
	(void)state;
	struct patient *p = patient_of(&gzip_layer, 1);
	struct buf *piece = &p->pieces.groups[1];
	struct diag d = DIAG_INIT;
	auto_buf struct buf windows = {0};
	le32 beyond = put_le32((uint32_t)piece->n - 3);
	memcpy(piece->p, &beyond, sizeof(beyond));
	check_refused("rows_len", group_alone(p, &d), &d, "a group is cut");
	assert_int_equal(wire_group_windows(p->head, 1, buf_bytes(piece), &windows, &d), -EBADMSG);
	beyond = put_le32(UINT32_MAX);
	memcpy(piece->p, &beyond, sizeof(beyond));
	check_refused("rows_len", whole(p, &d), &d, "a group is cut");
	piece->n = 3;
	check_refused("3 bytes", group_alone(p, &d), &d, "a group is cut");
	piece->n = 0;
	check_refused("no bytes", group_alone(p, &d), &d, "a group is cut");
	patient_free(&p);
}

/* One zstd frame with its size and nothing else; anything else is refused. */
static void frames_that_are_not_one(void **state)
{
	(void)state;
	struct patient *p = patient_of(&gzip_layer, 1);
	auto_buf struct buf raw = {0}, one = {0}, two = {0}, bomb = {0}, zeroes = {0},
			    sizeless = {0};
	struct bytes none = {0};
	wire_rows_raw(p->rows, p->n, &raw);
	assert_int_equal(wire_pack(buf_bytes(&raw), &one), 0);
	put_raw(&two, one.p, one.n);
	put_raw(&two, one.p, one.n);
	assert_int_equal(buf_append_zeros(&zeroes, WIRE_GROUP_MAX + 1), 0);
	assert_int_equal(wire_pack(buf_bytes(&zeroes), &bomb), 0);
	ZSTD_CCtx *z = ZSTD_createCCtx();
	assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, 0)));
	assert_int_equal(buf_reserve(&sizeless, ZSTD_compressBound(raw.n)), 0);
	sizeless.n = ZSTD_compress2(z, sizeless.p, sizeless.cap, raw.p, raw.n);
	assert_false(ZSTD_isError(sizeless.n));
	ZSTD_freeCCtx(z);
	const struct bytes halves[] = {none,
				       buf_bytes(&two),
				       {one.p, one.n - 1},
				       buf_bytes(&bomb),
				       buf_bytes(&raw),
				       buf_bytes(&sizeless)};
	for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
		struct diag d = DIAG_INIT, w = DIAG_INIT;
		auto_buf struct buf windows = {0};
		put_halves(p, halves[i], none);
		check_refused("rows", group_alone(p, &d), &d, "the rows of group 1 do not decode");
		put_halves(p, buf_bytes(&one), halves[i]);
		assert_int_equal(group_alone(p, NULL), 0);
		err_t err = wire_group_windows(p->head, 1, buf_bytes(&p->pieces.groups[1]),
					       &windows, &w);
		if (i) /* no bytes are no windows */
			check_refused("windows", err, &w, "the windows of group 1 do not decode");
		else
			assert_true(!err && windows.n == 0);
		check_refused("whole", whole(p, &d), &d, "");
	}
	patient_free(&p);
}

/* --- windows --- */

/* clang-format off */
static void window_shorter(struct patient *p) { p->windows.n--; }
static void windows_longer(struct patient *p) { put_raw(&p->windows, "", 1); }
static void windows_gone(struct patient *p) { p->windows.n = 0; }
static void window_byte(struct patient *p) { p->windows.p[p->windows.n / 2] ^= 1; }
static void border_moved(struct patient *p) { p->rows[3].window_len++; p->rows[4].window_len--; }
static void window_more(struct patient *p) { p->rows[p->n - 1].window_len++; }
/* clang-format on */

static void windows_that_lie(void **state)
{
	static const struct {
		const char *name;
		void (*change)(struct patient *p);
		const char *text;
	} lies[] = {
		{"shorter", window_shorter, NOT_OF_ROWS},
		{"longer", windows_longer, NOT_OF_ROWS},
		{"gone", windows_gone, NOT_OF_ROWS},
		{"more in the row", window_more, NOT_OF_ROWS},
		{"another byte", window_byte, "the whole is not what its head says"},
		{"border", border_moved, "the whole is not what its head says"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct patient *p = patient_of(&gzip_layer, 1);
		struct diag d = DIAG_INIT;
		lies[i].change(p);
		repack(p);
		assert_int_equal(group_alone(p, NULL), 0);
		check_refused(lies[i].name, whole(p, &d), &d, lies[i].text);
		patient_free(&p);
	}
}

/* What one group has too much, the other has too little: the sum is right. */
static void windows_moved_to_the_next_group(void **state)
{
	(void)state;
	struct patient *p = patient_of(&gzip_layer, 1), *q = patient_of(&gzip_layer, 2);
	struct diag d = DIAG_INIT;
	auto_buf struct buf windows = {0};
	put_raw(&windows, p->windows.p + p->windows.n - 1, 1);
	put_raw(&windows, q->windows.p, q->windows.n);
	p->windows.n--;
	repack(p);
	wire_copy(buf_bytes(&windows), &q->windows);
	repack(q);
	wire_copy(buf_bytes(&q->pieces.groups[2]), &p->pieces.groups[2]);
	check_refused("moved", whole(p, &d), &d, NOT_OF_ROWS);
	patient_free(&q);
	patient_free(&p);
}

/* --- rows that are right by themselves, tree, digests --- */

/* clang-format off */
static void sha256(struct patient *p) { p->rows[0].sha256[0] ^= 1; repack(p); }
static void xxh3(struct patient *p) { p->rows[0].xxh3++; repack(p); }
static void no_tree(struct patient *p) { p->pieces.tree.n = 0; }
static void tree_cut(struct patient *p) { p->pieces.tree.n--; }
static void tree_longer(struct patient *p) { put_raw(&p->pieces.tree, "", 1); }
static void no_digests(struct patient *p) { p->pieces.digests.n = 0; }
static void digests_cut(struct patient *p) { p->pieces.digests.n--; }
static void digests_longer(struct patient *p) { put_raw(&p->pieces.digests, "", 1); }
/* clang-format on */

static void put_digests(struct patient *p, size_t drop, uint8_t flip)
{
	auto_buf struct buf raw = {0}, again = {0};
	struct bytes column;
	assert_int_equal(
		columns_unpack(buf_bytes(&p->pieces.digests), 1, 1 << 20, &raw, &column, NULL), 0);
	wire_copy(column, &again);
	again.n -= drop;
	again.p[0] ^= flip;
	column = buf_bytes(&again);
	p->pieces.digests.n = 0;
	assert_int_equal(columns_pack(&column, 1, &p->pieces.digests), 0);
}

static void another_digest(struct patient *p)
{
	put_digests(p, 0, 1);
}

static void a_digest_less(struct patient *p)
{
	put_digests(p, SHA256_LEN, 0);
}

static void tree_of_another(struct patient *p)
{
	static const struct wire_layer other = {
		.name = "other", .codec = BLOB_TAR, .no_members = true};
	struct wire_world w;
	auto_buf struct buf form = {0};
	struct wire_pieces pieces;
	wire_world_make(&other, &w);
	wire_encode(w.ix, &form);
	wire_take_apart(&form, &pieces);
	wire_copy(buf_bytes(&pieces.tree), &p->pieces.tree);
	wire_copy(buf_bytes(&pieces.digests), &p->pieces.digests);
	wire_pieces_free(&pieces);
	wire_world_free(&w);
}

static void parts_that_lie(void **state)
{
	static const struct {
		const char *name;
		void (*change)(struct patient *p);
		const char *text;
	} lies[] = {
		{"SHA-256 of a chunk", sha256, "the whole is not what its head says"},
		{"XXH3 of a chunk", xxh3, "the whole is not what its head says"},
		{"a tree of another layer", tree_of_another, "the whole is not what its head says"},
		{"another digest", another_digest, "the whole is not what its head says"},
		{"no tree", no_tree, ""},
		{"a tree that is cut", tree_cut, ""},
		{"bytes behind the tree", tree_longer, ""},
		{"no digests", no_digests, ""},
		{"digests that are cut", digests_cut, ""},
		{"bytes behind the digests", digests_longer, ""},
		{"a digest less", a_digest_less, ""},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct patient *p = patient_of(&small_layer, 0);
		struct diag d = DIAG_INIT;
		lies[i].change(p);
		err_t err = whole(p, &d);
		check_refused(lies[i].name, err, &d, lies[i].text);
		assert_true(d.text[0]);
		patient_free(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_changed),
		cmocka_unit_test(rows_that_lie),
		cmocka_unit_test(groups_that_contradict_each_other),
		cmocka_unit_test(a_frame_of_two_lengths),
		cmocka_unit_test(columns_that_do_not_end_well),
		cmocka_unit_test(numbers_that_do_not_fit),
		cmocka_unit_test(pieces_that_are_cut),
		cmocka_unit_test(frames_that_are_not_one),
		cmocka_unit_test(windows_that_lie),
		cmocka_unit_test(windows_moved_to_the_next_group),
		cmocka_unit_test(parts_that_lie),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
