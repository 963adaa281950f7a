/*
 * An OCI layout directory as a source. The directory is opened once; everything below it is reached
 * from that descriptor, one path component at a time and never through a symbolic link, so that a
 * layout from elsewhere can not lead to other files of this machine. Blob names are made of parsed
 * digests only.
 */
#include "fetch/layout_priv.h"
#include "fetch/manifest_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAYOUT_FILE_MAX 4096 /* `oci-layout` holds one short field */
#define NAMES_MAX	16   /* names listed in an error text */

struct layout_stream {
	struct source_stream base;
	int fd;
	uint64_t off, left;
};

err_t layout_check_interrupt(struct layout_source *s, struct diag *d)
{
	if (atomic_load(&s->interrupted))
		return fail(d, ERR_OTHER, -ECANCELED, "%s: interrupted", s->base.label);
	return 0;
}

int layout_open_regular(int dir_fd, const char *name, uint64_t *size)
{
	auto_fd int fd =
		openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	*size = (uint64_t)st.st_size;
	int result = fd;
	fd = -1;
	return result;
}

int layout_open_dir(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY);
	return fd < 0 ? -errno : fd;
}

/* blobs/ALG/HEX; a missing directory is a missing blob. */
static int open_blob(struct layout_source *s, const struct digest *digest, uint64_t *size)
{
	char hex[DIGEST_TEXT_MAX];
	auto_fd int blobs = layout_open_dir(s->dir_fd, "blobs");
	if (blobs < 0)
		return blobs;
	auto_fd int alg = layout_open_dir(blobs, digest_alg_name(digest->alg));
	if (alg < 0)
		return alg;
	return layout_open_regular(alg, digest_hex(digest, hex), size);
}

static err_t fail_blob(struct layout_source *s, const struct digest *digest, err_t err,
		       struct diag *d)
{
	char text[DIGEST_TEXT_MAX];
	digest_text(digest, text);
	if (err == -ENOENT)
		return fail(d, ERR_NOT_FOUND, err, "%s has no blob %s", s->base.label, text);
	if (err == -ELOOP || err == -ENOTDIR || err == -EBADMSG)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "%s: blob %s is not a regular file",
			    s->base.label, text);
	return fail_sys(d, err == -EACCES ? ERR_DENIED : ERR_OTHER, err, "%s: open blob %s",
			s->base.label, text);
}

static err_t read_whole(int fd, uint64_t size, struct buf *out, struct diag *d)
{
	if (size > DOCUMENT_MAX)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "it is larger than %u bytes", DOCUMENT_MAX);
	err_t err = buf_reserve(out, size + 1);
	if (!err)
		err = read_at(fd, out->p, size, 0);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "read");
	out->n = size;
	return 0;
}

err_t layout_read_named(struct layout_source *s, const char *name, struct buf *out, struct diag *d)
{
	uint64_t size;
	auto_fd int fd = layout_open_regular(s->dir_fd, name, &size);
	if (fd == -ENOENT)
		return fail(d, ERR_NOT_FOUND, fd, "%s is no OCI image layout: it has no file %s",
			    s->base.label, name);
	if (fd == -ELOOP || fd == -EBADMSG)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "%s: %s is not a regular file",
			    s->base.label, name);
	if (fd < 0)
		return fail_sys(d, fd == -EACCES ? ERR_DENIED : ERR_OTHER, fd, "%s: open %s",
				s->base.label, name);
	err_t err = read_whole(fd, size, out, d);
	if (err)
		diag_prepend(d, "%s: %s", s->base.label, name);
	return err;
}

/* A document among the blobs, verified. size: UINT64_MAX when it is not known. */
static err_t read_document(struct layout_source *s, const struct digest *digest, uint64_t size,
			   struct document *out, struct diag *d)
{
	uint64_t found;
	*out = (struct document){0};
	auto_fd int fd = open_blob(s, digest, &found);
	if (fd < 0)
		return fail_blob(s, digest, fd, d);
	char text[DIGEST_TEXT_MAX];
	digest_text(digest, text);
	if (size != UINT64_MAX && found != size)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "%s: blob %s has %llu bytes, its descriptor says %llu", s->base.label,
			    text, (unsigned long long)found, (unsigned long long)size);
	err_t err = read_whole(fd, found, &out->bytes, d);
	if (err) {
		diag_prepend(d, "%s: blob %s", s->base.label, text);
	} else {
		digest_of(digest->alg, out->bytes.p, out->bytes.n, &out->digest);
		if (!digest_equal(&out->digest, digest))
			err = fail(d, ERR_INTEGRITY, -EBADMSG,
				   "%s: blob %s does not have this digest", s->base.label, text);
	}
	if (err)
		document_fini(out);
	return err;
}

static err_t read_index(struct layout_source *s, struct index_entries *out, struct diag *d)
{
	struct document index = {0};
	err_t err = layout_read_named(s, "index.json", &index.bytes, d);
	if (!err) {
		err = index_entries_parse(&index, out, d);
		if (err)
			diag_prepend(d, "%s: index.json", s->base.label);
	}
	buf_fini(&index.bytes);
	return err;
}

static bool entry_matches(const struct index_entry *e, const struct ref *ref)
{
	return e->is_image && (!ref->name || (e->ref_name && !strcmp(e->ref_name, ref->name)));
}

static err_t fail_choice(struct layout_source *s, const struct index_entries *e,
			 const struct ref *ref, size_t matches, struct diag *d)
{
	char list[400] = "";
	size_t at = 0;
	for (size_t i = 0, listed = 0; i < e->n && listed < NAMES_MAX; i++) {
		const struct index_entry *entry = &e->entries[i];
		if (!entry->is_image)
			continue;
		int n = snprintf(list + at, sizeof(list) - at, "%s@%zu %s", listed++ ? ", " : "", i,
				 entry->ref_name ? entry->ref_name : "(no name)");
		at = min_of(at + (size_t)n, sizeof(list) - 1);
	}
	if (!matches)
		return fail(d, ERR_NOT_FOUND, -ENOENT, "%s has no image%s%.100s; it has: %s",
			    s->base.label, ref->name ? " named " : "", ref->name ? ref->name : "",
			    list[0] ? list : "none");
	return fail(d, ERR_USAGE, -EINVAL,
		    "%s has %zu images%s%.100s: choose one by name or @N of: %s", s->base.label,
		    matches, ref->name ? " named " : "", ref->name ? ref->name : "", list);
}

static err_t choose_number(struct layout_source *s, const struct index_entries *e, int number,
			   struct descriptor *out, struct diag *d)
{
	if ((size_t)number >= e->n)
		return fail(d, ERR_NOT_FOUND, -ENOENT, "%s has %zu entries, the first is @0",
			    s->base.label, e->n);
	if (!e->entries[number].is_image)
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP,
			    "%s: entry @%d is an artifact, not an image", s->base.label, number);
	*out = e->entries[number].desc;
	return 0;
}

/* The one entry that the reference names. The same image may be listed more than once. */
static err_t choose_entry(struct layout_source *s, const struct index_entries *e,
			  const struct ref *ref, struct descriptor *out, struct diag *d)
{
	if (ref->number >= 0)
		return choose_number(s, e, ref->number, out, d);
	const struct index_entry *found = NULL;
	size_t matches = 0;
	for (size_t i = 0; i < e->n; i++) {
		const struct index_entry *entry = &e->entries[i];
		if (!entry_matches(entry, ref) ||
		    (found && digest_equal(&found->desc.digest, &entry->desc.digest)))
			continue;
		found = entry;
		matches++;
	}
	if (matches != 1)
		return fail_choice(s, e, ref, matches, d);
	*out = found->desc;
	return 0;
}

static err_t resolve(struct layout_source *s, const struct ref *ref, struct descriptor *out,
		     struct diag *d)
{
	struct index_entries entries;
	err_t err = layout_check_interrupt(s, d);
	if (!err)
		err = read_index(s, &entries, d);
	if (err)
		return err;
	err = choose_entry(s, &entries, ref, out, d);
	index_entries_fini(&entries);
	return err;
}

static err_t layout_head(struct source *base, const struct ref *ref, struct digest *out,
			 struct diag *d)
{
	struct descriptor desc;
	err_t err = resolve(layout_of(base), ref, &desc, d);
	if (!err)
		*out = desc.digest;
	return err;
}

static err_t layout_manifest(struct source *base, const struct ref *ref,
			     const struct digest *by_digest, struct document *out, struct diag *d)
{
	struct layout_source *s = layout_of(base);
	struct descriptor desc = {0};
	err_t err = resolve(s, ref, &desc, by_digest ? NULL : d);
	bool named = !err && (!by_digest || digest_equal(by_digest, &desc.digest));
	if (err == -ECANCELED || (err && !by_digest))
		return err;
	err = read_document(s, named ? &desc.digest : by_digest, named ? desc.size : UINT64_MAX,
			    out, d);
	/* Only index.json states types; what lies deeper is typed by who points at it. */
	if (!err && named)
		memcpy(out->media_type, desc.media_type, sizeof(out->media_type));
	return err;
}

static err_t layout_small_blob(struct source *base, const struct digest *digest, uint64_t size,
			       struct document *out, struct diag *d)
{
	err_t err = layout_check_interrupt(layout_of(base), d);
	return err ? err : read_document(layout_of(base), digest, size, out, d);
}

static err_t layout_open(struct source *base, const struct digest *digest, uint64_t size,
			 uint64_t off, uint64_t len, int64_t deadline_ms,
			 struct source_stream **out, struct diag *d)
{
	(void)deadline_ms; /* a local file answers or fails */
	struct layout_source *s = layout_of(base);
	err_t err = layout_check_interrupt(s, d);
	if (err)
		return err;
	uint64_t found;
	char text[DIGEST_TEXT_MAX];
	auto_fd int fd = open_blob(s, digest, &found);
	if (fd < 0)
		return fail_blob(s, digest, fd, d);
	if (found != size)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "%s: blob %s has %llu bytes, its descriptor says %llu", base->label,
			    digest_text(digest, text), (unsigned long long)found,
			    (unsigned long long)size);
	struct layout_stream *st = new_of(struct layout_stream);
	st->base.source = base;
	st->fd = fd;
	st->off = off;
	st->left = len;
	fd = -1;
	*out = &st->base;
	return 0;
}

static err_t layout_read(struct source_stream *base, void *p, size_t n, size_t *got, struct diag *d)
{
	struct layout_stream *st = (struct layout_stream *)base;
	*got = 0;
	err_t err = layout_check_interrupt(layout_of(base->source), d);
	if (err)
		return err;
	n = min_of((uint64_t)n, st->left);
	if (!n)
		return 0;
	err = read_at(st->fd, p, n, st->off);
	if (err == -EBADMSG)
		return fail(d, ERR_INTEGRITY, err, "%s: a blob became shorter while it was read",
			    base->source->label);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "%s: read a blob", base->source->label);
	st->off += n;
	st->left -= n;
	*got = n;
	return 0;
}

static void layout_close(struct source_stream *base)
{
	struct layout_stream *st = (struct layout_stream *)base;
	close(st->fd);
	free(st);
}

static void layout_interrupt(struct source *base)
{
	atomic_store(&layout_of(base)->interrupted, true);
}

static void layout_free(struct source *base)
{
	struct layout_source *s = layout_of(base);
	close(s->dir_fd);
	free(s->base.label);
	free(s);
}

static const struct source_ops layout_ops = {
	.head = layout_head,
	.manifest = layout_manifest,
	.small_blob = layout_small_blob,
	.open = layout_open,
	.read = layout_read,
	.close = layout_close,
	.interrupt = layout_interrupt,
	.free = layout_free,
	.referrers = layout_referrers,
	.blob_put = layout_blob_put,
	.manifest_put = layout_manifest_put,
};

static err_t check_layout_file(struct layout_source *s, struct diag *d)
{
	auto_buf struct buf text = {0};
	err_t err = layout_read_named(s, "oci-layout", &text, d);
	if (err)
		return err;
	err = text.n > LAYOUT_FILE_MAX ? fail(d, ERR_INTEGRITY, -EBADMSG,
					      "it is larger than %d bytes", LAYOUT_FILE_MAX)
				       : layout_file_check(buf_bytes(&text), d);
	if (err)
		diag_prepend(d, "%s: oci-layout", s->base.label);
	return err;
}

err_t layout_source_new(const struct ref *ref, struct source **out, struct diag *d)
{
	int dir_fd = open(ref->dir, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
	if (dir_fd < 0) {
		bool absent = errno == ENOENT || errno == ENOTDIR;
		return fail_sys(d,
				absent		  ? ERR_NOT_FOUND
				: errno == EACCES ? ERR_DENIED
						  : ERR_OTHER,
				absent ? -ENOENT : -errno, "open the image layout %s", ref->dir);
	}
	struct layout_source *s = new_of(struct layout_source);
	s->base.ops = &layout_ops;
	s->base.label = xasprintf("oci:%s", ref->dir);
	s->dir_fd = dir_fd;
	err_t err = check_layout_file(s, d);
	if (err)
		layout_free(&s->base);
	else
		*out = &s->base;
	return err;
}
