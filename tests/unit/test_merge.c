/*
 * Stacked layers (index/FORMAT.md, "Merging"): a case a rule, layers in words bottom first, and the
 * tree that comes out.
 */
#include "tests/unit/layer_text.h"

#define LAYERS 4

struct merge_case {
	const char *rule;
	const char *layers[LAYERS];
	const char *tree, *error;
};

static const struct merge_case cases[] = {
	{"upper file replaces", {"f a x", "f a yy"}, "a=f2", NULL},
	{"both stay", {"f a x", "f b yy"}, "a=f1 b=f2", NULL},
	{"directories merge, attributes of the upper",
	 {"d a\nf a/x 1", "d%700 a\nf a/y 22"},
	 "a=d700 a/x=f1 a/y=f2",
	 NULL},
	{"implied directories keep the lower's",
	 {"d%711 a\nf a/x 1", "f a/y 22"},
	 "a=d711 a/x=f1 a/y=f2",
	 NULL},
	{"implied without a lower", {"f b x", "f a/y 22"}, "a=d755 a/y=f2 b=f1", NULL},
	{"whiteout", {"f a x\nf b x", "w .wh.a"}, "b=f1", NULL},
	{"whiteout of a directory", {"d a\nd a/b\nf a/b/c x\nf d x", "w .wh.a"}, "d=f1", NULL},
	{"whiteout of nothing", {"f a x", "w .wh.q\nw p/.wh.z"}, "a=f1 p=d755", NULL},
	{"whiteout and the same name", {"f a x", "w .wh.a\nf a yy"}, "a=f2", NULL},
	{"the same name and its whiteout", {"f a x", "f a yy\nw .wh.a"}, "a=f2", NULL},
	{"whiteout and a directory of that name",
	 {"d a\nf a/x 1", "w .wh.a\nd a\nf a/y 22"},
	 "a=d755 a/y=f2",
	 NULL},
	{"opaque first", {"d a\nf a/x 1", "w a/.wh..wh..opq\nf a/y 22"}, "a=d755 a/y=f2", NULL},
	{"opaque last", {"d a\nf a/x 1", "f a/y 22\nw a/.wh..wh..opq"}, "a=d755 a/y=f2", NULL},
	{"opaque spares lower siblings",
	 {"d a\nf a/x 1\nf b x", "w a/.wh..wh..opq"},
	 "a=d755 b=f1",
	 NULL},
	{"opaque on a new directory", {"f b x", "d a\nw a/.wh..wh..opq"}, "a=d755 b=f1", NULL},
	{"opaque root", {"f a x\nd b", "w .wh..wh..opq\nf c x"}, "c=f1", NULL},
	{"whiteout, then back again", {"f a x", "w .wh.a", "f a yyy"}, "a=f3", NULL},
	{"hidden, not shown again by a directory",
	 {"d a\nf a/x 1", "w .wh.a", "f a/y 22"},
	 "a=d755 a/y=f2",
	 NULL},
	{"file over directory", {"d a\nf a/b x", "f a yy"}, "a=f2", NULL},
	{"directory over file", {"f a yy", "d a\nf a/b x"}, "a=d755 a/b=f1", NULL},
	{"symlink over directory", {"d a\nf a/b x", "s a /q"}, "a=s/q", NULL},
	{"file, directory, file", {"f a x", "d a\nf a/b x", "f a yyy"}, "a=f3", NULL},
	{"below a lower symlink: a real directory",
	 {"d r\nf r/x 1\ns l r", "f l/y 22"},
	 "l=d755 l/y=f2 r=d755 r/x=f1",
	 NULL},
	{"that directory looks like the symlink's target",
	 {"d%700 r\ns l r", "f l/y 22"},
	 "l=d700 l/y=f2 r=d700",
	 NULL},
	{"below a symlink of the same layer",
	 {"d r\nf r/x 1", "s l r\nf l/y 22"},
	 "l=sr r=d755 r/x=f1 r/y=f2",
	 NULL},
	{"hard links within a layer", {"f a x\nh b a"}, "a=f1*2 b=f1*2", NULL},
	{"a link to a lower layer", {"f a x", "h b a"}, "a=f1*2 b=f1*2", NULL},
	{"a chain over layers", {"f a x", "h b a", "h c b"}, "a=f1*3 b=f1*3 c=f1*3", NULL},
	{"a link whose target is replaced above", {"f a x\nh b a", "f a yyy"}, "a=f3 b=f1", NULL},
	{"a link whose target is hidden above", {"f a x\nh b a", "w .wh.a"}, "b=f1", NULL},
	{"a rename across layers", {"f a x", "h b a\nw .wh.a"}, "b=f1", NULL},
	{"a link through a lower symlink",
	 {"d d\nf d/f x\ns l d", "h b l/f"},
	 "b=f1*2 d=d755 d/f=f1*2 l=sd",
	 NULL},
	{"a link to nothing", {"f a x", "h b q"}, NULL, "in no layer below"},
	{"a link to a name that is gone", {"f a x", "w .wh.a", "h b a"}, NULL, "in no layer below"},
	{"a link to a lower directory", {"d a", "h b a"}, NULL, "a directory"},
	{"0:0 device hides and is hidden", {"f a x\nf b x", "c a 0 0"}, "b=f1", NULL},
	{"other devices are shown", {"c a 1 3", "c b 0 1"}, "a=c1:3 b=c0:1", NULL},
	{"empty layers", {"", "f a x", ""}, "a=f1", NULL},
	{"no entry at all", {""}, "", NULL},
	{"attributes of a directory hidden since",
	 {"d%700 a\nd%711 a/b", "w a/.wh..wh..opq", "f a/b/c x"},
	 "a=d700 a/b=d711 a/b/c=f1",
	 NULL},
	{"a whiteout ends that search",
	 {"d a\nd%711 a/b", "w a/.wh.b", "f a/b/c x"},
	 "a=d755 a/b=d755 a/b/c=f1",
	 NULL},
};

struct stack {
	struct buf files[LAYERS], merged;
	struct index *layers[LAYERS];
	size_t n;
	struct diag d;
};

static err_t stack_merge(struct stack *s, const char *const texts[LAYERS])
{
	err_t err = 0;
	for (s->n = 0; s->n < LAYERS && texts[s->n] && !err; s->n++) {
		err = index_of_text(texts[s->n], &s->files[s->n], &s->d);
		if (!err)
			err = index_open_bytes(buf_bytes(&s->files[s->n]), &s->layers[s->n], &s->d);
	}
	return err ? err
		   : merge_layers((const struct index *const *)s->layers, s->n, &s->merged, &s->d);
}

static void stack_fini(struct stack *s)
{
	for (size_t i = 0; i < LAYERS; i++) {
		index_close(&s->layers[i]);
		buf_fini(&s->files[i]);
	}
	buf_fini(&s->merged);
}

static void check_case(const struct merge_case *c)
{
	struct stack s = {.d = DIAG_INIT};
	struct index *ix = NULL;
	err_t err = stack_merge(&s, c->layers);
	if (c->error) {
		if (err != -EBADMSG || !strstr(s.d.text, c->error))
			fail_msg("%s: %d '%s'", c->rule, err, s.d.text);
	} else {
		if (err || index_open_bytes(buf_bytes(&s.merged), &ix, &s.d))
			fail_msg("%s: %s", c->rule, s.d.text);
		auto_free char *text = tree_text(ix);
		if (strcmp(text, c->tree) != 0)
			fail_msg("%s: got '%s', want '%s'", c->rule, text, c->tree);
		index_close(&ix);
	}
	stack_fini(&s);
}

static void test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check_case(&cases[i]);
}

/* Where a file's bytes lie is the layer that brought it. */
static void test_places(void **state)
{
	(void)state;
	const char *const texts[LAYERS] = {"f a 1\nf b 2", "f b 33"};
	struct stack s = {.d = DIAG_INIT};
	struct index *ix;
	assert_int_equal(stack_merge(&s, texts), 0);
	assert_int_equal(index_open_bytes(buf_bytes(&s.merged), &ix, &s.d), 0);
	uint32_t row;
	struct extent x;
	assert_int_equal(index_path(ix, BYTES_STR("/a"), true, &row), 0);
	index_extent(ix, row, 0, &x);
	assert_true(!x.hole && x.layer == 0 && x.stream_off == 512 && x.len == 1);
	assert_int_equal(index_path(ix, BYTES_STR("b"), true, &row), 0);
	index_extent(ix, row, 1, &x);
	assert_true(!x.hole && x.layer == 1 && x.stream_off == 513 && x.len == 1);
	uint8_t want[SHA256_LEN];
	sha256_of("33", 2, want);
	assert_memory_equal(index_file_digest(ix, row), want, SHA256_LEN);
	index_close(&ix);
	stack_fini(&s);
}

/* Paths are resolved inside the root, as a process chrooted there would. */
static void test_paths(void **state)
{
	(void)state;
	const char *const texts[LAYERS] = {
		"d a\nd a/b\nf a/b/f x\ns a/up ..\ns abs /a/b\ns l1 l2\ns l2 l1\ns dangling q"};
	struct stack s = {.d = DIAG_INIT};
	struct index *ix;
	assert_int_equal(stack_merge(&s, texts), 0);
	assert_int_equal(index_open_bytes(buf_bytes(&s.merged), &ix, &s.d), 0);
	const struct {
		const char *path;
		bool follow;
		err_t err;
		const char *same_as;
	} tries[] = {
		{"/a/b/f", true, 0, "a/b/f"},
		{"a//./b/../b/f", true, 0, "a/b/f"},
		{"/abs/f", true, 0, "a/b/f"},
		{"/a/up/abs/f", true, 0, "a/b/f"},
		{"../../a/b/f", true, 0, "a/b/f"},
		{"/l1", true, -ELOOP, NULL},
		{"/l1", false, 0, "l1"},
		{"/dangling", true, -ENOENT, NULL},
		{"/a/b/f/g", true, -ENOTDIR, NULL},
		{"/a/b/f/", true, -ENOTDIR, NULL},
		{"/a/b/", true, 0, "a/b"},
		{"/none", true, -ENOENT, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		uint32_t row = 0, want = 0;
		err_t err = index_path(ix, BYTES_STR(tries[i].path), tries[i].follow, &row);
		if (err != tries[i].err)
			fail_msg("%s: %d", tries[i].path, err);
		if (!err) {
			assert_int_equal(index_path(ix, BYTES_STR(tries[i].same_as), false, &want),
					 0);
			assert_int_equal(row, want);
		}
	}
	index_close(&ix);
	stack_fini(&s);
}

/* Every name of a large directory is found, its neighbours are not, and listing gives each once. */
static void test_large_directory(void **state)
{
	(void)state;
	const unsigned n = 3000;
	auto_buf struct buf tar = {0}, file = {0};
	char name[32];
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "d/n%u", i);
		put_file(&tar, name, "");
	}
	put_end(&tar);
	struct index *ix;
	assert_int_equal(index_of_tar(&tar, &file, NULL), 0);
	assert_int_equal(index_open_bytes(buf_bytes(&file), &ix, NULL), 0);
	uint32_t dir, row;
	assert_int_equal(index_lookup(ix, 0, BYTES_STR("d"), &dir), 0);
	assert_int_equal(index_dir_count(ix, dir), n);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(index_lookup(ix, dir, BYTES_STR(name), &row), 0);
		snprintf(name, sizeof(name), "m%u", i);
		assert_int_equal(index_lookup(ix, dir, BYTES_STR(name), &row), -ENOENT);
	}
	assert_int_equal(index_lookup(ix, row, BYTES_STR("x"), &dir), -ENOTDIR);
	index_close(&ix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_large_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
