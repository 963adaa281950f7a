/*
 * base64 - bytes as text in documents: RFC 4648, section 4, with padding
 *
 * Bytes have exactly one text: what is not that one (white space, missing padding, bits behind the
 * end that are not zero) is refused, so that a text that was compared or signed can not be changed
 * without changing what it says.
 */
#ifndef IMGFS_FETCH_BASE64_H
#define IMGFS_FETCH_BASE64_H

#include "index/base.h"

#define BASE64_TEXT_MAX (1u << 20) /* annotations and headers are far shorter */

/* base64_encode - the text, which the caller frees; @data is ours and its text within
 * BASE64_TEXT_MAX. */
char *base64_encode(struct bytes data);
/*
 * base64_decode - append the bytes of a text to @out; an empty text is no bytes
 * -EBADMSG: not a text that base64_encode writes; -E2BIG: longer than BASE64_TEXT_MAX, or than the
 * limit of @out; -ENOMEM. With an error @out has what it had.
 */
err_t base64_decode(struct bytes text, struct buf *out) must_check;

#endif
