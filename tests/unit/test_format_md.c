/*
 * index/FORMAT.md against index/format.h, and index/WIRE.md against index/wire_priv.h: every record
 * table of a document, in order, has exactly the fields of its struct at their places; and every
 * invariant of FORMAT.md has its number in the code.
 */
#include "index/format.h"
#include "index/wire_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
// cmocka.h needs the above
#include <cmocka.h>

struct field {
	const char *name;
	size_t off, size;
};
struct record {
	const char *name;
	size_t size;
	const struct field *fields;
	size_t n_fields;
};

#define F(T, f)                                                                                    \
	{                                                                                          \
#f, offsetof(struct T, f), sizeof(((struct T *)0)->f)                              \
	}
#define FIELDS(T, ...) static const struct field T##_fields[] = {__VA_ARGS__}
#define RECORD(T)                                                                                  \
	{                                                                                          \
#T, sizeof(struct T), T##_fields, ARRAY_LEN(T##_fields)                            \
	}

FIELDS(disk_header, F(disk_header, magic), F(disk_header, version), F(disk_header, minor),
       F(disk_header, kind), F(disk_header, n_sections), F(disk_header, reserved0),
       F(disk_header, file_len), F(disk_header, xxh3), F(disk_header, reserved1));
FIELDS(disk_section, F(disk_section, type), F(disk_section, flags), F(disk_section, offset),
       F(disk_section, stored_len), F(disk_section, raw_len), F(disk_section, xxh3),
       F(disk_section, reserved));
FIELDS(disk_framed, F(disk_framed, frame_raw), F(disk_framed, n_frames));
FIELDS(disk_tree_meta, F(disk_tree_meta, n_inodes), F(disk_tree_meta, n_dirs),
       F(disk_tree_meta, n_regular), F(disk_tree_meta, flags), F(disk_tree_meta, n_dirents),
       F(disk_tree_meta, files_size), F(disk_tree_meta, salt));
FIELDS(disk_layer_meta, F(disk_layer_meta, tree), F(disk_layer_meta, blob_alg),
       F(disk_layer_meta, diff_alg), F(disk_layer_meta, codec), F(disk_layer_meta, reserved),
       F(disk_layer_meta, chunk_target), F(disk_layer_meta, blob_size),
       F(disk_layer_meta, stream_size), F(disk_layer_meta, blob_digest),
       F(disk_layer_meta, diff_id));
FIELDS(disk_image_meta, F(disk_image_meta, tree), F(disk_image_meta, n_layers),
       F(disk_image_meta, reserved0), F(disk_image_meta, reserved1), F(disk_image_meta, reserved2),
       F(disk_image_meta, image_key));
FIELDS(disk_inode, F(disk_inode, mode), F(disk_inode, flags), F(disk_inode, owner),
       F(disk_inode, time), F(disk_inode, size), F(disk_inode, ref), F(disk_inode, xattrs),
       F(disk_inode, nlink_or_parent));
FIELDS(disk_dirent, F(disk_dirent, hash), F(disk_dirent, name_off), F(disk_dirent, row),
       F(disk_dirent, name_len), F(disk_dirent, type), F(disk_dirent, reserved));
FIELDS(disk_owner, F(disk_owner, uid), F(disk_owner, gid));
FIELDS(disk_xattr_set, F(disk_xattr_set, len), F(disk_xattr_set, n_xattrs));
FIELDS(disk_xattr, F(disk_xattr, value_len), F(disk_xattr, name_len), F(disk_xattr, reserved));
FIELDS(disk_extent, F(disk_extent, off), F(disk_extent, len), F(disk_extent, data));
FIELDS(disk_chunk, F(disk_chunk, stream_off), F(disk_chunk, blob_off), F(disk_chunk, blob_len),
       F(disk_chunk, xxh3), F(disk_chunk, sha256), F(disk_chunk, window_off),
       F(disk_chunk, window_len), F(disk_chunk, stream_len), F(disk_chunk, stored_left),
       F(disk_chunk, skip), F(disk_chunk, header_bits), F(disk_chunk, codec), F(disk_chunk, start),
       F(disk_chunk, bit), F(disk_chunk, final_block), F(disk_chunk, reserved));
FIELDS(disk_layer, F(disk_layer, blob_alg), F(disk_layer, diff_alg), F(disk_layer, reserved),
       F(disk_layer, blob_size), F(disk_layer, stream_size), F(disk_layer, blob_digest),
       F(disk_layer, diff_id));
FIELDS(disk_layer_head, F(disk_layer_head, form_sha256), F(disk_layer_head, form_len),
       F(disk_layer_head, head_len), F(disk_layer_head, reserved));
FIELDS(wire_disk_begin, F(wire_disk_begin, magic), F(wire_disk_begin, version),
       F(wire_disk_begin, minor), F(wire_disk_begin, head_len), F(wire_disk_begin, form_len));
FIELDS(wire_disk_head, F(wire_disk_head, begin), F(wire_disk_head, blob_alg),
       F(wire_disk_head, diff_alg), F(wire_disk_head, codec), F(wire_disk_head, reserved),
       F(wire_disk_head, chunk_target), F(wire_disk_head, blob_size),
       F(wire_disk_head, stream_size), F(wire_disk_head, blob_digest), F(wire_disk_head, diff_id),
       F(wire_disk_head, canonical), F(wire_disk_head, table_xxh3), F(wire_disk_head, n_chunks),
       F(wire_disk_head, group_chunks), F(wire_disk_head, tree_len), F(wire_disk_head, tree_sha256),
       F(wire_disk_head, digests_len), F(wire_disk_head, digests_sha256));
FIELDS(wire_disk_group, F(wire_disk_group, stream_off), F(wire_disk_group, len),
       F(wire_disk_group, sha256));
FIELDS(wire_disk_image, F(wire_disk_image, begin), F(wire_disk_image, image_key),
       F(wire_disk_image, n_layers), F(wire_disk_image, reserved), F(wire_disk_image, heads_len),
       F(wire_disk_image, tree_len));

/* In the order of the documents. */
static const struct record format_records[] = {
	RECORD(disk_header),	RECORD(disk_section),	 RECORD(disk_framed),
	RECORD(disk_tree_meta), RECORD(disk_layer_meta), RECORD(disk_image_meta),
	RECORD(disk_inode),	RECORD(disk_dirent),	 RECORD(disk_owner),
	RECORD(disk_xattr_set), RECORD(disk_xattr),	 RECORD(disk_extent),
	RECORD(disk_chunk),	RECORD(disk_layer),	 RECORD(disk_layer_head),
};
static const struct record wire_records[] = {
	RECORD(wire_disk_begin),
	RECORD(wire_disk_head),
	RECORD(wire_disk_group),
	RECORD(wire_disk_image),
};

static FILE *open_source(const char *name)
{
	const char *source = getenv("IMGFS_SOURCE");
	auto_free char *path = xasprintf("%s/%s", source ? source : ".", name);
	FILE *f = fopen(path, "r");
	if (!f)
		fail_msg("%s: %s (IMGFS_SOURCE)", path, strerror(errno));
	return f;
}

/* One row of a table against its field. */
static void check_row(const struct record *r, size_t i, const char *line)
{
	size_t off, size;
	char name[40];
	if (sscanf(line, "| %zu | %zu | %39s |", &off, &size, name) != 3)
		fail_msg("%s: no row: %s", r->name, line);
	if (i >= r->n_fields)
		fail_msg("%s: a row too many: %s", r->name, line);
	const struct field *f = &r->fields[i];
	if (strcmp(f->name, name) != 0 || f->off != off || f->size != size)
		fail_msg("%s: document has %s at %zu, %zu bytes; code has %s at %zu, %zu bytes",
			 r->name, name, off, size, f->name, f->off, f->size);
}

static void check_tables(const char *name, const struct record *records, size_t n)
{
	FILE *doc = open_source(name);
	char line[1024];
	size_t table = 0, row = 0;
	bool inside = false;
	while (fgets(line, sizeof(line), doc)) {
		if (strncmp(line, "| off | size | name |", 21) == 0) {
			assert_true(table < n);
			inside = true;
			row = 0;
		} else if (inside && line[0] != '|') {
			const struct record *r = &records[table++];
			const struct field *last = &r->fields[r->n_fields - 1];
			assert_int_equal(row, r->n_fields);
			assert_int_equal(last->off + last->size, r->size);
			inside = false;
		} else if (inside && strncmp(line, "|---", 4) != 0) {
			check_row(&records[table], row++, line);
		}
	}
	fclose(doc);
	assert_int_equal(table, n);
}

static void test_tables(void **state)
{
	(void)state;
	check_tables("index/FORMAT.md", format_records, ARRAY_LEN(format_records));
	check_tables("index/WIRE.md", wire_records, ARRAY_LEN(wire_records));
}

/* The numbers of the document are 1, 2, 3 ... and each stands in a verifier. */
static void test_invariants(void **state)
{
	(void)state;
	static const char *const files[] = {"index/verify_container.c", "index/verify_xattrs.c",
					    "index/verify_tree.c", "index/verify_data.c",
					    "index/index.c"};
	auto_buf struct buf code = {0};
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		FILE *f = open_source(files[i]);
		char block[4096];
		for (size_t n; (n = fread(block, 1, sizeof(block), f)) > 0;)
			assert_int_equal(buf_append(&code, block, n), 0);
		fclose(f);
	}
	assert_int_equal(buf_append(&code, "", 1), 0);
	FILE *doc = open_source("index/FORMAT.md");
	char line[1024], number[16], text[16];
	unsigned next = 1;
	while (fgets(line, sizeof(line), doc)) {
		unsigned n;
		if (sscanf(line, "- **I%u**", &n) != 1)
			continue;
		assert_int_equal(n, next++);
		snprintf(number, sizeof(number), "\"%02u\"", n);
		snprintf(text, sizeof(text), "I%02u:", n);
		if (!strstr((char *)code.p, number) && !strstr((char *)code.p, text))
			fail_msg("I%02u is checked nowhere", n);
	}
	fclose(doc);
	assert_int_equal(next, 39);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_tables),
					   cmocka_unit_test(test_invariants)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
