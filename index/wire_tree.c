/*
 * The digests of a tree, apart from it: a mount that checks chunks does not need them. SHA-256 does
 * not compress, but images have many files twice, and zstd finds them.
 */
#include "index/wire_tree.h"

#include "index/index_priv.h"
#include "index/wire_tree_priv.h"

#include <sys/stat.h>

/* Neither SHA-256 of nothing nor the zeroes of a sparse file. */
static bool digest_is_sent(const struct disk_inode *inode)
{
	return get_le64(inode->size) && !(get_le16(inode->flags) & INODE_SPARSE);
}

err_t wire_digests_encode(const struct index *ix, struct buf *out)
{
	auto_buf struct buf digests = {0};
	for (uint32_t i = 0; i < ix->info.n_regular; i++) {
		if (!digest_is_sent(&ix->inodes[ix->info.n_dirs + i]))
			continue;
		err_t err =
			buf_append(&digests, ix->digests + (uint64_t)i * SHA256_LEN, SHA256_LEN);
		if (err)
			return err;
	}
	struct bytes column = buf_bytes(&digests);
	return columns_pack(&column, 1, out);
}

static err_t digests_spread(struct bytes sent, const struct disk_inode *regular, uint32_t n,
			    struct buf *out)
{
	static const uint8_t none[SHA256_LEN];
	struct digest empty;
	digest_of(DIGEST_SHA256, "", 0, &empty);
	err_t err = 0;
	for (uint32_t i = 0; i < n && !err; i++) {
		bool sparse = get_le16(regular[i].flags) & INODE_SPARSE;
		if (!digest_is_sent(&regular[i])) {
			err = buf_append(out, sparse ? none : empty.b, SHA256_LEN);
			continue;
		}
		err = buf_append(out, sent.p, SHA256_LEN);
		sent.p += SHA256_LEN;
	}
	return err;
}

err_t wire_digests_decode(struct bytes in, struct bytes inodes, const struct disk_tree_meta *meta,
			  struct buf *out, struct diag *d)
{
	const struct disk_inode *rows = (const struct disk_inode *)(const void *)inodes.p;
	uint32_t n_dirs = get_le32(meta->n_dirs), n_regular = get_le32(meta->n_regular);
	BUG_ON((uint64_t)n_dirs + n_regular > inodes.n / sizeof(*rows));
	uint64_t want = 0;
	for (uint32_t i = 0; i < n_regular; i++)
		want += digest_is_sent(&rows[n_dirs + i]) ? SHA256_LEN : 0;
	auto_buf struct buf raw = {0};
	struct bytes column;
	struct diag why = DIAG_INIT;
	err_t err = columns_unpack(in, 1, want, &raw, &column, &why);
	if (err == -ENOMEM)
		return fail_sys(d, ERR_OTHER, err, "digests of files");
	if (err || column.n != want)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "digests of files: %s",
			    err == -EBADMSG ? why.text : "not one for each");
	err = digests_spread(column, rows + n_dirs, n_regular, out);
	return err ? fail_sys(d, ERR_OTHER, err, "digests of files") : 0;
}
