/*
 * layer_text - layers written as a few words a member, and trees as one line, so that a rule fits
 * on a screen
 *
 * A layer is a string of members separated by newlines: "f PATH TEXT" file, "d PATH" directory, "s
 * PATH TARGET" symlink, "h PATH TARGET" hard link, "c PATH MAJ MIN" character device, "w PATH" any
 * empty file (whiteouts, opaque marks). Modes are 0644 for files and 0755 for directories unless
 * "MODE" follows as "%MODE" right after the type letter.
 */
#ifndef IMGFS_TESTS_UNIT_LAYER_TEXT_H
#define IMGFS_TESTS_UNIT_LAYER_TEXT_H

#include "tests/unit/tar_build.h"

#include "index/index.h"
#include "index/layer_build.h"
#include "index/merge.h"

#include <inttypes.h>
#include <sys/stat.h>

static inline void put_line(struct buf *tar, char *line)
{
	unsigned mode = 0;
	char type = line[0], *save = NULL;
	char *word = strtok_r(line, " ", &save);
	if (word[1] == '%')
		mode = (unsigned)strtoul(word + 2, NULL, 8);
	char *path = strtok_r(NULL, " ", &save), *arg = strtok_r(NULL, " ", &save);
	static const char flags[] = {
		['f'] = '0', ['w'] = '0', ['d'] = '5', ['s'] = '2', ['h'] = '1', ['c'] = '3'};
	struct block h = tar_head(flags[(unsigned char)type], path);
	tar_octal(&h, 100, 8, mode ? mode : type == 'd' ? 0755 : 0644);
	if (type == 's' || type == 'h')
		tar_text(&h, 157, 100, arg);
	if (type == 'c') {
		tar_octal(&h, 329, 8, strtoul(arg, NULL, 10));
		tar_octal(&h, 337, 8, strtoul(strtok_r(NULL, " ", &save), NULL, 10));
	}
	if (type == 'f' && arg)
		tar_size(&h, strlen(arg));
	put_head(tar, h);
	if (type == 'f' && arg)
		put_data(tar, arg, strlen(arg));
}

static inline void tar_of_text(const char *text, struct buf *tar)
{
	auto_free char *copy = xstrdup(text);
	char *save = NULL;
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		put_line(tar, line);
	put_end(tar);
}

/* The index file of a plain tar; 0 or the error of the build. */
static inline err_t index_of_tar(const struct buf *tar, struct buf *file, struct diag *d)
{
	struct layer_build_options options = {0};
	struct layer_build *b = layer_build_new(&options);
	struct digest digest;
	digest_of(DIGEST_SHA256, tar->p, tar->n, &digest);
	err_t err = layer_build_feed(b, tar->p, tar->n, d);
	if (!err)
		err = layer_build_finish(b, &digest, tar->n, &digest, file, d);
	layer_build_free(&b);
	return err;
}

static inline err_t index_of_text(const char *text, struct buf *file, struct diag *d)
{
	auto_buf struct buf tar = {0};
	tar_of_text(text, &tar);
	return index_of_tar(&tar, file, d);
}

/* One entry as "path=what", what being d<mode>, f<size>, s<target>, c<major:minor>, w, l<target>;
 * "*" links, "!" opaque, "?" implied. */
static inline void print_entry(FILE *out, const struct index *ix, const char *path, uint32_t row)
{
	struct inode i;
	index_inode(ix, row, &i);
	fprintf(out, "%s=", path);
	if (S_ISDIR(i.mode))
		fprintf(out, "d%o", i.mode & 07777);
	else if (S_ISREG(i.mode))
		fprintf(out, "f%" PRIu64, i.size);
	else if (S_ISCHR(i.mode))
		fprintf(out, "c%u:%u", i.rdev_major, i.rdev_minor);
	else if (i.flags & INODE_WHITEOUT)
		fputc('w', out);
	else
		fprintf(out, "%c%.*s", i.flags & INODE_LOWER_LINK ? 'l' : 's',
			(int)index_link_target(ix, row).n,
			(const char *)index_link_target(ix, row).p);
	if (!S_ISDIR(i.mode) && i.nlink > 1)
		fprintf(out, "*%u", i.nlink);
	if (i.flags & INODE_OPAQUE)
		fputc('!', out);
	if (i.flags & INODE_IMPLIED)
		fputc('?', out);
	fputc(' ', out);
}

static inline int order_of_names(const void *a, const void *b)
{
	return bytes_compare(((const struct dir_entry *)a)->name,
			     ((const struct dir_entry *)b)->name);
}

static inline void print_dir(FILE *out, const struct index *ix, const char *path, uint32_t dir)
{
	uint32_t n = index_dir_count(ix, dir);
	struct dir_entry *entries = xcalloc(n + 1, sizeof(*entries));
	for (uint32_t i = 0; i < n; i++)
		index_dir_entry(ix, dir, i, &entries[i]);
	qsort(entries, n, sizeof(*entries), order_of_names);
	for (uint32_t i = 0; i < n; i++) {
		char *below = xasprintf("%s%s%.*s", path, path[0] ? "/" : "",
					(int)entries[i].name.n, (const char *)entries[i].name.p);
		print_entry(out, ix, below, entries[i].row);
		if (entries[i].type == 4)
			print_dir(out, ix, below, entries[i].row);
		free(below);
	}
	free(entries);
}

/* The whole tree as one line; the caller frees. */
static inline char *tree_text(const struct index *ix)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	print_dir(out, ix, "", 0);
	fclose(out);
	if (len)
		text[len - 1] = 0;
	return text;
}

#endif
