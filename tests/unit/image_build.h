/*
 * image_build - small images in OCI layouts, for tests of the way from a reference to a tree
 */
#ifndef IMGFS_TESTS_IMAGE_BUILD_H
#define IMGFS_TESTS_IMAGE_BUILD_H

#include "fetch/image.h"
#include "tests/unit/layout_build.h"
#include "tests/unit/tar_build.h"

/* A plain tar with one file; so its DiffID is its digest. */
static inline struct blob put_layer(const char *dir, const char *name, const char *content)
{
	auto_buf struct buf tar = {0};
	put_file(&tar, name, content);
	put_end(&tar);
	return layout_put(dir, tar.p, tar.n);
}

/* What is wrong with an image, if anything: each text replaces the right one. */
struct image_lies {
	const char *diff_id; /* of the last layer */
	const char *os, *arch;
	long config_size; /* added to the right one */
	const char *more; /* after the last field of the manifest, with a leading comma */
};

/* One item of a JSON list; the text is taken. */
static inline void add_item(struct buf *list, char *text)
{
	if (list->n)
		put_raw(list, ",", 1);
	put_raw(list, text, strlen(text));
	free(text);
}

static inline struct blob put_config(const char *dir, const struct blob *layers, size_t n,
				     const struct image_lies *lies)
{
	struct platform host;
	auto_buf struct buf ids = {0};
	platform_host(&host);
	for (size_t i = 0; i < n; i++)
		add_item(&ids, xasprintf("'%s'", lies->diff_id && i + 1 == n ? lies->diff_id
									     : layers[i].digest));
	auto_free char *text =
		xasprintf("{'os':'%s','architecture':'%s','variant':'%s',"
			  "'rootfs':{'type':'layers','diff_ids':[%.*s]}}",
			  lies->os ? lies->os : "linux", lies->arch ? lies->arch : host.arch,
			  lies->arch ? "" : host.variant, (int)ids.n, ids.n ? (char *)ids.p : "");
	return layout_put_json(dir, text);
}

/* The manifest of an image of these layers. */
static inline struct blob put_image(const char *dir, const struct blob *layers, size_t n,
				    const struct image_lies *lies)
{
	static const struct image_lies none = {0};
	lies = lies ? lies : &none;
	struct blob config = put_config(dir, layers, n, lies);
	auto_buf struct buf list = {0};
	for (size_t i = 0; i < n; i++)
		add_item(&list, descriptor_of(&layers[i], OCI_LAYER, ""));
	config.size += (size_t)lies->config_size;
	auto_free char *desc = descriptor_of(&config, OCI_CONFIG, "");
	auto_free char *text =
		xasprintf("{'schemaVersion':2,'config':%s,'layers':[%.*s]%s}", desc, (int)list.n,
			  list.n ? (char *)list.p : "", lies->more ? lies->more : "");
	return layout_put_json(dir, text);
}

/* An image index of one entry. */
static inline struct blob put_image_index(const char *dir, const struct blob *entry,
					  const char *type, const char *more)
{
	auto_free char *desc = descriptor_of(entry, type, more);
	auto_free char *text = xasprintf("{'schemaVersion':2,'manifests':[%s]}", desc);
	return layout_put_json(dir, text);
}

/* Make one document what the layout names. */
static inline void name_image(const char *dir, const struct blob *b, const char *type)
{
	auto_free char *desc = descriptor_of(b, type, "");
	auto_free char *text = xasprintf("{'schemaVersion':2,'manifests':[%s]}", desc);
	write_json(dir, "index.json", text);
}

static inline void remove_under(const char *dir, const char *name)
{
	auto_free char *path = xasprintf("%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
}

static inline bool exists_under(const char *dir, const char *name)
{
	auto_free char *path = xasprintf("%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

#endif
