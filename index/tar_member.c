/*
 * One member out of everything that was said about it: which source of each value wins, and what
 * no Linux file system could hold is refused.
 *
 * An image is what containerd unpacks, so the order is that of Go's archive/tar: for names GNU L
 * and K, then PAX, then the header; for all else PAX, then the header. A later header of one kind
 * replaces an earlier one whole.
 */
#include "index/tar_priv.h"

#include <string.h>

#define COMPONENT_LEN_MAX 255 /* NAME_MAX of Linux */
/* 2^32-1 is "no id" to chown(2). */
#define ID_MAX ((int64_t)UINT32_MAX - 1)

static err_t type_of(uint8_t typeflag, struct bytes name, enum tar_type *type, struct diag *d)
{
	switch (typeflag) {
	case 0: /* The only mark of a directory that v7 had. */
		*type = name.n && name.p[name.n - 1] == '/' ? TAR_DIRECTORY : TAR_REGULAR;
		return 0;
	case '0':
	case '7':
	case 'S':
		*type = TAR_REGULAR;
		return 0;
	case '1':
		*type = TAR_HARDLINK;
		return 0;
	case '2':
		*type = TAR_SYMLINK;
		return 0;
	case '3':
		*type = TAR_CHAR;
		return 0;
	case '4':
		*type = TAR_BLOCK;
		return 0;
	case '5':
		*type = TAR_DIRECTORY;
		return 0;
	case '6':
		*type = TAR_FIFO;
		return 0;
	default:
		return fail(d, ERR_INTEGRITY, -EBADMSG, "unknown member type 0x%02x", typeflag);
	}
}

/* A path of the archive, still uncleaned: what no Linux file system could hold is refused. */
static err_t path_check(struct bytes path, const char *what, struct diag *d)
{
	if (path.n == 0 || path.n > TAR_PATH_MAX || memchr(path.p, 0, path.n))
		return fail(d, ERR_INTEGRITY, -EBADMSG, "the %s is empty, too long or holds NUL",
			    what);
	return 0;
}

static err_t components_check(struct bytes path, struct diag *d)
{
	size_t len = 0;
	for (size_t i = 0; i < path.n; i++) {
		len = path.p[i] == '/' ? 0 : len + 1;
		if (len > COMPONENT_LEN_MAX)
			return fail(d, ERR_INTEGRITY, -EBADMSG,
				    "a component of a name is longer than %d bytes",
				    COMPONENT_LEN_MAX);
	}
	return 0;
}

static struct bytes first_of(struct bytes a, struct bytes b, struct bytes c)
{
	if (a.n)
		return a;
	return b.n ? b : c;
}

static err_t names_merge(const struct tar_said *said, struct tar_entry *e, struct diag *d)
{
	const struct tar_header *h = said->header;
	e->name = first_of(said->long_name, said->pax->path, (struct bytes){h->name, h->name_n});
	e->link =
		first_of(said->long_link, said->pax->linkpath, (struct bytes){h->link, h->link_n});
	err_t err = type_of(h->typeflag, e->name, &e->type, d);
	if (err)
		return err;
	if (e->type == TAR_HARDLINK || e->type == TAR_SYMLINK)
		err = path_check(e->link, "link target", d);
	else
		e->link = (struct bytes){NULL, 0};
	if (!err && e->type == TAR_HARDLINK)
		err = components_check(e->link, d);
	return err;
}

static err_t id_check(int64_t id, uint32_t *out, struct diag *d)
{
	if (id < 0 || id > ID_MAX)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "an owner or group id is negative or above 2^32-2");
	*out = (uint32_t)id;
	return 0;
}

static err_t attributes_merge(const struct tar_said *said, struct tar_entry *e, struct diag *d)
{
	const struct tar_header *h = said->header;
	const struct tar_pax *pax = said->pax;
	e->mode = (uint32_t)(h->mode & 07777);
	e->mtime = pax->has_mtime ? pax->mtime : h->mtime;
	e->mtime_ns = pax->has_mtime ? pax->mtime_ns : 0;
	e->xattrs = pax->xattrs.items;
	e->n_xattrs = pax->xattrs.n;
	err_t err = id_check(pax->has_uid ? pax->uid : h->uid, &e->uid, d);
	if (!err)
		err = id_check(pax->has_gid ? pax->gid : h->gid, &e->gid, d);
	if (!err && (e->type == TAR_CHAR || e->type == TAR_BLOCK))
		err = tar_header_devices(said->block, h->dialect, &e->dev_major, &e->dev_minor, d);
	return err;
}

/* Only a regular file has data; the size of anything else means nothing, as in Go. */
static err_t size_merge(const struct tar_said *said, struct tar_entry *e, struct diag *d)
{
	int64_t size = said->pax->has_size ? said->pax->size : said->header->size;
	if (e->type != TAR_REGULAR)
		size = 0;
	if (size < 0)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "the size is negative");
	e->size = e->data_len = (uint64_t)size;
	return 0;
}

static err_t sparse_style_of(const struct tar_said *said, const struct tar_entry *e,
			     enum tar_sparse_style *style, struct diag *d)
{
	struct bytes major = said->pax->sparse_major, minor = said->pax->sparse_minor;
	*style = TAR_NOT_SPARSE;
	if (said->header->typeflag == 'S')
		*style = TAR_SPARSE_OLD;
	else if (bytes_equal_str(major, "1") && bytes_equal_str(minor, "0"))
		*style = TAR_SPARSE_PAX_1;
	else if (bytes_equal_str(major, "0") &&
		 (bytes_equal_str(minor, "0") || bytes_equal_str(minor, "1")))
		*style = TAR_SPARSE_PAX_0;
	else if (major.n || minor.n)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "a sparse file of an unknown version");
	else if (said->pax->sparse_map.n || said->pax->pairs.n)
		*style = TAR_SPARSE_PAX_0;
	if (*style != TAR_NOT_SPARSE && e->type != TAR_REGULAR)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "a sparse map for something that is no regular file");
	return 0;
}

err_t tar_member_merge(const struct tar_said *said, struct tar_entry *e,
		       enum tar_sparse_style *style, struct diag *d)
{
	err_t err = names_merge(said, e, d);
	if (!err)
		err = attributes_merge(said, e, d);
	if (!err)
		err = size_merge(said, e, d);
	if (!err)
		err = sparse_style_of(said, e, style, d);
	e->sparse = !err && *style != TAR_NOT_SPARSE;
	return err;
}

err_t tar_member_check_name(struct bytes name, struct diag *d)
{
	err_t err = path_check(name, "name", d);
	return err ? err : components_check(name, d);
}
