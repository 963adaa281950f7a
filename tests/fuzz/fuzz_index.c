/*
 * fuzz_index - arbitrary bytes as an index file: refused, or safe to read, dump and merge
 *
 * Checksums are made right first, so that the input reaches the rules behind them.
 */
#include "index/dump.h"
#include "index/format.h"
#include "index/merge.h"

#include <xxhash.h>

static void seal(uint8_t *p, size_t n)
{
	struct disk_header *h = (void *)p;
	if (n < sizeof(*h))
		return;
	uint32_t sections = get_le32(h->n_sections);
	if (sections > FORMAT_SECTIONS_MAX ||
	    sizeof(*h) + sections * sizeof(struct disk_section) > n)
		return;
	struct disk_section *rows = (void *)(p + sizeof(*h));
	for (uint32_t i = 0; i < sections; i++) {
		uint64_t off = get_le64(rows[i].offset), len = get_le64(rows[i].stored_len);
		if (off <= n && len <= n - off)
			rows[i].xxh3 = put_le64(XXH3_64bits(p + off, len));
	}
	h->file_len = put_le64(n);
	h->xxh3 = put_le64(0);
	h->xxh3 = put_le64(XXH3_64bits(h, sizeof(*h) + sections * sizeof(struct disk_section)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *null;
	if (!null)
		null = fopen("/dev/null", "w");
	uint8_t *copy = malloc(size + 1);
	BUG_ON(!copy || !null);
	memcpy(copy, data, size);
	seal(copy, size);
	struct index *ix;
	if (index_open_bytes((struct bytes){copy, size}, &ix, NULL) == 0) {
		struct digest digest;
		err_t err = index_dump(ix, null);
		BUG_ON(err && err != -EBADMSG);
		err = index_canonical_digest(ix, &digest);
		BUG_ON(err && err != -EBADMSG);
		if (index_info(ix)->kind == INDEX_LAYER) {
			const struct index *layers[2] = {ix, ix};
			struct buf out = {0};
			struct index *merged;
			if (merge_layers(layers, 2, &out, NULL) == 0) {
				BUG_ON(index_open_bytes((struct bytes){out.p, out.n}, &merged,
							NULL) != 0);
				index_close(&merged);
			}
			buf_fini(&out);
		}
		index_close(&ix);
	}
	free(copy);
	return 0;
}
