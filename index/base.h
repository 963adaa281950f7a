/*
 * base - what every file of imgfs stands on: results, diagnostics, byte views, ownership, our-bug
 * assertions
 *
 * Three kinds of error never mix:
 *   our bug         BUG_ON, always compiled, aborts with the place;
 *   bytes that lie  -EBADMSG (content, files), -EPROTO (a peer on the network); never an assert;
 *   the world       -errno; retried in one place only (fetch/).
 */
#ifndef IMGFS_INDEX_BASE_H
#define IMGFS_INDEX_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* 0 or -errno. A count is never an err_t. */
typedef int err_t;

#define must_check	  __attribute__((warn_unused_result))
#define printf_like(f, a) __attribute__((format(printf, f, a)))

/*
 * BUG_ON - state a fact that only a bug of ours can break; aborts with file, line and the
 * expression. Never used on bytes from a file, the network or the user.
 */
#define BUG_ON(cond)                                                                               \
	do {                                                                                       \
		if (__builtin_expect(!!(cond), 0))                                                 \
			bug(__FILE__, __LINE__, #cond);                                            \
	} while (0)
_Noreturn void bug(const char *file, int line, const char *what);

/* The class of a failure decides the exit status of the command: the values are those of `imgfs
 * help exit-codes`. */
enum err_class {
	ERR_OTHER = 1,	     /* anything else */
	ERR_USAGE = 2,	     /* the command line is wrong */
	ERR_NOT_FOUND = 3,   /* no such image, path or mount */
	ERR_DENIED = 4,	     /* credentials or permissions */
	ERR_NETWORK = 5,     /* no answer, or not a usable one */
	ERR_INTEGRITY = 6,   /* bytes that do not match their digest, malformed images */
	ERR_STORE = 7,	     /* the local store can not be read or written */
	ERR_RATE = 8,	     /* the registry limits our rate */
	ERR_UNSUPPORTED = 9, /* a kind of image that imgfs does not know */
};

/*
 * A small diagnostic for cold paths. The caller owns it (usually on the stack, DIAG_INIT), the
 * callee that fails fills it, callers in between prepend context, and it is printed once, where the
 * failure is decided. Hot paths take none. Every function that takes a `struct diag *` accepts
 * NULL.
 */
struct diag {
	enum err_class cls;
	char text[768];
};
#define DIAG_INIT                                                                                  \
	{                                                                                          \
		.cls = ERR_OTHER, .text = ""                                                       \
	}

/*
 * fail - fill a diagnostic and pass the error on
 * Replaces earlier text; the new one goes through text_make_printable. Returns err (which must be
 * negative), so that `return fail(...)` reads well.
 */
err_t fail(struct diag *d, enum err_class cls, err_t err, const char *fmt, ...) printf_like(4, 5);

/* fail_sys - the same with ": strerror(-err)" appended; class ERR_OTHER unless cls says more. */
err_t fail_sys(struct diag *d, enum err_class cls, err_t err, const char *fmt, ...)
	printf_like(4, 5);

/*
 * text_make_printable - replace by '?' what a hostile name or server could move a cursor or hide
 * words with: C0 and C1 controls (the latter in UTF-8), and the marks of Unicode that have no width
 * or turn the direction of text (U+200B..U+200F, U+202A..U+202E, U+2066..U+2069, U+FEFF)
 * In place: the text never becomes longer. Other bytes stay as they are, UTF-8 or not.
 */
void text_make_printable(char *s);

/* diag_prepend - put "context: " before what is there. */
void diag_prepend(struct diag *d, const char *fmt, ...) printf_like(2, 3);

/* A view of bytes that somebody else owns. Names, targets and values are bytes, not C strings. */
struct bytes {
	const uint8_t *p;
	size_t n;
};
#define BYTES_STR(s) ((struct bytes){(const uint8_t *)(s), __builtin_strlen(s)})
bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_equal_str(struct bytes a, const char *s);
/* bytes_compare - memcmp order, a prefix sorts first. */
int bytes_compare(struct bytes a, struct bytes b);

/*
 * A growable buffer that owns its bytes. Zero-initialise ({0}) and free with buf_fini.
 * Functions return -ENOMEM when memory ends and -E2BIG when `limit` (0: none) would be passed.
 */
struct buf {
	uint8_t *p;
	size_t n;
	size_t cap;
	size_t limit;
};
err_t buf_reserve(struct buf *b, size_t extra) must_check;
err_t buf_append(struct buf *b, const void *p, size_t n) must_check;
err_t buf_append_zeros(struct buf *b, size_t n) must_check;
void buf_fini(struct buf *b);
static inline struct bytes buf_bytes(const struct buf *b)
{
	return (struct bytes){b->p, b->n};
}

/* new_of - a zeroed object of constant size; aborts when memory is exhausted (it is our size, not
 * the input's). */
#define new_of(T) ((T *)xcalloc(1, sizeof(T)))
void *xcalloc(size_t n, size_t size);
char *xstrdup(const char *s);
/* xstrdup_or_null - NULL of NULL. */
char *xstrdup_or_null(const char *s);
/* xstrndup - at most n bytes of s, which needs no NUL then. */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) printf_like(1, 2);

/* try_array - n zeroed elements of a size that came from outside; NULL when n > limit or memory
 * ends. */
void *try_array(size_t n, size_t size, size_t limit);

/* try_grow - make room for one more element in *array; doubles *cap; false when memory ends. */
bool try_grow(void *array_ptr, size_t n, size_t *cap, size_t size);

/* Ownership by attribute: freed or closed when the variable leaves its scope. */
#define auto_free __attribute__((cleanup(cleanup_free)))
#define auto_fd	  __attribute__((cleanup(cleanup_fd)))
#define auto_buf  __attribute__((cleanup(buf_fini)))
void cleanup_free(void *ptr_to_ptr);
void cleanup_fd(int *fd);
/* take - give the pointer away: returns it and leaves NULL behind. */
#define take(pp)                                                                                   \
	({                                                                                         \
		__typeof__(*(pp)) taken_ = *(pp);                                                  \
		*(pp) = NULL;                                                                      \
		taken_;                                                                            \
	})

/* hash_seed - a random number of this process: for tables in memory, so that their collisions can
 * not be prepared. */
uint64_t hash_seed(void);

/* add_u64 - a + b; false when it does not fit. */
static inline bool add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define min_of(a, b)                                                                               \
	({                                                                                         \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		a_ < b_ ? a_ : b_;                                                                 \
	})
#define max_of(a, b)                                                                               \
	({                                                                                         \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		a_ > b_ ? a_ : b_;                                                                 \
	})

/*
 * write_all, read_at - whole transfers on a descriptor: EINTR and short transfers are continued.
 * read_at returns -EBADMSG when the file ends before n bytes.
 */
err_t write_all(int fd, const void *p, size_t n) must_check;
err_t write_at(int fd, const void *p, size_t n, uint64_t off) must_check;
err_t read_at(int fd, void *p, size_t n, uint64_t off) must_check;
/* read_file - a whole file of at most `limit` bytes into an empty buffer; -E2BIG beyond. */
err_t read_file(const char *path, size_t limit, struct buf *out) must_check;

#endif
