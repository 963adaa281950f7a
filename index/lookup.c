/*
 * Finding names. The entries of a directory are ordered by hash, and hashes are spread evenly, so
 * the place of a name is guessed from its hash and the guess is off by a few entries; bisection
 * bounds the search for the unlucky ones.
 */
#include "index/index_priv.h"

#include "index/layer_tree.h"

#include <sys/stat.h>

uint32_t index_dir_count(const struct index *ix, uint32_t dir)
{
	BUG_ON(!row_is_dir(ix, dir));
	return (uint32_t)(get_le64(ix->inodes[dir].ref) >> 32);
}

static const struct disk_dirent *dir_first(const struct index *ix, uint32_t dir)
{
	return ix->dirents + (get_le64(ix->inodes[dir].ref) & UINT32_MAX);
}

void index_dir_entry(const struct index *ix, uint32_t dir, uint32_t pos, struct dir_entry *out)
{
	BUG_ON(pos >= index_dir_count(ix, dir));
	const struct disk_dirent *e = dir_first(ix, dir) + pos;
	*out = (struct dir_entry){dirent_name(ix, e), get_le32(e->row), e->type};
}

/* First entry whose hash is not below the wanted one. */
static uint32_t lower_bound(const struct disk_dirent *entries, uint32_t count, uint32_t hash)
{
	uint32_t low = 0, high = count;
	uint32_t guess = (uint32_t)(((uint64_t)hash * count) >> 32), step = 4;
	/* Gallop outwards from the guess, then bisect what is left. */
	if (get_le32(entries[guess].hash) < hash) {
		low = guess + 1;
		for (; guess + step < count && get_le32(entries[guess + step].hash) < hash;
		     step *= 2)
			low = guess + step + 1;
		high = min_of(count, guess + step);
	} else {
		high = guess;
		for (; step <= guess && get_le32(entries[guess - step].hash) >= hash; step *= 2)
			high = guess - step;
		low = step <= guess ? guess - step + 1 : 0;
	}
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (get_le32(entries[mid].hash) < hash)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

err_t index_lookup(const struct index *ix, uint32_t dir, struct bytes name, uint32_t *row)
{
	BUG_ON(dir >= ix->info.n_inodes);
	if (!row_is_dir(ix, dir))
		return -ENOTDIR;
	uint32_t count = index_dir_count(ix, dir), hash = name_hash(ix->salt, name);
	if (count == 0 || name.n > INDEX_NAME_MAX)
		return -ENOENT;
	const struct disk_dirent *entries = dir_first(ix, dir);
	for (uint32_t i = lower_bound(entries, count, hash); i < count; i++) {
		if (get_le32(entries[i].hash) != hash)
			break;
		if (bytes_equal(dirent_name(ix, &entries[i]), name)) {
			*row = get_le32(entries[i].row);
			return 0;
		}
	}
	return -ENOENT;
}

/* One step of a path walk: where `name` leads from `dir`. */
static err_t path_step(const struct index *ix, uint32_t dir, struct bytes name, uint32_t *row)
{
	if (!row_is_dir(ix, dir))
		return -ENOTDIR;
	*row = dir;
	if (bytes_equal_str(name, "."))
		return 0;
	if (bytes_equal_str(name, "..")) {
		*row = get_le32(ix->inodes[dir].nlink_or_parent);
		return 0;
	}
	return index_lookup(ix, dir, name, row);
}

err_t index_path_from(const struct index *ix, uint32_t from, struct bytes path, bool follow_last,
		      uint32_t *out)
{
	auto_buf struct buf rest = {0};
	err_t err = buf_append(&rest, path.p, path.n);
	uint32_t at = from, row;
	unsigned symlinks = 0;
	size_t pos = 0;
	while (!err) {
		while (pos < rest.n && rest.p[pos] == '/')
			pos++;
		size_t start = pos;
		while (pos < rest.n && rest.p[pos] != '/')
			pos++;
		if (pos == start)
			break;
		err = path_step(ix, at, (struct bytes){rest.p + start, pos - start}, &row);
		if (err || !S_ISLNK(row_mode(ix, row)) || (pos >= rest.n && !follow_last)) {
			at = err ? at : row;
			continue;
		}
		if (++symlinks > SYMLINKS_MAX)
			return -ELOOP;
		struct bytes target = index_link_target(ix, row);
		struct buf joined = {0};
		err = buf_append(&joined, target.p, target.n);
		if (!err && pos < rest.n)
			err = buf_append(&joined, rest.p + pos, rest.n - pos);
		buf_fini(&rest);
		rest = joined;
		pos = 0;
		at = target.p[0] == '/' ? 0 : at;
	}
	/* "name/" names a directory only */
	if (!err && rest.n && rest.p[rest.n - 1] == '/' && !row_is_dir(ix, at))
		err = -ENOTDIR;
	if (!err)
		*out = at;
	return err;
}

err_t index_path(const struct index *ix, struct bytes path, bool follow_last, uint32_t *out)
{
	return index_path_from(ix, 0, path, follow_last, out);
}
