/*
 * A stack of open containers decides on commas, line breaks and closing brackets; values go
 * straight to the stream. (RFC 8259.)
 */
#include "tools/json_out.h"

#include "tools/format.h"

#include <inttypes.h>
#include <string.h>

void json_out_start(struct json_out *j, FILE *out, unsigned line_depth)
{
	*j = (struct json_out){.out = out, .line_depth = line_depth};
}

/* JSON would take most of these as they are; a terminal must not see them. */
static void write_escape(struct json_out *j, const uint8_t *p, size_t len)
{
	unsigned code = p[0];
	if (len == 2)
		code = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
	else if (len == 3)
		code = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
	fprintf(j->out, "\\u%04x", code);
}

static void write_string(struct json_out *j, struct bytes text)
{
	fputc('"', j->out);
	for (size_t i = 0; i < text.n;) {
		const uint8_t *p = text.p + i;
		size_t len = format_utf8_len(p, text.n - i);
		if (!len)
			fputs("\xef\xbf\xbd", j->out);
		else if (*p == '"' || *p == '\\')
			fprintf(j->out, "\\%c", *p);
		else if (format_is_control(p, len))
			write_escape(j, p, len);
		else
			fwrite(p, 1, len, j->out);
		i += len ? len : 1;
	}
	fputc('"', j->out);
}

static void break_line(struct json_out *j)
{
	fputc('\n', j->out);
	for (unsigned i = 0; i < j->depth; i++)
		fputs("  ", j->out);
}

/* All that stands before a value: comma, line break, key. */
static void begin_value(struct json_out *j, const char *key)
{
	if (!j->depth) {
		BUG_ON(key);
		return;
	}
	bool in_object = j->closing[j->depth - 1] == '}', first = !j->filled[j->depth - 1];
	BUG_ON(in_object != (key != NULL));
	if (!first)
		fputc(',', j->out);
	if (j->depth <= j->line_depth)
		break_line(j);
	else if (!first)
		fputc(' ', j->out);
	j->filled[j->depth - 1] = true;
	if (!key)
		return;
	write_string(j, BYTES_STR(key));
	fputs(": ", j->out);
}

static void open_container(struct json_out *j, const char *key, const char brackets[2])
{
	begin_value(j, key);
	BUG_ON(j->depth == JSON_DEPTH_MAX);
	fputc(brackets[0], j->out);
	j->closing[j->depth] = brackets[1];
	j->filled[j->depth++] = false;
}

void json_put_object(struct json_out *j, const char *key)
{
	open_container(j, key, "{}");
}

void json_put_array(struct json_out *j, const char *key)
{
	open_container(j, key, "[]");
}

void json_put_end(struct json_out *j)
{
	BUG_ON(!j->depth);
	bool lines = j->depth <= j->line_depth;
	j->depth--;
	if (lines && j->filled[j->depth])
		break_line(j);
	fputc(j->closing[j->depth], j->out);
	if (!j->depth)
		fputc('\n', j->out);
}

void json_put_null(struct json_out *j, const char *key)
{
	begin_value(j, key);
	fputs("null", j->out);
}

void json_put_text(struct json_out *j, const char *key, const char *text)
{
	if (!text) {
		json_put_null(j, key);
		return;
	}
	begin_value(j, key);
	write_string(j, BYTES_STR(text));
}

static void write_hex(struct json_out *j, struct bytes value)
{
	fputc('"', j->out);
	for (size_t i = 0; i < value.n; i++)
		fprintf(j->out, "%02x", value.p[i]);
	fputc('"', j->out);
}

void json_put_bytes(struct json_out *j, const char *key, struct bytes value)
{
	char hex_key[64];
	begin_value(j, key);
	write_string(j, value);
	if (format_is_utf8(value))
		return;
	int n = snprintf(hex_key, sizeof(hex_key), "%s_bytes", key);
	BUG_ON(n < 0 || (size_t)n >= sizeof(hex_key));
	begin_value(j, hex_key);
	write_hex(j, value);
}

void json_put_number(struct json_out *j, const char *key, uint64_t value)
{
	begin_value(j, key);
	fprintf(j->out, "%" PRIu64, value);
}

void json_put_signed(struct json_out *j, const char *key, int64_t value)
{
	begin_value(j, key);
	fprintf(j->out, "%" PRId64, value);
}

void json_put_bool(struct json_out *j, const char *key, bool value)
{
	begin_value(j, key);
	fputs(value ? "true" : "false", j->out);
}
