/*
 * The header of a zstd frame (RFC 8878 section 3.1.1.1), as far as it decides whether imgfs can
 * read the frame; decoding itself is libzstd's.
 */
#include "index/zstd_frame.h"

#define MAGIC_FRAME	0xfd2fb528u
#define MAGIC_SKIPPABLE 0x184d2a50u /* the low four bits are free */

static uint64_t number(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

static const unsigned dictionary_lens[4] = {0, 1, 2, 4};
static const unsigned content_lens[4] = {0, 2, 4, 8};

static unsigned content_len(uint8_t descriptor)
{
	bool single_segment = descriptor >> 5 & 1;
	unsigned flag = descriptor >> 6;
	return flag ? content_lens[flag] : single_segment;
}

static uint64_t window_of(uint8_t window_descriptor)
{
	uint64_t base = UINT64_C(1) << (10 + (window_descriptor >> 3));
	return base + base / 8 * (window_descriptor & 7);
}

static int parse_data_frame(struct bytes b, struct zstd_frame *out)
{
	if (b.n < 5)
		return 0;
	uint8_t descriptor = b.p[4];
	bool single_segment = descriptor >> 5 & 1;
	unsigned window = !single_segment, dictionary = dictionary_lens[descriptor & 3];
	unsigned content = content_len(descriptor);
	out->header_len = 5 + window + dictionary + content;
	if (b.n < out->header_len)
		return 0;
	uint64_t size = number(b.p + 5 + window + dictionary, content);
	out->dictionary_id = (uint32_t)number(b.p + 5 + window, dictionary);
	out->window_len = single_segment ? size + (content == 2 ? 256 : 0) : window_of(b.p[5]);
	return 1;
}

int zstd_frame_parse(struct bytes b, struct zstd_frame *out)
{
	*out = (struct zstd_frame){0};
	if (b.n < 4)
		return 0;
	uint32_t magic = (uint32_t)number(b.p, 4);
	if (magic == MAGIC_FRAME)
		return parse_data_frame(b, out);
	if ((magic & ~0xfu) != MAGIC_SKIPPABLE)
		return -EBADMSG;
	if (b.n < 8)
		return 0;
	out->skippable = true;
	out->header_len = 8;
	out->skip_len = (uint32_t)number(b.p + 4, 4);
	return 1;
}
