/*
 * tar_build - archives byte by byte, and a reader that writes down what it was told
 *
 * A header starts as a right ustar header of an empty regular file; a test changes the fields it
 * is about and tar_seal makes the sum right again. Shared by the unit tests of the tar reader.
 */
#ifndef IMGFS_TESTS_UNIT_TAR_BUILD_H
#define IMGFS_TESTS_UNIT_TAR_BUILD_H

#include "index/tar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct block {
	uint8_t b[512];
};

static inline void tar_seal(struct block *h)
{
	unsigned sum = 0;
	memset(h->b + 148, ' ', 8);
	for (size_t i = 0; i < sizeof(h->b); i++)
		sum += h->b[i];
	char text[16];
	snprintf(text, sizeof(text), "%06o", sum);
	memcpy(h->b + 148, text, 7);
}

static inline void tar_text(struct block *h, size_t off, size_t n, const char *text)
{
	memset(h->b + off, 0, n);
	memcpy(h->b + off, text, min_of(strlen(text), n));
}

static inline void tar_octal(struct block *h, size_t off, size_t n, uint64_t value)
{
	char text[32];
	snprintf(text, sizeof(text), "%0*llo", (int)n - 1, (unsigned long long)value);
	memcpy(h->b + off, text, n);
}

static inline void tar_size(struct block *h, uint64_t size)
{
	tar_octal(h, 124, 12, size);
}

static inline struct block tar_head(char type, const char *name)
{
	struct block h = {{0}};
	tar_text(&h, 0, 100, name);
	tar_octal(&h, 100, 8, 0644);
	tar_octal(&h, 108, 8, 0);
	tar_octal(&h, 116, 8, 0);
	tar_size(&h, 0);
	tar_octal(&h, 136, 12, 0);
	h.b[156] = (uint8_t)type;
	memcpy(h.b + 257, "ustar\00000", 8);
	tar_octal(&h, 329, 8, 0);
	tar_octal(&h, 337, 8, 0);
	return h;
}

static inline struct block gnu_head(char type, const char *name)
{
	struct block h = tar_head(type, name);
	memcpy(h.b + 257, "ustar  \0", 8);
	return h;
}
static inline void put_raw(struct buf *out, const void *p, size_t n)
{
	if (buf_append(out, p, n) < 0)
		abort();
}

static inline void put_head(struct buf *out, struct block h)
{
	tar_seal(&h);
	put_raw(out, h.b, sizeof(h.b));
}

static inline void put_data(struct buf *out, const void *p, size_t n)
{
	put_raw(out, p, n);
	if (buf_append_zeros(out, -n % 512) < 0)
		abort();
}

/* A header of the given type and name with a body of n bytes. */
static inline void put_member(struct buf *out, char type, const char *name, const void *p, size_t n)
{
	struct block h = tar_head(type, name);
	tar_size(&h, n);
	put_head(out, h);
	put_data(out, p, n);
}

static inline void put_file(struct buf *out, const char *name, const char *content)
{
	put_member(out, '0', name, content, strlen(content));
}

static inline void put_link(struct buf *out, char type, const char *name, const char *target)
{
	struct block h = tar_head(type, name);
	tar_text(&h, 157, 100, target);
	put_head(out, h);
}

static inline void put_end(struct buf *out)
{
	if (buf_append_zeros(out, 1024) < 0)
		abort();
}

/* One PAX record with its own length in front. */
static inline void pax_bytes(struct buf *body, const char *key, const void *value, size_t n)
{
	size_t len = strlen(key) + n + 3, digits = 1;
	while (snprintf(NULL, 0, "%zu", len + digits) > (int)digits)
		digits++;
	char head[512];
	int head_n = snprintf(head, sizeof(head), "%zu %s=", len + digits, key);
	put_raw(body, head, (size_t)head_n);
	put_raw(body, value, n);
	put_raw(body, "\n", 1);
}

static inline void pax_text(struct buf *body, const char *key, const char *value)
{
	pax_bytes(body, key, value, strlen(value));
}

/* An 'x' header with `body`, which is emptied. */
static inline void put_pax(struct buf *out, char type, struct buf *body)
{
	put_member(out, type, "PaxHeaders.0/x", body->p, body->n);
	buf_fini(body);
}

static inline void put_pax1(struct buf *out, const char *key, const char *value)
{
	struct buf body = {0};
	pax_text(&body, key, value);
	put_pax(out, 'x', &body);
}

/* What the reader said, as text: one line a member. */
struct record {
	char *text;
	size_t n;
	FILE *out;
	err_t entry_result, data_result, end_result; /* what the callbacks answer */
};

static inline void print_bytes(FILE *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] > ' ' && p[i] < 0x7f && p[i] != '\\')
			fputc(p[i], out);
		else
			fprintf(out, "\\%02x", p[i]);
}

static inline err_t record_entry(void *arg, const struct tar_entry *e, struct diag *d)
{
	static const char types[] = "fhlcbdp";
	struct record *r = arg;
	(void)d;
	fprintf(r->out, "%c ", types[e->type]);
	print_bytes(r->out, e->name.p, e->name.n);
	if (e->link.n) {
		fputs(" -> ", r->out);
		print_bytes(r->out, e->link.p, e->link.n);
	}
	fprintf(r->out, " %04o %u:%u %lld.%09u", e->mode, e->uid, e->gid, (long long)e->mtime,
		e->mtime_ns);
	if (e->type == TAR_REGULAR)
		fprintf(r->out, " %llu @%llu+%llu", (unsigned long long)e->size,
			(unsigned long long)e->data_off, (unsigned long long)e->data_len);
	if (e->type == TAR_CHAR || e->type == TAR_BLOCK)
		fprintf(r->out, " dev %u,%u", e->dev_major, e->dev_minor);
	for (size_t i = 0; e->sparse && i < e->n_extents; i++)
		fprintf(r->out, " [%llu+%llu]", (unsigned long long)e->extents[i].off,
			(unsigned long long)e->extents[i].len);
	for (size_t i = 0; i < e->n_xattrs; i++) {
		fputc(' ', r->out);
		print_bytes(r->out, e->xattrs[i].name.p, e->xattrs[i].name.n);
		fputc('=', r->out);
		print_bytes(r->out, e->xattrs[i].value.p, e->xattrs[i].value.n);
	}
	fputs(e->sparse ? " sparse:" : ":", r->out);
	return r->entry_result;
}

static inline err_t record_data(void *arg, const uint8_t *p, size_t n, struct diag *d)
{
	struct record *r = arg;
	(void)d;
	if (n == 0)
		abort();
	print_bytes(r->out, p, n);
	return r->data_result;
}

static inline err_t record_end(void *arg, struct diag *d)
{
	struct record *r = arg;
	(void)d;
	fputc('\n', r->out);
	return r->end_result;
}

/* Read `archive` in pieces of `piece` bytes; r->text is the caller's to free. */
static inline err_t record_archive(const struct buf *archive, size_t piece, struct record *r,
				   struct diag *d)
{
	const struct tar_sink sink = {record_entry, record_data, record_end};
	r->out = open_memstream(&r->text, &r->n);
	struct tar *t = tar_new(&sink, r);
	err_t err = 0;
	for (size_t at = 0; at < archive->n && !err; at += piece) {
		/* A copy of its own, so that a sanitizer sees any byte read beyond the piece. */
		size_t n = min_of(piece, archive->n - at);
		uint8_t *copy = malloc(n);
		if (!copy)
			abort();
		memcpy(copy, archive->p + at, n);
		err = tar_feed(t, copy, n, d);
		free(copy);
	}
	if (!err)
		err = tar_finish(t, d);
	tar_free(&t);
	fclose(r->out);
	return err;
}

/* One rule: an archive, and what the reader says of it. */
struct rule {
	const char *name;
	void (*build)(struct buf *out);
	const char *want;   /* what the reader says; NULL: the archive is rejected */
	const char *reason; /* part of the message of a rejection */
};

static inline void read_in_pieces(const struct rule *rule, const struct buf *archive, size_t piece)
{
	struct record r = {0};
	struct diag d = DIAG_INIT;
	err_t err = record_archive(archive, piece, &r, &d);
	if (rule->want) {
		if (err)
			print_error("%s: %s\n", rule->name, d.text);
		assert_int_equal(err, 0);
		assert_string_equal(r.text, rule->want);
	} else {
		if (!strstr(d.text, rule->reason))
			print_error("%s: '%s' lacks '%s'\n", rule->name, d.text, rule->reason);
		assert_int_equal(err, -EBADMSG);
		assert_int_equal(d.cls, ERR_INTEGRITY);
		assert_non_null(strstr(d.text, rule->reason));
	}
	free(r.text);
}

static inline void check_rule(const struct rule *rule)
{
	auto_buf struct buf archive = {0};
	rule->build(&archive);
	read_in_pieces(rule, &archive, SIZE_MAX / 2);
	read_in_pieces(rule, &archive, 1);
	read_in_pieces(rule, &archive, 7);
	read_in_pieces(rule, &archive, 512);
}

static inline void check_rules(const struct rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_rule(&rules[i]);
}

/* clang-format off */
#define ACCEPT(build, want) {#build, build, want, NULL}
#define REJECT(build, reason) {#build, build, NULL, reason}
/* clang-format on */

/* The line of a regular file up to its size, and long texts. */
#define LINE(name) "f " name " 0644 0:0 0.000000000 "
#define TEN(s)	   s s s s s s s s s s
#define HUNDRED(s) TEN(s) TEN(s) TEN(s) TEN(s) TEN(s) TEN(s) TEN(s) TEN(s) TEN(s) TEN(s)

#endif
