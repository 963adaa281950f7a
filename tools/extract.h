/*
 * extract - make directories, files, links and nodes of an image below a directory, and nowhere
 * else
 *
 * Whoever made the image chose the names, the links and what lies behind them. So every name is
 * created relative to the descriptor of its directory, no symlink below the destination is ever
 * followed, and what stands in the way is replaced, not written through. A file gets its name when
 * it is whole: until then it is a hidden one, which extract_file_drop takes away.
 *
 * Names are one component each, NUL-terminated, neither "." nor "..". Functions return 0 or -errno.
 */
#ifndef IMGFS_TOOLS_EXTRACT_H
#define IMGFS_TOOLS_EXTRACT_H

#include "index/index.h"

#include <sys/types.h>

struct extract_options {
	bool archive;	 /* keep owners, modes, times and xattrs; make devices */
	bool force;	 /* a file in the way of a directory is removed */
	bool no_clobber; /* what is there stays */
	mode_t umask;	 /* without `archive`; of the user */
};

/* What `archive` asked for and the system did not allow, in numbers of entries. */
struct extract_lost {
	uint64_t owners;
	uint64_t set_ids; /* set-user-ID and set-group-ID bits, which without the owner would give
			     somebody else's rights away */
	uint64_t xattrs;
	uint64_t devices; /* not made at all; without `archive` always */
};

struct extract {
	struct extract_options options;
	const struct index *tree; /* of the rows below; borrowed */
	struct extract_lost lost;
	unsigned n_temporary; /* names given so far */
};

#define EXTRACT_NAME_MAX (INDEX_NAME_MAX + 1)

/* extract_open_dir - the descriptor of a directory that is there, for names in it; -ENOTDIR or
 * -ELOOP when it is a symlink. */
int extract_open_dir(int parent, const char *name);

/*
 * extract_dir - make a directory that only we can enter, or take one that is there
 * @made  whether it was made: its mode is 0700 until extract_dir_finish
 * -EEXIST: something else has the name, a symlink to a directory for example.
 */
err_t extract_dir(struct extract *x, int parent, const char *name, bool *made) must_check;
/* extract_dir_finish - give it its attributes, when all that belongs in it is there: those of `row`
 * where it was made, or where attributes are kept. An empty name: parent itself. */
err_t extract_dir_finish(struct extract *x, int parent, const char *name, uint32_t row,
			 bool made) must_check;

/* extract_is_there - whether the name is taken and stays (no_clobber). */
bool extract_is_there(const struct extract *x, int parent, const char *name);

/* A file that is being written. */
struct extract_file {
	int fd; /* -1: none */
	int parent;
	char temporary[64];
};
#define EXTRACT_NO_FILE                                                                            \
	{                                                                                          \
		.fd = -1                                                                           \
	}
/* extract_file_begin - a hidden file in `parent`, which stays the caller's and open. Write to
 * file->fd at any offset; what is not written is a hole. */
err_t extract_file_begin(struct extract *x, int parent, struct extract_file *file) must_check;
/* extract_file_finish - size, attributes and the name, at once. Drops the file on error. */
err_t extract_file_finish(struct extract *x, struct extract_file *file, const char *name,
			  uint32_t row) must_check;
/* extract_file_drop - take it away; also for none. */
void extract_file_drop(struct extract_file *file);

/* extract_link - another name of a file that was made before. */
err_t extract_link(struct extract *x, int from_parent, const char *from, int parent,
		   const char *name) must_check;
/* extract_other - a symlink, fifo or device. *made: false when it is a device that was left out. */
err_t extract_other(struct extract *x, int parent, const char *name, uint32_t row,
		    bool *made) must_check;

#endif
