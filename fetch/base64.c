/*
 * OpenSSL's decoder is lenient at both ends and about padding. So what it decoded is encoded again:
 * only the text that comes back unchanged is taken.
 */
#include "fetch/base64.h"

#include <openssl/evp.h>

#define QUANTUM_BYTES 3
#define QUANTUM_TEXT  4

char *base64_encode(struct bytes data)
{
	BUG_ON(data.n > BASE64_TEXT_MAX / QUANTUM_TEXT * QUANTUM_BYTES);
	size_t quanta = (data.n + QUANTUM_BYTES - 1) / QUANTUM_BYTES;
	char *text = xcalloc(quanta * QUANTUM_TEXT + 1, 1);
	if (data.n)
		EVP_EncodeBlock((unsigned char *)text, data.p, (int)data.n);
	return text;
}

static size_t count_pads(struct bytes text)
{
	size_t n = 0;
	while (n < 2 && text.p[text.n - 1 - n] == '=')
		n++;
	return n;
}

err_t base64_decode(struct bytes text, struct buf *out)
{
	size_t room = text.n / QUANTUM_TEXT * QUANTUM_BYTES;
	if (text.n > BASE64_TEXT_MAX)
		return -E2BIG;
	if (text.n % QUANTUM_TEXT)
		return -EBADMSG;
	if (!text.n)
		return 0;
	err_t err = buf_reserve(out, room);
	if (err)
		return err;
	uint8_t *end = out->p + out->n;
	if (EVP_DecodeBlock(end, text.p, (int)text.n) != (int)room)
		return -EBADMSG;
	struct bytes got = {end, room - count_pads(text)};
	auto_free char *again = base64_encode(got);
	if (!bytes_equal_str(text, again))
		return -EBADMSG;
	out->n += got.n;
	return 0;
}
