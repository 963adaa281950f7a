/*
 * The floor of the house: diagnostics that cost nothing until something fails, buffers with limits,
 * and whole transfers on descriptors.
 */
#include "index/base.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

void bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "imgfs: BUG at %s:%d: %s\n", file, line, what);
	abort();
}

/* The bytes of the UTF-8 character at s that a terminal would obey or hide; 0: a visible one. */
static size_t invisible_length(const unsigned char *s)
{
	if (s[0] < 0x20 || s[0] == 0x7f)
		return 1;
	if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f)
		return 2; /* C1: U+009B begins an escape sequence */
	if (s[0] == 0xef && s[1] == 0xbb && s[2] == 0xbf)
		return 3; /* U+FEFF */
	if (s[0] != 0xe2)
		return 0;
	bool from_2000 = s[1] == 0x80 && ((s[2] >= 0x8b && s[2] <= 0x8f) || /* U+200B..U+200F */
					  (s[2] >= 0xaa && s[2] <= 0xae));  /* U+202A..U+202E */
	bool from_2040 = s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9;	    /* U+2066..U+2069 */
	return from_2000 || from_2040 ? 3 : 0;
}

void text_make_printable(char *s)
{
	char *to = s;
	while (*s) {
		size_t n = invisible_length((const unsigned char *)s);
		*to++ = n ? '?' : *s;
		s += n ? n : 1;
	}
	*to = 0;
}

err_t fail(struct diag *d, enum err_class cls, err_t err, const char *fmt, ...)
{
	BUG_ON(err >= 0);
	if (!d)
		return err;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(d->text, sizeof(d->text), fmt, ap);
	va_end(ap);
	text_make_printable(d->text);
	d->cls = cls;
	return err;
}

err_t fail_sys(struct diag *d, enum err_class cls, err_t err, const char *fmt, ...)
{
	BUG_ON(err >= 0);
	if (!d)
		return err;
	char text[sizeof(d->text)], reason[128];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return fail(d, cls, err, "%.600s: %s", text, strerror_r(-err, reason, sizeof(reason)));
}

void diag_prepend(struct diag *d, const char *fmt, ...)
{
	if (!d)
		return;
	char old[sizeof(d->text)], context[sizeof(d->text)];
	memcpy(old, d->text, sizeof(old));
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	snprintf(d->text, sizeof(d->text), "%.380s: %.380s", context, old);
	text_make_printable(d->text);
}

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool bytes_equal_str(struct bytes a, const char *s)
{
	return bytes_equal(a, BYTES_STR(s));
}

int bytes_compare(struct bytes a, struct bytes b)
{
	size_t n = min_of(a.n, b.n);
	int order = n ? memcmp(a.p, b.p, n) : 0;
	if (order)
		return order;
	return a.n < b.n ? -1 : a.n > b.n;
}

err_t buf_reserve(struct buf *b, size_t extra)
{
	size_t need;
	if (__builtin_add_overflow(b->n, extra, &need))
		return -E2BIG;
	if (b->limit && need > b->limit)
		return -E2BIG;
	if (need <= b->cap)
		return 0;
	size_t cap = max_of(b->cap, (size_t)256);
	while (cap < need)
		if (__builtin_mul_overflow(cap, (size_t)2, &cap))
			return -E2BIG;
	uint8_t *p = realloc(b->p, cap);
	if (!p)
		return -ENOMEM;
	b->p = p;
	b->cap = cap;
	return 0;
}

err_t buf_append(struct buf *b, const void *p, size_t n)
{
	err_t err = buf_reserve(b, n);
	if (err)
		return err;
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	return 0;
}

err_t buf_append_zeros(struct buf *b, size_t n)
{
	err_t err = buf_reserve(b, n);
	if (err)
		return err;
	if (n)
		memset(b->p + b->n, 0, n);
	b->n += n;
	return 0;
}

void buf_fini(struct buf *b)
{
	free(b->p);
	*b = (struct buf){0};
}

static void *or_die(void *p)
{
	if (!p) {
		fputs("imgfs: out of memory\n", stderr);
		abort();
	}
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	return or_die(calloc(n, size));
}

char *xstrdup(const char *s)
{
	return or_die(strdup(s));
}

char *xstrdup_or_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
	size_t len = n ? strnlen(s, n) : 0;
	char *copy = or_die(malloc(len + 1));
	if (len)
		memcpy(copy, s, len);
	copy[len] = 0;
	return copy;
}

char *xasprintf(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return or_die(n < 0 ? NULL : text);
}

static uint64_t seed;

/* Before main, so that it is there for every thread. */
__attribute__((constructor)) static void seed_draw(void)
{
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = (uintptr_t)&seed; /* a kernel without the call: the place we were loaded to
					  */
}

uint64_t hash_seed(void)
{
	return seed;
}

void *try_array(size_t n, size_t size, size_t limit)
{
	return n > limit ? NULL : calloc(max_of(n, (size_t)1), size);
}

bool try_grow(void *array_ptr, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return true;
	size_t more = *cap ? *cap * 2 : 16, len;
	void *old, *p;
	memcpy(&old, array_ptr, sizeof(old));
	if (__builtin_mul_overflow(more, size, &len) || !(p = realloc(old, len)))
		return false;
	memcpy(array_ptr, &p, sizeof(p));
	*cap = more;
	return true;
}

void cleanup_free(void *ptr_to_ptr)
{
	void *p;
	memcpy(&p, ptr_to_ptr, sizeof(p));
	free(p);
}

void cleanup_fd(int *fd)
{
	int saved = errno;
	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

err_t write_all(int fd, const void *p, size_t n)
{
	for (const uint8_t *at = p; n;) {
		ssize_t done = write(fd, at, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

err_t write_at(int fd, const void *p, size_t n, uint64_t off)
{
	for (const uint8_t *at = p; n;) {
		ssize_t done = pwrite(fd, at, n, (off_t)off);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		at += done;
		n -= (size_t)done;
		off += (uint64_t)done;
	}
	return 0;
}

err_t read_at(int fd, void *p, size_t n, uint64_t off)
{
	for (uint8_t *at = p; n;) {
		ssize_t done = pread(fd, at, n, (off_t)off);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		if (done == 0)
			return -EBADMSG;
		at += done;
		n -= (size_t)done;
		off += (uint64_t)done;
	}
	return 0;
}

err_t read_file(const char *path, size_t limit, struct buf *out)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (;;) {
		err_t err = buf_reserve(out, 1);
		if (err)
			return err;
		ssize_t got = read(fd, out->p + out->n, out->cap - out->n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return 0;
		out->n += (size_t)got;
		if (limit && out->n > limit)
			return -E2BIG;
	}
}
