/*
 * Which content the files of a published layer have: the two last parts of its form say the same as
 * the layer's index, each file is found by its place, and other bytes are refused.
 */
#include "index/wire_files.h"
#include "tests/unit/wire_build.h"

static const struct wire_layer layers[] = {
	{.name = "gzip", BLOB_GZIP, .big_file = 1800000},
	{.name = "tar", BLOB_TAR, .big_file = 100000},
	{.name = "no members", BLOB_TAR, .no_members = true},
};

static struct wire_head *head_of(const struct buf *form)
{
	struct wire_disk_begin begin;
	struct wire_head *h = NULL;
	memcpy(&begin, form->p, sizeof(begin));
	struct bytes head = {form->p, get_le32(begin.head_len)};
	assert_int_equal(wire_head_parse(head, &h, NULL), 0);
	return h;
}

static struct bytes parts_of(const struct wire_head *h, const struct buf *form)
{
	return (struct bytes){form->p + h->tree.off, h->tree.len + h->digests.len};
}

static void check_places(const struct index *ix, const struct wire_file *files, size_t n)
{
	const struct index_info *info = index_info(ix);
	size_t found = 0;
	for (uint32_t row = info->n_dirs; row < info->n_dirs + info->n_regular; row++) {
		struct inode inode;
		struct extent run;
		index_inode(ix, row, &inode);
		if (!inode.size)
			continue;
		index_extent(ix, row, 0, &run);
		const struct wire_file *file = wire_file_at(files, n, run.stream_off);
		assert_non_null(file);
		assert_int_equal(file->size, inode.size);
		assert_memory_equal(file->sha256, index_file_digest(ix, row), SHA256_LEN);
		assert_null(wire_file_at(files, n, run.stream_off + 1));
		found++;
	}
	assert_int_equal(found, n);
	assert_null(wire_file_at(files, n, UINT64_MAX));
	assert_null(wire_file_at(NULL, 0, 0));
}

static void same_as_the_index(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(layers); i++) {
		struct wire_world w = {0};
		struct wire_file *published = NULL, *own = NULL;
		size_t n_published, n_own;
		auto_buf struct buf form = {0};
		wire_world_make(&layers[i], &w);
		wire_encode(w.ix, &form);
		struct wire_head *h = head_of(&form);
		assert_int_equal(
			wire_files_decode(h, parts_of(h, &form), &published, &n_published, NULL),
			0);
		assert_int_equal(wire_files_of_index(w.ix, &own, &n_own), 0);
		assert_int_equal(n_published, n_own);
		check_places(w.ix, published, n_published);
		check_places(w.ix, own, n_own);
		free(published);
		free(own);
		wire_head_free(&h);
		wire_world_free(&w);
	}
}

/* Any other byte, in the tree or in the digests, first, last or between. */
static void other_bytes(void **state)
{
	struct wire_world w = {0};
	struct diag d = DIAG_INIT;
	auto_buf struct buf form = {0};
	(void)state;
	wire_world_make(&layers[0], &w);
	wire_encode(w.ix, &form);
	struct wire_head *h = head_of(&form);
	const uint64_t places[] = {h->tree.off, h->tree.off + h->tree.len - 1, h->digests.off,
				   h->digests.off + h->digests.len - 1};
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct wire_file *files = NULL;
		size_t n;
		form.p[places[i]] ^= 1;
		assert_int_equal(wire_files_decode(h, parts_of(h, &form), &files, &n, &d),
				 -EBADMSG);
		assert_int_equal(d.cls, ERR_INTEGRITY);
		assert_null(files);
		form.p[places[i]] ^= 1;
	}
	wire_head_free(&h);
	wire_world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_the_index),
		cmocka_unit_test(other_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
