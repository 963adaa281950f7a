/*
 * Index files. They are proved by index_open whenever they are opened; one that lies is moved aside
 * under the name index.rotten, so that it can be looked at, and counts as absent.
 */
#include "fetch/store_priv.h"

#include "fetch/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define INDEX_FILE "index"

static const char *index_dir(enum index_kind kind, const struct digest *name,
			     char buf[STORE_PATH_MAX])
{
	BUG_ON(!name->alg);
	return kind == INDEX_LAYER ? store_layer_dir(name, buf) : store_image_dir(name, buf);
}

static char *index_file_path(struct store *s, const char *dir)
{
	return xasprintf("%s/v1/%s/" INDEX_FILE, s->dir, dir);
}

char *store_index_path(struct store *s, enum index_kind kind, const struct digest *name)
{
	char dir[STORE_PATH_MAX];
	return index_file_path(s, index_dir(kind, name, dir));
}

/* index_open goes by path; the way there is checked first, as for every other file. */
static err_t check_file(struct store *s, const char *dir)
{
	auto_fd int at = store_walk(s, dir, false);
	if (at < 0)
		return -ENOENT;
	auto_fd int fd = store_open_file(at, INDEX_FILE, O_RDONLY);
	return fd < 0 ? -ENOENT : 0;
}

bool store_index_there(struct store *s, enum index_kind kind, const struct digest *name)
{
	char dir[STORE_PATH_MAX];
	return check_file(s, index_dir(kind, name, dir)) == 0;
}

static void set_aside(struct store *s, const char *dir, const char *why)
{
	auto_fd int at = store_walk(s, dir, false);
	if (at < 0)
		return;
	log_warn("store.rotten",
		 "store=%s file=%s/" INDEX_FILE
		 " reason=\"%s\" next=\"moved to index.rotten, will be built again\"",
		 s->dir, dir, why);
	if (renameat(at, INDEX_FILE, at, INDEX_FILE ".rotten") < 0)
		unlinkat(at, INDEX_FILE, 0);
}

static bool names_match(const struct index *ix, enum index_kind kind, const struct digest *name)
{
	const struct index_info *info = index_info(ix);
	if (info->kind != kind)
		return false;
	return digest_equal(kind == INDEX_LAYER ? &info->blob_digest : &info->image_key, name);
}

/* The index of a directory, proved; @name NULL: of any image. */
static err_t get(struct store *s, const char *dir, enum index_kind kind, const struct digest *name,
		 struct index **out)
{
	err_t err = check_file(s, dir);
	if (err)
		return err;
	struct diag d = DIAG_INIT;
	struct index *ix = NULL;
	auto_free char *path = index_file_path(s, dir);
	err = index_open(path, &ix, &d);
	if (!err && (name ? !names_match(ix, kind, name) : index_info(ix)->kind != kind)) {
		index_close(&ix);
		err = fail(&d, ERR_INTEGRITY, -EBADMSG, "it is the index of something else");
	}
	if (err == -EBADMSG)
		set_aside(s, dir, d.text);
	else if (err == -ENOTSUP)
		log_info("store.newer", "store=%s file=%s/" INDEX_FILE " reason=\"%s\"", s->dir,
			 dir, d.text);
	else if (!err)
		*out = ix;
	return err == -EBADMSG || err == -ENOTSUP ? -ENOENT : err;
}

err_t store_index_get(struct store *s, enum index_kind kind, const struct digest *name,
		      struct index **out)
{
	char dir[STORE_PATH_MAX];
	return get(s, index_dir(kind, name, dir), kind, name, out);
}

err_t store_index_put(struct store *s, enum index_kind kind, const struct digest *name,
		      struct bytes file)
{
	char dir[STORE_PATH_MAX];
	return store_publish(s, index_dir(kind, name, dir), INDEX_FILE, &file, 1);
}

err_t store_published_index_get(struct store *s, enum index_kind kind, const struct digest *digest,
				struct index **out)
{
	char dir[STORE_PATH_MAX];
	return get(s, store_published_dir(digest, dir), kind, NULL, out);
}

err_t store_published_index_put(struct store *s, const struct digest *digest, struct bytes file)
{
	char dir[STORE_PATH_MAX];
	return store_publish(s, store_published_dir(digest, dir), INDEX_FILE, &file, 1);
}

bool store_published_index_there(struct store *s, const struct digest *digest)
{
	char dir[STORE_PATH_MAX];
	return check_file(s, store_published_dir(digest, dir)) == 0;
}

char *store_published_index_path(struct store *s, const struct digest *digest)
{
	char dir[STORE_PATH_MAX];
	return index_file_path(s, store_published_dir(digest, dir));
}
