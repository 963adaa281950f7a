/*
 * What one layer's tar becomes (index/FORMAT.md, "Layers as trees"): a case a rule, a tar in words
 * and the tree it gives.
 */
#include "tests/unit/layer_text.h"

struct layer_case {
	const char *rule, *tar, *tree, *error;
};

static const struct layer_case cases[] = {
	{"plain", "d a\nf a/b xx\ns c a/b\nc n 1 3", "a=d755 a/b=f2 c=sa/b n=c1:3", NULL},
	{"names are cleaned", "f ./a//b/../c x\nf /../../e xx\nd f/", "a=d755? a/c=f1 e=f2 f=d755",
	 NULL},
	{"missing parents are implied", "f a/b/c x", "a=d755? a/b=d755? a/b/c=f1", NULL},
	{"a later header names an implied directory", "f a/b x\nd%700 a", "a=d700 a/b=f1", NULL},
	{"root takes attributes", "d%711 ./\nf a x", "a=f1", NULL},
	{"root as a symlink", "s ./ /etc", NULL, "root"},
	{"root as a file", "f . x", NULL, "root"},
	{"whiteout", "w a/.wh.b", "a=d755? a/b=w", NULL},
	{"whiteout before its own name", "w .wh.a\nf a x", "a=f1", NULL},
	{"whiteout after its own name", "f a x\nw .wh.a", "a=f1", NULL},
	{"whiteout before a directory", "w .wh.a\nd a\nf a/b x", "a=d755! a/b=f1", NULL},
	{"whiteout after a directory", "d a\nf a/b x\nw .wh.a", "a=d755! a/b=f1", NULL},
	{"whiteout and entries below, no header", "w .wh.a\nf a/b x", "a=d755!? a/b=f1", NULL},
	{"opaque before", "w a/.wh..wh..opq\nf a/b x", "a=d755!? a/b=f1", NULL},
	{"opaque after", "d a\nf a/b x\nw a/.wh..wh..opq", "a=d755! a/b=f1", NULL},
	{"opaque root", "f b x\nw .wh..wh..opq", "b=f1", NULL},
	{"whiteout typed as a directory", "d .wh.a", "a=w", NULL},
	{"below a whiteout's own name", "d .wh.a\nf .wh.a/b x", "a=w", NULL},
	{"through a symlink to a whiteout's name", "s s .wh.x\nf s/b x", "s=s.wh.x", NULL},
	{"AUFS leftovers", "d .wh..wh.plnk\nf .wh..wh.aufs x\nf a x", "a=f1", NULL},
	{"whiteout of nothing", "w .wh.", NULL, "whiteout"},
	{"whiteout of dot", "w .wh..", NULL, "whiteout"},
	{"whiteout of dot dot", "w d/.wh...", NULL, "whiteout"},
	{"hard link", "f a x\nh b a\nh c b", "a=f1*3 b=f1*3 c=f1*3", NULL},
	{"hard link keeps the earlier body", "f a x\nh b a\nf a yyy", "a=f3 b=f1", NULL},
	{"hard link over its own target", "f a x\nh a a", "a=f1", NULL},
	{"hard link to a symlink", "s a t\nh b a", "a=st*2 b=st*2", NULL},
	{"hard link through a symlink", "d d\nf d/f x\ns e d\nh g e/f",
	 "d=d755 d/f=f1*2 e=sd g=f1*2", NULL},
	{"hard link with an absolute target", "f a x\nh b /a", "a=f1*2 b=f1*2", NULL},
	{"hard link to a lower layer", "h b usr/a", "b=l/usr/a", NULL},
	{"hard link to a lower layer through a symlink", "d d\ns d/e ../x\nh b d/e/f",
	 "b=l/x/f d=d755 d/e=s../x", NULL},
	{"hard link to a later entry", "h b a\nf a x", "a=f1 b=l/a", NULL},
	{"hard link to what the layer hides", "w .wh.a\nh b a", "a=w b=l/a", NULL},
	{"hard link to a directory", "d a\nh b a", NULL, "directory"},
	{"hard link to the root", "h b ./", NULL, "root"},
	{"below a symlink", "d real\ns link real\nf link/x y", "link=sreal real=d755 real/x=f1",
	 NULL},
	{"below an absolute symlink", "d a\ns a/l /b\nf a/l/x y", "a=d755 a/l=s/b b=d755? b/x=f1",
	 NULL},
	{"below a symlink above the root", "s l ../../../b\nf l/x y",
	 "b=d755? b/x=f1 l=s../../../b", NULL},
	{"below a symlink loop", "s a b\ns b a\nf a/x y", NULL, "symbolic links"},
	{"below a file", "f a x\nf a/b yy", "a=d755? a/b=f2", NULL},
	{"directory over file", "f a x\nd a", "a=d755", NULL},
	{"file over directory", "d a\nf a/b x\nd a/c\nf a/c/d x\nf a yy", "a=f2", NULL},
	{"directory over directory", "d a\nf a/b x\nd%700 a", "a=d700 a/b=f1", NULL},
	{"last file wins", "f a x\nf a yyy", "a=f3", NULL},
	{"setuid and sticky", "f%4755 a x\nd%1777 t", "a=f1 t=d1777", NULL},
	{"0:0 device is kept in a layer", "c a 0 0", "a=c0:0", NULL},
	{"empty", "", "", NULL},
};

static void test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct layer_case *c = &cases[i];
		auto_buf struct buf file = {0};
		struct diag d = DIAG_INIT;
		struct index *ix = NULL;
		err_t err = index_of_text(c->tar, &file, &d);
		if (c->error) {
			if (err != -EBADMSG || d.cls != ERR_INTEGRITY || !strstr(d.text, c->error))
				fail_msg("%s: %d '%s'", c->rule, err, d.text);
			continue;
		}
		if (err || index_open_bytes(buf_bytes(&file), &ix, &d))
			fail_msg("%s: %s", c->rule, d.text);
		auto_free char *text = tree_text(ix);
		if (strcmp(text, c->tree) != 0)
			fail_msg("%s: got '%s', want '%s'", c->rule, text, c->tree);
		index_close(&ix);
	}
}

/* Digests of the blob and of the stream are compared, and nothing is given away when one differs.
 */
static void test_digests(void **state)
{
	(void)state;
	auto_buf struct buf tar = {0}, file = {0};
	tar_of_text("f a x", &tar);
	struct digest right, wrong;
	digest_of(DIGEST_SHA256, tar.p, tar.n, &right);
	digest_of(DIGEST_SHA256, "", 0, &wrong);
	const struct {
		const struct digest *blob, *diff;
		uint64_t size;
		const char *error;
	} tries[] = {
		{&wrong, &right, tar.n, "digest of the blob"},
		{&right, &wrong, tar.n, "DiffID"},
		{&right, &right, tar.n + 1, "size of the blob"},
		{&right, &right, tar.n, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		struct layer_build_options options = {0};
		struct layer_build *b = layer_build_new(&options);
		struct diag d = DIAG_INIT;
		assert_int_equal(layer_build_feed(b, tar.p, tar.n, &d), 0);
		err_t err = layer_build_finish(b, tries[i].blob, tries[i].size, tries[i].diff,
					       &file, &d);
		assert_int_equal(err, tries[i].error ? -EBADMSG : 0);
		assert_true(tries[i].error ? strstr(d.text, tries[i].error) && file.n == 0
					   : file.n > 0);
		layer_build_free(&b);
	}
}

/* The same layer gives the same bytes, however it is fed. */
static void test_deterministic(void **state)
{
	(void)state;
	auto_buf struct buf tar = {0}, whole = {0}, pieces = {0};
	tar_of_text("d a\nf a/x 123\nf a/y 456\ns a/z y\nh q a/y\nw a/.wh.old\nc n 1 5", &tar);
	struct digest digest;
	digest_of(DIGEST_SHA256, tar.p, tar.n, &digest);
	assert_int_equal(index_of_tar(&tar, &whole, NULL), 0);
	struct layer_build_options options = {0};
	struct layer_build *b = layer_build_new(&options);
	for (size_t i = 0; i < tar.n; i++)
		assert_int_equal(layer_build_feed(b, tar.p + i, 1, NULL), 0);
	assert_int_equal(layer_build_finish(b, &digest, tar.n, &digest, &pieces, NULL), 0);
	layer_build_free(&b);
	assert_int_equal(whole.n, pieces.n);
	assert_memory_equal(whole.p, pieces.p, whole.n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_deterministic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
