/*
 * json_out - writes one JSON document to a stream, piece by piece, in constant memory
 *
 * Names, targets and attribute values are bytes. Those that are UTF-8 become strings. Others become
 * a string with U+FFFD for each bad byte, followed by a second member, the same key with "_bytes"
 * behind it, that holds all bytes in hexadecimal: so nothing is lost and every reader can parse it.
 * Write errors show in ferror() of the stream.
 */
#ifndef IMGFS_TOOLS_JSON_OUT_H
#define IMGFS_TOOLS_JSON_OUT_H

#include "index/base.h"

#include <stdio.h>

#define JSON_DEPTH_MAX 16 /* our documents nest 5 deep at the most */

struct json_out {
	FILE *out;
	unsigned line_depth; /* containers deeper than this are written in one line */
	unsigned depth;
	char closing[JSON_DEPTH_MAX]; /* '}' or ']' for each open container */
	bool filled[JSON_DEPTH_MAX];  /* whether it has a member already */
};

/* json_out_start - @line_depth: members of containers nested deeper stand in one line. */
void json_out_start(struct json_out *j, FILE *out, unsigned line_depth);

/*
 * Containers and values. @key is the member's name inside an object, NULL inside an array and at
 * the top. json_put_end closes the innermost container; behind the outermost a newline follows.
 */
void json_put_object(struct json_out *j, const char *key);
void json_put_array(struct json_out *j, const char *key);
void json_put_end(struct json_out *j);

/* json_put_text - NULL becomes null; bytes that are not UTF-8 become U+FFFD. */
void json_put_text(struct json_out *j, const char *key, const char *text);
/* json_put_bytes - a string, and "<key>_bytes" if it is not UTF-8; only inside an object. */
void json_put_bytes(struct json_out *j, const char *key, struct bytes value);
/* Numbers and booleans. */
void json_put_number(struct json_out *j, const char *key, uint64_t value);
void json_put_signed(struct json_out *j, const char *key, int64_t value);
void json_put_bool(struct json_out *j, const char *key, bool value);
void json_put_null(struct json_out *j, const char *key);

#endif
