/*
 * The published form of images (index/WIRE.md): the merged tree goes out and comes back with the
 * heads of its layers, whatever layers there are; what is in HEADS and beside it is refused by
 * I12 and I38; and which indexes count as the same tree.
 */
#include "tests/unit/wire_build.h"

#include "index/container.h"
#include "index/merge.h"

#define LAYERS_MAX 4

static const struct wire_layer kinds[] = {
	{.name = "gzip", .codec = BLOB_GZIP, .big_file = 300000, .target = CHUNK_TARGET_MIN},
	{.name = "tar", .codec = BLOB_TAR},
	{.name = "no bytes", .codec = BLOB_TAR, .no_bytes = true},
};

/* An image, its layers' forms, and what its own form would say of them. */
struct image_world {
	struct wire_world layers[LAYERS_MAX];
	struct buf forms[LAYERS_MAX];
	struct index_layer_head heads[LAYERS_MAX];
	size_t n;
	struct buf file;
	struct index *ix;
};

/* @kind of each layer; @unnamed bits of layers whose forms are not published. */
static struct image_world *image_of(const unsigned *kind, size_t n, unsigned unnamed)
{
	struct image_world *w = new_of(struct image_world);
	const struct index *indexes[LAYERS_MAX];
	w->n = n;
	for (size_t i = 0; i < n; i++) {
		wire_world_make(&kinds[kind[i]], &w->layers[i]);
		indexes[i] = w->layers[i].ix;
		wire_encode(w->layers[i].ix, &w->forms[i]);
		if (unnamed >> i & 1)
			continue;
		struct wire_head *h = wire_head_of(&w->forms[i]);
		digest_of(DIGEST_SHA256, w->forms[i].p, w->forms[i].n, &w->heads[i].form);
		w->heads[i].form_len = w->forms[i].n;
		w->heads[i].head = (struct bytes){w->forms[i].p, h->head_len};
		wire_head_free(&h);
	}
	assert_int_equal(merge_layers(indexes, n, &w->file, NULL), 0);
	w->ix = wire_open(&w->file);
	return w;
}

static void image_free(struct image_world **wp)
{
	struct image_world *w = take(wp);
	index_close(&w->ix);
	buf_fini(&w->file);
	for (size_t i = 0; i < w->n; i++) {
		wire_world_free(&w->layers[i]);
		buf_fini(&w->forms[i]);
	}
	free(w);
}

static void encode(const struct image_world *w, struct buf *out)
{
	struct diag d = DIAG_INIT;
	if (wire_image_encode(w->ix, w->heads, out, &d))
		fail_msg("%s", d.text);
}

static void decode(const struct buf *form, struct buf *out)
{
	struct diag d = DIAG_INIT;
	if (wire_image_decode(buf_bytes(form), out, &d))
		fail_msg("%s", d.text);
}

/* --- what is right --- */

static void check_heads(const struct image_world *w, const struct index *got)
{
	for (uint32_t i = 0; i < w->n; i++) {
		struct index_layer_head head;
		struct wire_head *h = NULL;
		bool named = w->heads[i].head.n != 0;
		assert_int_equal(index_layer_head(got, i, &head), named);
		assert_false(index_layer_head(w->ix, i, &head));
		if (!named)
			continue;
		assert_true(index_layer_head(got, i, &head));
		assert_true(digest_equal(&head.form, &w->heads[i].form));
		assert_int_equal(head.form_len, w->heads[i].form_len);
		assert_true(bytes_equal(head.head, w->heads[i].head));
		assert_int_equal(wire_head_parse(head.head, &h, NULL), 0);
		assert_int_equal(h->form_len, head.form_len);
		assert_true(digest_equal(&h->info.blob_digest, &w->layers[i].blob_digest));
		wire_head_free(&h);
	}
}

static void check_tree(const struct image_world *w, const struct index *got)
{
	const struct index_info *a = index_info(w->ix), *b = index_info(got);
	assert_true(index_same_tree(w->ix, got));
	assert_true(index_same_tree(got, w->ix));
	assert_int_equal(b->kind, INDEX_IMAGE);
	assert_int_equal(a->n_inodes, b->n_inodes);
	assert_int_equal(a->n_dirs, b->n_dirs);
	assert_int_equal(a->n_regular, b->n_regular);
	assert_int_equal(a->n_dirents, b->n_dirents);
	assert_int_equal(a->files_size, b->files_size);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->n_layers, b->n_layers);
	assert_true(digest_equal(&a->image_key, &b->image_key));
	for (uint32_t i = 0; i < a->n_layers; i++) {
		struct index_layer x, y;
		index_layer(w->ix, i, &x);
		index_layer(got, i, &y);
		assert_memory_equal(&x, &y, sizeof(x));
	}
	for (uint32_t row = b->n_dirs; row < b->n_dirs + b->n_regular; row++) {
		assert_non_null(index_file_digest(w->ix, row));
		assert_null(index_file_digest(got, row));
	}
}

static void check_image(const unsigned *kind, size_t n, unsigned unnamed)
{
	struct image_world *w = image_of(kind, n, unnamed);
	auto_buf struct buf form = {0}, twice = {0}, file = {0};
	encode(w, &form);
	encode(w, &twice);
	assert_true(bytes_equal(buf_bytes(&form), buf_bytes(&twice)));
	decode(&form, &file);
	struct index *got = wire_open(&file);
	check_heads(w, got);
	check_tree(w, got);
	index_close(&got);
	image_free(&w);
}

static void round_trips(void **state)
{
	static const unsigned all[] = {0, 1, 2}, twice[] = {0, 1, 0, 0};
	(void)state;
	check_image(all, 3, 0);
	check_image(all, 1, 0);
	check_image(all, 3, 7); /* none has a form */
	check_image(all, 3, 2);
	check_image(all, 3, 5);
	check_image(all, 3, 4);
	check_image(twice, 4, 0); /* the same layer several times */
	check_image(twice, 4, 4);
	check_image(NULL, 0, 0);
}

/* The digest names a tree, whoever publishes its layers. */
static void canonical_without_heads(void **state)
{
	static const unsigned kind[] = {0, 1};
	(void)state;
	struct image_world *w = image_of(kind, 2, 0), *v = image_of(kind, 2, 2);
	auto_buf struct buf a = {0}, b = {0}, file_a = {0}, file_b = {0};
	struct digest of_a, of_b;
	encode(w, &a);
	encode(v, &b);
	decode(&a, &file_a);
	decode(&b, &file_b);
	assert_false(bytes_equal(buf_bytes(&file_a), buf_bytes(&file_b)));
	struct index *x = wire_open(&file_a), *y = wire_open(&file_b);
	assert_int_equal(index_canonical_digest(x, &of_a), 0);
	assert_int_equal(index_canonical_digest(y, &of_b), 0);
	assert_true(digest_equal(&of_a, &of_b));
	index_close(&x);
	index_close(&y);
	image_free(&w);
	image_free(&v);
}

static void other_trees(void **state)
{
	static const unsigned a[] = {0, 1}, b[] = {1, 0}, c[] = {0};
	(void)state;
	struct image_world *x = image_of(a, 2, 0), *y = image_of(b, 2, 0), *z = image_of(c, 1, 0);
	assert_true(index_same_tree(x->ix, x->ix));
	assert_false(index_same_tree(x->ix, y->ix));
	assert_false(index_same_tree(x->ix, z->ix));
	assert_false(index_same_tree(x->ix, x->layers[0].ix));
	assert_false(index_same_tree(x->layers[0].ix, x->layers[1].ix));
	assert_true(index_same_tree(x->layers[0].ix, y->layers[1].ix));
	image_free(&x);
	image_free(&y);
	image_free(&z);
}

/* --- what lies in the form --- */

static struct wire_disk_image *begin(struct buf *form)
{
	return (void *)form->p;
}

#define ADD64(field, n) ((field) = put_le64(get_le64(field) + (uint64_t)(n)))

/* clang-format off */
static void magic(struct buf *f) { begin(f)->begin.magic[0] = 'i'; }
static void layer_magic(struct buf *f) { memcpy(begin(f)->begin.magic, WIRE_LAYER_MAGIC, 8); }
static void older(struct buf *f) { begin(f)->begin.version = put_le16(0); }
static void newer(struct buf *f) { begin(f)->begin.version = put_le16(2); }
static void head_len(struct buf *f) { begin(f)->begin.head_len = put_le32(81); }
static void form_len(struct buf *f) { ADD64(begin(f)->begin.form_len, 1); }
static void form_huge(struct buf *f) { begin(f)->begin.form_len = put_le64(WIRE_FORM_MAX + 1); }
static void reserved(struct buf *f) { begin(f)->reserved = put_le32(1); }
static void layers_many(struct buf *f) { begin(f)->n_layers = put_le32(513); }
static void layers_all(struct buf *f) { begin(f)->n_layers = put_le32(UINT32_MAX); }
static void layer_less(struct buf *f) { begin(f)->n_layers = put_le32(1); }
static void layer_moved(struct buf *f) { begin(f)->n_layers = put_le32(1); ADD64(begin(f)->heads_len, sizeof(struct disk_layer)); }
static void heads_longer(struct buf *f) { ADD64(begin(f)->heads_len, 1); }
static void heads_huge(struct buf *f) { begin(f)->heads_len = put_le64(UINT64_MAX); }
static void heads_wrap(struct buf *f) { ADD64(begin(f)->heads_len, UINT64_C(1) << 63); ADD64(begin(f)->tree_len, UINT64_C(1) << 63); }
static void tree_huge(struct buf *f) { begin(f)->tree_len = put_le64(UINT64_MAX); }
static void tree_moved(struct buf *f) { ADD64(begin(f)->heads_len, 1); ADD64(begin(f)->tree_len, -1); }
static void heads_moved(struct buf *f) { ADD64(begin(f)->heads_len, -1); ADD64(begin(f)->tree_len, 1); }
static void cut(struct buf *f) { f->n--; }
static void longer(struct buf *f) { put_raw(f, "", 1); }
static void short_begin(struct buf *f) { f->n = 79; }
static void key(struct buf *f) { begin(f)->image_key[31] ^= 1; }
static void salt(struct buf *f) { begin(f)->image_key[0] ^= 1; }
static struct disk_layer *layer_row(struct buf *f, size_t i) { return (void *)(f->p + sizeof(*begin(f)) + i * sizeof(struct disk_layer)); }
static void layer_digest(struct buf *f) { layer_row(f, 1)->blob_digest[0] ^= 1; }
static void layer_alg(struct buf *f) { layer_row(f, 1)->diff_alg = 3; }
static void layer_stream(struct buf *f) { layer_row(f, 0)->stream_size = put_le64(512); }
static struct disk_layer_head *head_row(struct buf *f, size_t i) { return (void *)((uint8_t *)layer_row(f, get_le32(begin(f)->n_layers)) + i * sizeof(struct disk_layer_head)); }
static void head_reserved(struct buf *f) { head_row(f, 0)->reserved = put_le32(1); }
static void head_longer(struct buf *f) { head_row(f, 1)->head_len = put_le32(get_le32(head_row(f, 1)->head_len) + 1); }
static void head_shorter(struct buf *f) { head_row(f, 1)->head_len = put_le32(get_le32(head_row(f, 1)->head_len) - 1); }
static void head_huge(struct buf *f) { head_row(f, 0)->head_len = put_le32(UINT32_MAX); }
static void head_none(struct buf *f) { head_row(f, 1)->head_len = put_le32(0); }
static void head_of_no_form(struct buf *f) { head_row(f, 0)->form_len = put_le64(0); }
static void head_beyond_form(struct buf *f) { head_row(f, 0)->form_len = put_le64(get_le32(head_row(f, 0)->head_len) - 1); }
static void head_absent(struct buf *f) { memset(head_row(f, 1), 0, sizeof(struct disk_layer_head)); }
/* clang-format on */

struct lie {
	const char *name;
	void (*change)(struct buf *form);
	err_t err;
	const char *text; /* of wire_image_decode, or of index_open_bytes where it begins with I */
};

#define LIE(f, text)                                                                               \
	{                                                                                          \
#f, f, -EBADMSG, text                                                              \
	}

static const struct lie lies[] = {
	LIE(magic, "the magic is missing"),
	LIE(layer_magic, "the magic is missing"),
	{"older", older, -ENOTSUP, "form 0, which is older; this imgfs reads form 1"},
	{"newer", newer, -ENOTSUP, "form 2, which is newer; this imgfs reads form 1"},
	LIE(head_len, "the lengths of its parts"),
	LIE(form_len, "the lengths of its parts"),
	LIE(form_huge, "2147483649 bytes"),
	LIE(reserved, "the lengths of its parts"),
	LIE(layers_many, "the lengths of its parts"),
	LIE(layers_all, "the lengths of its parts"),
	LIE(layer_less, "the lengths of its parts"),
	LIE(layer_moved, "bytes in layer 1 of 1"),
	LIE(heads_longer, "the lengths of its parts"),
	LIE(heads_huge, "the lengths of its parts"),
	LIE(heads_wrap, "the lengths of its parts"),
	LIE(tree_huge, "the lengths of its parts"),
	LIE(tree_moved, ""),
	LIE(heads_moved, ""),
	LIE(cut, "the lengths of its parts"),
	LIE(longer, "the lengths of its parts"),
	LIE(short_begin, "a form of 79 bytes"),
	LIE(key, "I37: "),
	LIE(salt, "I37: "),
	LIE(layer_digest, "I37: "),
	LIE(layer_alg, "I36: "),
	LIE(layer_stream, "I29: "),
	LIE(head_reserved, "I38: "),
	LIE(head_longer, "I38: "),
	LIE(head_shorter, "I38: "),
	LIE(head_huge, "I38: "),
	LIE(head_none, "I38: "),
	LIE(head_of_no_form, "I38: "),
	LIE(head_beyond_form, "I38: "),
	LIE(head_absent, "I38: "),
};

static void test_lies(void **state)
{
	static const unsigned kind[] = {0, 1};
	(void)state;
	struct image_world *w = image_of(kind, 2, 0);
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		const struct lie *lie = &lies[i];
		auto_buf struct buf form = {0}, file = {0};
		struct diag d = DIAG_INIT;
		struct index *ix = NULL;
		encode(w, &form);
		lie->change(&form);
		err_t err = wire_image_decode(buf_bytes(&form), &file, &d);
		assert_int_equal(!err, lie->text[0] == 'I');
		if (!err)
			err = index_open_bytes(buf_bytes(&file), &ix, &d);
		if (err != lie->err || !strstr(d.text, lie->text) || !d.text[0])
			fail_msg("%s: %d '%s' lacks '%s'", lie->name, err, d.text, lie->text);
		assert_int_equal(d.cls, err == -ENOTSUP ? ERR_UNSUPPORTED : ERR_INTEGRITY);
	}
	image_free(&w);
}

/* Every beginning of a form is refused, and no changed byte makes trouble. */
static void every_byte(void **state)
{
	static const unsigned kind[] = {1};
	(void)state;
	struct image_world *w = image_of(kind, 1, 0);
	auto_buf struct buf form = {0};
	encode(w, &form);
	for (size_t i = 0; i < form.n; i++) {
		auto_buf struct buf file = {0}, rest = {0};
		struct index *ix = NULL;
		assert_int_equal(wire_image_decode((struct bytes){form.p, i}, &rest, NULL),
				 -EBADMSG);
		form.p[i] ^= 0x41;
		err_t err = wire_image_decode(buf_bytes(&form), &file, NULL);
		form.p[i] ^= 0x41;
		if (!err)
			err = index_open_bytes(buf_bytes(&file), &ix, NULL);
		if (err && err != -EBADMSG && err != -ENOTSUP && err != -E2BIG)
			fail_msg("byte %zu: %d", i, err);
		index_close(&ix);
	}
	image_free(&w);
}

/* --- HEADS where it does not belong --- */

#define SECTIONS_MAX 16

/* The sections of an index file, with one more, in order, and perhaps without another. */
static void file_with(const struct buf *file, struct section_out more, enum section_type without,
		      struct buf *out)
{
	struct section_out sections[SECTIONS_MAX];
	struct disk_header h;
	size_t n = 0;
	bool put = false;
	memcpy(&h, file->p, sizeof(h));
	for (uint32_t i = 0; i < get_le32(h.n_sections); i++) {
		struct disk_section row;
		memcpy(&row, file->p + sizeof(h) + i * sizeof(row), sizeof(row));
		if (get_le32(row.type) == without)
			continue;
		if (!put && get_le32(row.type) > more.type) {
			sections[n++] = more;
			put = true;
		}
		bool framed = get_le32(row.type) == SECTION_WINDOWS;
		assert_true(!framed || get_le64(row.raw_len) == 0);
		sections[n++] = (struct section_out){
			get_le32(row.type),
			framed,
			{file->p + get_le64(row.offset), framed ? 0 : get_le64(row.stored_len)}};
	}
	if (!put)
		sections[n++] = more;
	assert_int_equal(container_write(get_le32(h.kind), sections, n, out), 0);
}

static void check_no_place(const struct buf *file, enum section_type type, struct bytes raw,
			   enum section_type without)
{
	auto_buf struct buf more = {0};
	struct diag d = DIAG_INIT;
	struct index *ix = NULL;
	file_with(file, (struct section_out){type, false, raw}, without, &more);
	assert_int_equal(index_open_bytes(buf_bytes(&more), &ix, &d), -EBADMSG);
	if (strncmp(d.text, "I12: ", 5) != 0)
		fail_msg("'%s'", d.text);
	assert_int_equal(d.cls, ERR_INTEGRITY);
}

static void heads_beside_others(void **state)
{
	static const unsigned kind[] = {1};
	static const struct disk_layer_head absent;
	const struct bytes raw = {(const uint8_t *)&absent, sizeof(absent)};
	(void)state;
	struct image_world *w = image_of(kind, 1, 1);
	auto_buf struct buf form = {0}, file = {0}, digests = {0};
	check_no_place(&w->file, SECTION_HEADS, raw, 0); /* beside DIGESTS */
	check_no_place(&w->layers[0].file, SECTION_HEADS, raw, 0);
	check_no_place(&w->layers[0].file, SECTION_HEADS, raw, SECTION_DIGESTS);
	encode(w, &form);
	decode(&form, &file);
	struct index *ix = wire_open(&file);
	size_t n = (size_t)index_info(ix)->n_regular * SHA256_LEN;
	assert_int_equal(buf_append_zeros(&digests, n), 0);
	index_close(&ix);
	check_no_place(&file, SECTION_DIGESTS, buf_bytes(&digests), 0);
	image_free(&w);
}

/* A reader that does not know HEADS reads the rest: the section is not required. */
static void heads_are_not_required(void **state)
{
	static const unsigned kind[] = {1};
	(void)state;
	struct image_world *w = image_of(kind, 1, 0);
	auto_buf struct buf form = {0}, file = {0};
	encode(w, &form);
	decode(&form, &file);
	struct disk_header h;
	struct disk_section last;
	memcpy(&h, file.p, sizeof(h));
	memcpy(&last, file.p + sizeof(h) + (get_le32(h.n_sections) - 1) * sizeof(last),
	       sizeof(last));
	assert_int_equal(get_le32(last.type), SECTION_HEADS);
	assert_int_equal(get_le32(last.flags) & SECTION_REQUIRED, 0);
	image_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips),
		cmocka_unit_test(canonical_without_heads),
		cmocka_unit_test(other_trees),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(every_byte),
		cmocka_unit_test(heads_beside_others),
		cmocka_unit_test(heads_are_not_required),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
