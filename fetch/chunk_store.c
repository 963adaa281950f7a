/*
 * The chunks of one layer: a sparse file laid out like the layer's stream, and a map with one byte
 * a chunk that all processes share through mmap. The byte holds a state and a generation:
 *
 *   bits 0-1  ABSENT, STORED, or DROPPING
 *   bits 2-7  counts drops
 *
 * A put writes the data and then moves ABSENT to STORED of the generation it began with. A drop
 * moves STORED to DROPPING, punches the data out, and moves on to ABSENT of the next generation. So
 * a put that overlaps a drop does not count, whoever does either; and a reader that finds the same
 * byte before and after its pread knows that nobody punched in between. What this process has
 * verified is remembered as the map byte that it held then: a chunk that was dropped and put again
 * by somebody else is verified again. fetch/STORE.md, S5 to S9, has the argument at length.
 */
#include "fetch/store_priv.h"

#include "fetch/chunk_table.h"
#include "fetch/log.h"
#include "index/decode.h"
#include "index/le.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define LAYER_DATA "data"
#define LAYER_MAP  "map"

#define MAP_MAGIC_BYTES                                                                            \
	{                                                                                          \
		'i', 'm', 'g', 'f', 's', 'm', 'a', 'p'                                             \
	}
#define MAP_VERSION 1

struct disk_map_head {
	uint8_t magic[8];
	le32 version;
	le32 n_chunks;
	le64 stream_size;
	le64 table_xxh3; /* of the chunk table: another cut of the same layer is another map */
	uint8_t digest_alg;
	uint8_t zero[7];
	uint8_t blob_digest[DIGEST_MAX];
	uint8_t zero_too[24];
};
_Static_assert(sizeof(struct disk_map_head) == 128, "fetch/STORE.md, the map");
_Static_assert(_Alignof(struct disk_map_head) == 1, "bytes of a file");

enum {
	STATE_MASK = 3,
	ABSENT = 0,
	STORED = 1,
	DROPPING = 2,
	GENERATION = 4, /* one step of it */
};

struct chunk_store {
	/* fixed after open */
	struct store *store;
	const struct chunk_table *table;
	uint32_t n_chunks;
	char name[24]; /* for messages: the blob digest's first digits */
	int data_fd;   /* -1: nothing can be kept */
	uint8_t *mapping;
	size_t mapping_len;
	/* atomic; shared with other processes */
	_Atomic(uint8_t) *map; /* NULL: nothing can be kept */
	/* atomic; the map byte under which a chunk was verified in this process, 0: not yet */
	_Atomic(uint8_t) *verified;
	_Atomic(uint32_t) first_missing; /* for chunk_store_complete; relaxed */
};

static bool is_stored(uint8_t state)
{
	return (state & STATE_MASK) == STORED;
}

/* --- opening --- */

static void head_of(const struct chunk_table *table, struct disk_map_head *head)
{
	const struct index_info *info = chunk_table_info(table);
	*head = (struct disk_map_head){
		.magic = MAP_MAGIC_BYTES,
		.version = put_le32(MAP_VERSION),
		.n_chunks = put_le32(info->n_chunks),
		.stream_size = put_le64(info->stream_size),
		.table_xxh3 = put_le64(chunk_table_xxh3(table)),
		.digest_alg = info->blob_digest.alg,
	};
	memcpy(head->blob_digest, info->blob_digest.b, DIGEST_MAX);
}

static bool file_has_size(int fd, uint64_t size)
{
	struct stat st;
	return fstat(fd, &st) == 0 && (uint64_t)st.st_size == size;
}

/* Map files are opened by size and head; whatever does not fit exactly is not ours to use. */
static int open_map(int dir_fd, const struct disk_map_head *want)
{
	struct disk_map_head found;
	int fd = store_open_file(dir_fd, LAYER_MAP, O_RDWR);
	if (fd < 0)
		return fd;
	if (file_has_size(fd, sizeof(*want) + get_le32(want->n_chunks)) &&
	    read_at(fd, &found, sizeof(found), 0) == 0 && memcmp(&found, want, sizeof(found)) == 0)
		return fd;
	close(fd);
	return -ENOENT;
}

static int open_data(int dir_fd, uint64_t stream_size)
{
	int fd = store_open_file(dir_fd, LAYER_DATA, O_RDWR);
	if (fd < 0 || file_has_size(fd, stream_size))
		return fd;
	close(fd);
	return -ENOENT;
}

/* Where files are copied on write, each touch of the map could need room; ask for none of that.
 * Only btrfs knows the flag, and only for a file that is still empty. */
static void ask_for_no_copy_on_write(int fd)
{
	int flags = 0;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
		flags |= FS_NOCOW_FL;
		(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
}

static err_t fill_map(int fd, const struct disk_map_head *head)
{
	auto_free uint8_t *bytes = try_array(get_le32(head->n_chunks), 1, UINT32_MAX);
	if (!bytes)
		return -ENOMEM;
	err_t err = write_all(fd, head, sizeof(*head));
	/* Written out, not left as a hole: a store through the mapping must never need a new block,
	 * since lack of one would be a SIGBUS. */
	return err ? err : write_all(fd, bytes, get_le32(head->n_chunks));
}

static err_t make_data(int fd, uint64_t stream_size)
{
	return ftruncate(fd, (off_t)stream_size) < 0 ? -errno : 0;
}

static err_t publish_new(struct store *s, int dir_fd, const char *name,
			 const struct disk_map_head *head)
{
	struct temp_file t;
	err_t err = temp_file_create(s, &t);
	if (err)
		return err;
	if (strcmp(name, LAYER_MAP) == 0) {
		ask_for_no_copy_on_write(t.fd);
		err = fill_map(t.fd, head);
	} else {
		err = make_data(t.fd, get_le64(head->stream_size));
	}
	/* No fsync: sizes, the head and the first touch of each chunk find whatever is lost. */
	if (!err)
		return temp_file_publish(s, &t, dir_fd, name, false);
	temp_file_drop(s, &t);
	return err;
}

/* Both files are replaced together, the map's name being absent in between: whoever has the old
 * pair open goes on with the old pair. */
static err_t make_pair(struct store *s, int dir_fd, const struct disk_map_head *head)
{
	if (unlinkat(dir_fd, LAYER_MAP, 0) < 0 && errno != ENOENT)
		return -errno;
	err_t err = publish_new(s, dir_fd, LAYER_DATA, head);
	return err ? err : publish_new(s, dir_fd, LAYER_MAP, head);
}

static err_t open_pair(struct store *s, int dir_fd, const struct disk_map_head *head, int *map_fd,
		       int *data_fd)
{
	for (int try = 0; try < 2; try++) {
		auto_fd int map = open_map(dir_fd, head);
		auto_fd int data = open_data(dir_fd, get_le64(head->stream_size));
		if (map >= 0 && data >= 0) {
			*map_fd = map;
			*data_fd = data;
			map = data = -1;
			return 0;
		}
		if (map == -EMFILE || data == -EMFILE || map == -ENFILE || data == -ENFILE)
			return -EMFILE;
		err_t err = try == 0 ? make_pair(s, dir_fd, head) : -EIO;
		if (err)
			return err;
	}
	return -EIO;
}

static err_t map_pair(struct chunk_store *cs, int map_fd)
{
	cs->mapping_len = sizeof(struct disk_map_head) + cs->n_chunks;
	void *p = mmap(NULL, cs->mapping_len, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	cs->mapping = p;
	cs->map = (_Atomic(uint8_t) *)(cs->mapping + sizeof(struct disk_map_head));
	return 0;
}

/*
 * A process that died between the two steps of a drop left the chunk DROPPING, which nobody may
 * touch. Whoever opens the pair while nobody else has it open finishes that; to be seen, everyone
 * holds a shared lock on the data file for as long as it is open.
 */
static void finish_old_drops(struct chunk_store *cs)
{
	if (flock(cs->data_fd, LOCK_EX | LOCK_NB) == 0)
		for (uint32_t i = 0; i < cs->n_chunks; i++) {
			uint8_t state = atomic_load_explicit(&cs->map[i], memory_order_relaxed);
			if ((state & STATE_MASK) != ABSENT && (state & STATE_MASK) != STORED)
				atomic_store_explicit(&cs->map[i],
						      (uint8_t)((state & ~STATE_MASK) + GENERATION),
						      memory_order_relaxed);
		}
	(void)flock(cs->data_fd, LOCK_SH);
}

static err_t open_files(struct chunk_store *cs, const char *dir)
{
	struct disk_map_head head;
	head_of(cs->table, &head);
	/* One opener at a time: nobody may see one file of an old pair and one of a new. */
	auto_fd int dir_fd = store_walk_locked(cs->store, dir, true);
	if (dir_fd < 0)
		return dir_fd;
	auto_fd int map_fd = -1;
	err_t err = open_pair(cs->store, dir_fd, &head, &map_fd, &cs->data_fd);
	err = err ? err : map_pair(cs, map_fd);
	if (!err)
		finish_old_drops(cs);
	return err;
}

/* Chunks that a published index decoded stay apart until it is proven: the XXH3 that guards them
 * is the publisher's word (STORE.md, S14). */
static const char *chunks_dir(const struct chunk_table *table, char buf[STORE_PATH_MAX])
{
	const struct digest *form = chunk_table_form(table);
	return form ? store_published_dir(form, buf)
		    : store_layer_dir(&chunk_table_info(table)->blob_digest, buf);
}

bool chunk_store_there(struct store *s, const struct chunk_table *table)
{
	char dir[STORE_PATH_MAX];
	auto_fd int fd = store_walk(s, chunks_dir(table, dir), false);
	return fd >= 0 && faccessat(fd, LAYER_MAP, F_OK, 0) == 0;
}

err_t chunk_store_open(struct store *s, const struct chunk_table *table, struct chunk_store **out,
		       struct diag *d)
{
	const struct index_info *info = chunk_table_info(table);
	char dir[STORE_PATH_MAX], hex[DIGEST_TEXT_MAX];
	struct chunk_store *cs = new_of(struct chunk_store);
	cs->store = s;
	cs->table = table;
	cs->n_chunks = info->n_chunks;
	cs->data_fd = -1;
	memcpy(cs->name, digest_hex(&info->blob_digest, hex), 12);
	cs->verified = try_array(max_of(cs->n_chunks, 1u), 1, UINT32_MAX);
	err_t err = cs->verified ? open_files(cs, chunks_dir(table, dir)) : -ENOMEM;
	if (err == -EPERM || err == -ENOMEM) {
		chunk_store_close(&cs);
		return fail_sys(d, ERR_STORE, err, "store %s", s->dir);
	}
	if (err)
		store_note_error(s, err, dir);
	*out = cs;
	return 0;
}

bool store_map_counts(int dir_fd, uint32_t *n_chunks, uint32_t *n_stored)
{
	struct disk_map_head head;
	auto_buf struct buf states = {0};
	auto_fd int fd = store_open_file(dir_fd, LAYER_MAP, O_RDONLY);
	if (fd < 0 || read_at(fd, &head, sizeof(head), 0))
		return false;
	*n_chunks = get_le32(head.n_chunks);
	*n_stored = 0;
	if (!file_has_size(fd, sizeof(head) + *n_chunks) || buf_reserve(&states, *n_chunks) ||
	    (*n_chunks && read_at(fd, states.p, *n_chunks, sizeof(head))))
		return false;
	for (uint32_t i = 0; i < *n_chunks; i++)
		*n_stored += is_stored(states.p[i]);
	return true;
}

void chunk_store_close(struct chunk_store **csp)
{
	if (!*csp)
		return;
	struct chunk_store *cs = take(csp);
	if (cs->mapping)
		munmap(cs->mapping, cs->mapping_len);
	if (cs->data_fd >= 0)
		close(cs->data_fd);
	free((void *)cs->verified);
	free(cs);
}

/* --- reading --- */

static uint8_t state_of(const struct chunk_store *cs, uint32_t chunk)
{
	BUG_ON(chunk >= cs->n_chunks);
	return cs->map ? atomic_load_explicit(&cs->map[chunk], memory_order_acquire) : ABSENT;
}

static bool move_state(struct chunk_store *cs, uint32_t chunk, uint8_t from, uint8_t to)
{
	return atomic_compare_exchange_strong_explicit(&cs->map[chunk], &from, to,
						       memory_order_seq_cst, memory_order_acquire);
}

/* Data that turned out to be wrong: out of the map first, then off the disk. */
static void drop(struct chunk_store *cs, uint32_t chunk, const struct chunk *c, uint8_t state,
		 const char *why)
{
	uint8_t generation = state & (uint8_t)~STATE_MASK;
	if (!move_state(cs, chunk, state, generation | DROPPING))
		return; /* somebody else was faster */
	log_warn("chunk.rotten",
		 "layer=%s chunk=%u reason=\"%s\" next=\"dropped, will be fetched\"", cs->name,
		 chunk, why);
	(void)fallocate(cs->data_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)c->stream_off, c->stream_len);
	move_state(cs, chunk, generation | DROPPING, (uint8_t)(generation + GENERATION) | ABSENT);
}

/* Read the whole chunk and compare; `whole` has room for it. */
static err_t verify_into(struct chunk_store *cs, uint32_t chunk, const struct chunk *c,
			 uint8_t state, uint8_t *whole)
{
	err_t err = read_at(cs->data_fd, whole, c->stream_len, c->stream_off);
	if (err)
		drop(cs, chunk, c, state, "it can not be read");
	else if (chunk_check_xxh3(c, whole) != 0)
		drop(cs, chunk, c, state, "its bytes have changed");
	else
		return 0;
	return -ENOENT;
}

static err_t first_touch(struct chunk_store *cs, uint32_t chunk, const struct chunk *c,
			 uint8_t state, uint32_t off, uint32_t n, void *p)
{
	bool direct = off == 0 && n == c->stream_len;
	auto_free uint8_t *own = direct ? NULL : malloc(c->stream_len);
	uint8_t *whole = direct ? p : own;
	if (!whole)
		return -ENOENT;
	err_t err = verify_into(cs, chunk, c, state, whole);
	if (err)
		return err;
	atomic_store_explicit(&cs->verified[chunk], state, memory_order_release);
	if (!direct)
		memcpy(p, whole + off, n);
	return 0;
}

err_t chunk_store_read(struct chunk_store *cs, uint32_t chunk, uint32_t off, uint32_t n, void *p)
{
	uint8_t state = state_of(cs, chunk);
	if (!is_stored(state))
		return -ENOENT;
	struct chunk c;
	chunk_table_get(cs->table, chunk, &c);
	BUG_ON(off > c.stream_len || n > c.stream_len - off);
	if (atomic_load_explicit(&cs->verified[chunk], memory_order_acquire) != state)
		return first_touch(cs, chunk, &c, state, off, n, p);
	if (read_at(cs->data_fd, p, n, c.stream_off + off) != 0) {
		drop(cs, chunk, &c, state, "it can not be read");
		return -ENOENT;
	}
	/* Punched in the meantime? Then these may be zeroes. */
	return state_of(cs, chunk) == state ? 0 : -ENOENT;
}

void chunk_store_will_need(const struct chunk_store *cs, uint32_t chunk)
{
	struct chunk c;
	chunk_table_get(cs->table, chunk, &c);
	if (cs->data_fd >= 0)
		(void)posix_fadvise(cs->data_fd, (off_t)c.stream_off, c.stream_len,
				    POSIX_FADV_WILLNEED);
}

err_t chunk_store_read_again(struct chunk_store *cs, uint32_t chunk, void *p)
{
	uint8_t state = state_of(cs, chunk);
	struct chunk c;
	if (!is_stored(state))
		return -ENOENT;
	chunk_table_get(cs->table, chunk, &c);
	return verify_into(cs, chunk, &c, state, p);
}

err_t chunk_store_check(struct chunk_store *cs, uint32_t chunk, void *p, bool repair)
{
	uint8_t state = state_of(cs, chunk);
	struct chunk c;
	if (!is_stored(state))
		return -ENOENT;
	chunk_table_get(cs->table, chunk, &c);
	bool right = read_at(cs->data_fd, p, c.stream_len, c.stream_off) == 0 &&
		     chunk_check_xxh3(&c, p) == 0;
	if (right)
		return 0;
	if (state_of(cs, chunk) != state)
		return -ENOENT; /* somebody punched it out while it was read */
	if (repair)
		drop(cs, chunk, &c, state, "it does not match its checksum");
	return -EBADMSG;
}

bool chunk_store_has(const struct chunk_store *cs, uint32_t chunk)
{
	return is_stored(state_of(cs, chunk));
}

/* --- writing --- */

bool chunk_store_keeps(const struct chunk_store *cs)
{
	return cs->map && !store_is_full(cs->store);
}

err_t chunk_store_put(struct chunk_store *cs, uint32_t chunk, const uint8_t *data)
{
	uint8_t state = state_of(cs, chunk);
	if (!chunk_store_keeps(cs))
		return -ENOSPC;
	if (is_stored(state))
		return 0;
	if ((state & STATE_MASK) == DROPPING)
		return -EBUSY;
	struct chunk c;
	chunk_table_get(cs->table, chunk, &c);
	err_t err = write_at(cs->data_fd, data, c.stream_len, c.stream_off);
	if (err) {
		store_note_error(cs->store, err, "chunk");
		return err;
	}
	uint8_t stored = (state & (uint8_t)~STATE_MASK) | STORED;
	if (move_state(cs, chunk, state, stored))
		atomic_store_explicit(&cs->verified[chunk], stored, memory_order_release);
	return is_stored(state_of(cs, chunk)) ? 0 : -EBUSY;
}

bool chunk_store_complete(struct chunk_store *cs)
{
	uint32_t at = atomic_load_explicit(&cs->first_missing, memory_order_relaxed);
	while (at < cs->n_chunks && chunk_store_has(cs, at))
		at++;
	/* Only a place to begin: a chunk that is dropped behind it is found by who reads it. */
	atomic_store_explicit(&cs->first_missing, at, memory_order_relaxed);
	return at == cs->n_chunks;
}
