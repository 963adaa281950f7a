/*
 * profile_world - for tests of what a reader records and fetches ahead: a content_world whose image
 * has a name, profiles as texts, and what is in the store meanwhile
 */
#ifndef IMGFS_TESTS_UNIT_PROFILE_WORLD_H
#define IMGFS_TESTS_UNIT_PROFILE_WORLD_H

#include "tests/unit/content_probe.h"

#include "fetch/image_profile.h"

#define PROFILE_HEAD "imgfs-profile 1\n"
#define SMALL	     0 /* numbers of the files of a layer, 5000 bytes, */
#define MIDDLE	     1 /* 100000, */
#define BIG	     2 /* and 3000000 */

static inline struct world *profile_world(const enum world_codec *codecs, size_t n)
{
	static char host[] = "registry.test", repo[] = "app";
	struct world *w = world_new(codecs, n);
	w->image.ref = (struct ref){.kind = REF_REGISTRY, .host = host, .repo = repo};
	digest_of(DIGEST_SHA256, "the manifest", 12, &w->image.digest);
	return w;
}

static inline struct content *profile_content(struct world *w, unsigned workers)
{
	const struct content_options options = {
		.budget_s = 20, .profile = true, .workers = workers};
	return world_content_with(w, &options);
}

/* Chunks only: what a machine has that was given indexes and profile. No content may be open. */
static inline void forget_chunks(struct world *w)
{
	auto_free char *layers = xasprintf("%s/v1/layers", w->dir);
	world_remove_dir(layers);
	atomic_store(&w->script.opens, 0);
}

static inline void put_profile(struct world *w, const char *ranges)
{
	auto_free char *text = xasprintf(PROFILE_HEAD "%s", ranges);
	assert_int_equal(image_profile_put(&w->image, BYTES_STR(text)), 0);
}

static inline void assert_profile(struct world *w, const char *ranges)
{
	enum profile_origin origin;
	auto_buf struct buf text = {0};
	auto_free char *want = xasprintf(PROFILE_HEAD "%s", ranges);
	assert_int_equal(image_profile_get(&w->image, true, &text, &origin), 0);
	assert_int_equal(buf_append(&text, "", 1), 0);
	assert_string_equal((char *)text.p, want);
}

static inline void assert_no_profile(struct world *w)
{
	enum profile_origin origin;
	auto_buf struct buf text = {0};
	assert_int_equal(image_profile_get(&w->image, false, &text, &origin), -ENOENT);
}

/* Whether all chunks of a part of a file are in the store. */
static inline bool is_stored(struct world *w, unsigned layer, unsigned file, uint64_t off,
			     uint64_t n)
{
	struct extent run;
	struct chunk_store *cs;
	struct chunk row;
	bool all = true;
	index_extent(w->image.tree, world_row(w, layer, file), off, &run);
	assert_int_equal(chunk_store_open(w->store, w->tables[layer], &cs, NULL), 0);
	for (uint64_t at = run.stream_off; at < run.stream_off + n && all;
	     at = row.stream_off + row.stream_len) {
		uint32_t chunk = chunk_table_at(w->tables[layer], at);
		chunk_table_get(w->tables[layer], chunk, &row);
		all = chunk_store_has(cs, chunk);
	}
	chunk_store_close(&cs);
	return all;
}

static inline void wait_stored(struct world *w, unsigned layer, unsigned file, uint64_t off,
			       uint64_t n)
{
	int64_t until_ms = now_ms() + 20000;
	while (!is_stored(w, layer, file, off, n)) {
		assert_true(now_ms() < until_ms);
		sleep_ms(10);
	}
}

#endif
