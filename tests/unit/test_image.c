/*
 * Images: from a reference to documents, layer indexes and a merged tree, with a real store and
 * layouts built here. What the store has is not asked for again; what does not fit what names it is
 * never used, nor kept.
 */
#include "tests/unit/image_build.h"

#include "fetch/log.h"

#include <pthread.h>
#include <stdatomic.h>

struct fixture {
	char *layout, *store_dir, *reference;
	struct store *store;
	struct blob layers[3]; /* the second hides nothing; the third repeats the first */
};

static int set_up(void **state)
{
	struct fixture *f = new_of(struct fixture);
	log_set_level(LOG_LEVEL_ERROR);
	f->layout = layout_new();
	f->store_dir = new_tree();
	f->reference = xasprintf("oci:%s", f->layout);
	f->layers[0] = put_layer(f->layout, "one", "first");
	f->layers[1] = put_layer(f->layout, "two", "second");
	f->layers[2] = f->layers[0];
	struct diag d = DIAG_INIT;
	assert_outcome("store", store_open(f->store_dir, &f->store, &d), 0, &d, NULL);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	store_close(&f->store);
	remove_tree(&f->layout);
	remove_tree(&f->store_dir);
	free(f->reference);
	free(f);
	return 0;
}

static struct image *open_with(struct fixture *f, const char *platform, err_t err, const char *part)
{
	struct image_options options = {.platform = platform, .index_threads = 3};
	struct image *image = NULL;
	struct diag d = DIAG_INIT;
	assert_outcome("image_open", image_open(f->store, f->reference, &options, &image, &d), err,
		       &d, part);
	assert_true(err ? !image : !!image);
	return image;
}

static struct image *open_prepared(struct fixture *f)
{
	struct image *image = open_with(f, NULL, 0, NULL);
	struct diag d = DIAG_INIT;
	assert_outcome("image_prepare", image_prepare(image, &d), 0, &d, NULL);
	return image;
}

static void assert_prepare_fails(struct fixture *f, err_t err, const char *part)
{
	struct image *image = open_with(f, NULL, 0, NULL);
	struct diag d = DIAG_INIT;
	assert_outcome("image_prepare", image_prepare(image, &d), err, &d, part);
	assert_null(image->tree);
	assert_null(image->layers);
	image_close(&image);
}

static void assert_names(const struct image *image, const char *const *names)
{
	uint32_t n = 0, row;
	for (; names[n]; n++)
		assert_int_equal(index_lookup(image->tree, 0, BYTES_STR(names[n]), &row), 0);
	assert_int_equal(index_dir_count(image->tree, 0), n);
}
#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_NAMES   ((const char *const[]){NULL})

static void name_layers(struct fixture *f, size_t n, const struct image_lies *lies)
{
	struct blob manifest = put_image(f->layout, f->layers, n, lies);
	name_image(f->layout, &manifest, OCI_MANIFEST);
}

static void from_layout_to_tree(void **state)
{
	struct fixture *f = *state;
	name_layers(f, 2, NULL);
	struct image *image = open_prepared(f);
	assert_int_equal(image->manifest.n_layers, 2);
	assert_true(digest_equal(&image->digest, &image->top_digest));
	assert_names(image, NAMES("one", "two"));
	assert_true(image_layer_indexed(image, 0));
	struct buf file = {0};
	assert_int_equal(image_layer_rebuild(image, 1, &file, NULL), 0);
	assert_int_equal(file.n, index_file_size(image->layers[1]));
	buf_fini(&file);
	image_close(&image);
	assert_null(image);
}

/* The second time only index.json is read. */
static void second_time_from_store(void **state)
{
	struct fixture *f = *state;
	name_layers(f, 2, NULL);
	struct image *image = open_prepared(f);
	image_close(&image);
	remove_under(f->layout, f->layers[0].path);
	auto_free char *blobs = xasprintf("%s/blobs", f->layout);
	auto_free char *moved = xasprintf("%s/gone", f->layout);
	assert_int_equal(rename(blobs, moved), 0);
	image = open_prepared(f);
	assert_names(image, NAMES("one", "two"));
	image_close(&image);
}

/* With everything in the store, a registry that does not answer is not missed. */
static void no_network_by_digest(void **state)
{
	struct fixture *f = *state;
	name_layers(f, 2, NULL);
	struct image *image = open_prepared(f);
	char digest[DIGEST_TEXT_MAX];
	struct digest named = image->digest;
	digest_text(&image->digest, digest);
	image_close(&image);
	free(f->reference);
	f->reference = xasprintf("127.0.0.1:1/app@%s", digest);
	image = open_prepared(f);
	assert_names(image, NAMES("one", "two"));
	image_close(&image);
	/* By tag it needs a record of the tag, and to be offline. */
	free(f->reference);
	f->reference = xstrdup("127.0.0.1:1/app:1");
	struct image_options options = {.offline = true};
	struct diag d = DIAG_INIT;
	assert_outcome("no record", image_open(f->store, f->reference, &options, &image, &d),
		       -ENOENT, &d, "no record");
	assert_int_equal(store_tag_put(f->store, f->reference, &named), 0);
	options.platform = "linux/amd64";
	options.registry.token_host = "token.example";
	assert_outcome("record", image_open(f->store, f->reference, &options, &image, &d), 0, &d,
		       NULL);
	assert_null(image->options.platform); /* the texts were only lent */
	assert_null(image->options.registry.token_host);
	assert_int_equal(image_prepare(image, NULL), 0);
	image_close(&image);
}

static void offline_without_layer(void **state)
{
	struct fixture *f = *state;
	name_layers(f, 1, NULL);
	struct image *image = open_with(f, NULL, 0, NULL);
	struct digest named = image->digest;
	image_close(&image);
	struct image_options options = {.offline = true};
	struct diag d = DIAG_INIT;
	assert_int_equal(store_tag_put(f->store, "127.0.0.1:1/app:1", &named), 0);
	assert_outcome("open", image_open(f->store, "127.0.0.1:1/app:1", &options, &image, &d), 0,
		       &d, NULL);
	assert_outcome("prepare", image_prepare(image, &d), -ENOENT, &d, "layer 1 of 1");
	image_close(&image);
}

static void same_layer_twice(void **state)
{
	struct fixture *f = *state;
	name_layers(f, 3, NULL);
	struct image *image = open_prepared(f);
	assert_ptr_equal(image->layers[0], image->layers[2]);
	assert_ptr_not_equal(image->layers[0], image->layers[1]);
	assert_names(image, NAMES("one", "two"));
	image_close(&image);
	struct image_lies lies = {.diff_id = SHA_A};
	name_layers(f, 3, &lies);
	assert_prepare_fails(f, -EBADMSG, "layers 1 and 3 are the same blob");
}

static void no_layers(void **state)
{
	struct fixture *f = *state;
	name_layers(f, 0, NULL);
	struct image *image = open_prepared(f);
	assert_names(image, NO_NAMES);
	image_close(&image);
}

static void empty_blob(void **state)
{
	struct fixture *f = *state;
	f->layers[1] = layout_put(f->layout, "", 0);
	name_layers(f, 2, NULL);
	struct image *image = open_prepared(f);
	assert_names(image, NAMES("one"));
	image_close(&image);
}

/* --- what lies --- */

static void assert_not_kept(struct fixture *f, const struct blob *layer)
{
	struct index *ix;
	assert_int_equal(store_index_get(f->store, INDEX_LAYER, &layer->value, &ix), -ENOENT);
	assert_true(store_blob_open(f->store, &layer->value, layer->size) < 0);
}

static void wrong_diff_id(void **state)
{
	struct fixture *f = *state;
	struct image_lies lies = {.diff_id = SHA_A};
	name_layers(f, 2, &lies);
	assert_prepare_fails(f, -EBADMSG, "layer 2 of 2");
	assert_not_kept(f, &f->layers[1]);
	/* And not when the store has an index of the blob, made for an image that is right. */
	name_layers(f, 2, NULL);
	struct image *image = open_prepared(f);
	image_close(&image);
	name_layers(f, 2, &lies);
	assert_prepare_fails(f, -EBADMSG, "layer 2 of 2");
	name_layers(f, 2, NULL);
	image = open_prepared(f);
	image_close(&image);
}

static void wrong_blob(void **state)
{
	struct fixture *f = *state;
	auto_free char *bytes = xcalloc(1, f->layers[1].size);
	name_layers(f, 2, NULL);
	write_under(f->layout, f->layers[1].path, bytes, f->layers[1].size);
	assert_prepare_fails(f, -EBADMSG, "layer 2 of 2");
	assert_not_kept(f, &f->layers[1]);
	write_under(f->layout, f->layers[1].path, bytes, 512);
	assert_prepare_fails(f, -EBADMSG, "512 bytes");
	remove_under(f->layout, f->layers[1].path);
	assert_prepare_fails(f, -ENOENT, "no blob");
}

static void wrong_config(void **state)
{
	struct fixture *f = *state;
	struct image_lies lies = {.config_size = 1};
	name_layers(f, 2, &lies);
	open_with(f, NULL, -EBADMSG, "config");
	/* The same when the store has it: the descriptor lies, wherever the bytes come from. */
	name_layers(f, 2, NULL);
	struct image *image = open_with(f, NULL, 0, NULL);
	image_close(&image);
	name_layers(f, 2, &lies);
	open_with(f, NULL, -EBADMSG, "config");
	lies = (struct image_lies){.more = ",'manifests':[]"};
	name_layers(f, 2, &lies);
	open_with(f, NULL, -EBADMSG, "mixes");
}

static void wrong_index_entry(void **state)
{
	struct fixture *f = *state;
	struct blob image = put_image(f->layout, f->layers, 1, NULL);
	struct blob index = put_image_index(f->layout, &image, OCI_INDEX, "");
	name_image(f->layout, &index, OCI_INDEX);
	open_with(f, NULL, -EBADMSG, "media type");
	image.size++;
	index = put_image_index(f->layout, &image, OCI_MANIFEST, "");
	name_image(f->layout, &index, OCI_MANIFEST);
	open_with(f, NULL, -EBADMSG, "fields of an image index");
	name_image(f->layout, &index, OCI_INDEX);
	open_with(f, NULL, -EBADMSG, "its descriptor says");
}

/* --- platforms --- */

static void nested_indexes(void **state)
{
	struct fixture *f = *state;
	struct blob at = put_image(f->layout, f->layers, 2, NULL), image_blob = at;
	const char *type = OCI_MANIFEST;
	for (int depth = 1; depth <= 5; depth++) {
		at = put_image_index(f->layout, &at, type, "");
		type = OCI_INDEX;
		name_image(f->layout, &at, OCI_INDEX);
		struct image *image = open_with(f, NULL, depth <= 4 ? 0 : -EBADMSG,
						depth <= 4 ? NULL : "nested deeper than 4");
		if (!image)
			continue;
		assert_true(digest_equal(&image->digest, &image_blob.value));
		assert_true(digest_equal(&image->top_digest, &at.value));
		image_close(&image);
	}
}

#define FOR_S390X ",'platform':{'os':'linux','architecture':'s390x'}"

static void platforms(void **state)
{
	struct fixture *f = *state;
	struct image_lies s390x = {.arch = "s390x"}, mips = {.arch = "mips"};
	name_layers(f, 1, &s390x);
	/* No index: the config is all there is to compare with. */
	struct image *image = open_with(f, NULL, 0, NULL);
	image_close(&image);
	image = open_with(f, "linux/s390x", 0, NULL);
	image_close(&image);
	open_with(f, "linux/riscv64", -ENOENT, "linux/s390x, not for linux/riscv64");
	open_with(f, "riscv64", -EINVAL, "OS/ARCH");
	/* An index that names the platform is believed before the config. */
	struct blob manifest = put_image(f->layout, f->layers, 1, &mips);
	struct blob index = put_image_index(f->layout, &manifest, OCI_MANIFEST, FOR_S390X);
	name_image(f->layout, &index, OCI_INDEX);
	image = open_with(f, "linux/s390x", 0, NULL);
	image_close(&image);
	open_with(f, "linux/riscv64", -ENOENT, "there is: linux/s390x");
	/* One that does not name it is not. */
	index = put_image_index(f->layout, &manifest, OCI_MANIFEST, "");
	name_image(f->layout, &index, OCI_INDEX);
	open_with(f, "linux/s390x", -ENOENT, "linux/mips");
	struct image_lies windows = {.os = "windows"};
	name_layers(f, 1, &windows);
	open_with(f, NULL, -ENOTSUP, "Windows");
}

/* --- a store that can not keep anything --- */

static void store_without_room(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"layers", "images", "documents", "tags"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_free char *path = xasprintf("%s/v1/%s", f->store_dir, names[i]);
		auto_free char *name = xasprintf("v1/%s", names[i]);
		nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
		write_under(f->store_dir, name, "", 0);
	}
	name_layers(f, 3, NULL);
	struct image *image = open_prepared(f);
	assert_names(image, NAMES("one", "two"));
	assert_non_null(image->tree_file.p);
	assert_false(image_layer_indexed(image, 0));
	image_close(&image);
}

/* --- the first error ends all --- */

/* A source whose second layer hangs until it is interrupted, while the first lies. */
struct hanging {
	struct source base;
	struct source *real;
	struct digest hangs;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool interrupted, reading;
};

static struct source *real_of(struct source *s)
{
	return ((struct hanging *)s)->real;
}

static err_t hanging_open(struct source *s, const struct digest *digest, uint64_t size,
			  uint64_t off, uint64_t len, int64_t deadline_ms,
			  struct source_stream **out, struct diag *d)
{
	struct hanging *h = (struct hanging *)s;
	bool hangs = digest_equal(digest, &h->hangs);
	pthread_mutex_lock(&h->lock);
	h->reading = h->reading || hangs;
	pthread_cond_broadcast(&h->changed);
	while (hangs ? !h->interrupted : !h->reading)
		pthread_cond_wait(&h->changed, &h->lock);
	pthread_mutex_unlock(&h->lock);
	return hangs ? -ECANCELED
		     : source_open(real_of(s), digest, size, off, len, deadline_ms, out, d);
}

static void hanging_interrupt(struct source *s)
{
	struct hanging *h = (struct hanging *)s;
	pthread_mutex_lock(&h->lock);
	h->interrupted = true;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
}

static void hanging_free(struct source *s)
{
	struct hanging *h = (struct hanging *)s;
	source_free(&h->real);
	free(h);
}

static const struct source_ops hanging_ops = {
	.open = hanging_open, .interrupt = hanging_interrupt, .free = hanging_free};

static void first_error_ends_all(void **state)
{
	struct fixture *f = *state;
	auto_free char *bytes = xcalloc(1, f->layers[0].size);
	name_layers(f, 2, NULL);
	write_under(f->layout, f->layers[0].path, bytes, f->layers[0].size);
	struct image *image = open_with(f, NULL, 0, NULL);
	struct hanging *h = new_of(struct hanging);
	h->base.ops = &hanging_ops;
	h->real = image->source;
	h->hangs = f->layers[1].value;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->changed, NULL);
	image->source = &h->base;
	struct diag d = DIAG_INIT;
	assert_outcome("image_prepare", image_prepare(image, &d), -EBADMSG, &d, "layer 1 of 2");
	assert_int_equal(d.cls, ERR_INTEGRITY);
	assert_true(h->interrupted);
	image_close(&image);
}

/* More layers than threads, and all of them in the tree. */
static void many_layers(void **state)
{
	enum { N = 60 };
	struct fixture *f = *state;
	struct blob layers[N];
	for (size_t i = 0; i < N; i++) {
		char name[16];
		snprintf(name, sizeof(name), "f%zu", i);
		layers[i] = put_layer(f->layout, name, name);
	}
	struct blob manifest = put_image(f->layout, layers, N, NULL);
	name_image(f->layout, &manifest, OCI_MANIFEST);
	struct image *image = open_prepared(f);
	assert_int_equal(index_dir_count(image->tree, 0), N);
	for (size_t i = 0; i < N; i++)
		assert_true(
			digest_equal(&index_info(image->layers[i])->blob_digest, &layers[i].value));
	image_close(&image);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(from_layout_to_tree),
		TEST(second_time_from_store),
		TEST(no_network_by_digest),
		TEST(offline_without_layer),
		TEST(same_layer_twice),
		TEST(no_layers),
		TEST(empty_blob),
		TEST(wrong_diff_id),
		TEST(wrong_blob),
		TEST(wrong_config),
		TEST(wrong_index_entry),
		TEST(nested_indexes),
		TEST(platforms),
		TEST(store_without_room),
		TEST(first_error_ends_all),
		TEST(many_layers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
