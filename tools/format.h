/*
 * format - values as people read them: modes, times, sizes, and names that may hold any byte
 *
 * Nothing here depends on a locale or a time zone: the same image gives the same text everywhere.
 */
#ifndef IMGFS_TOOLS_FORMAT_H
#define IMGFS_TOOLS_FORMAT_H

#include "index/base.h"

#include <stdio.h>

#define FORMAT_TEXT_MAX 64 /* room for any text of this file but names */

/* format_mode - "drwxr-sr-t" as `ls -l` shows it; returns buf. */
const char *format_mode(uint32_t mode, char buf[FORMAT_TEXT_MAX]);
/* format_minute - "2024-02-29 23:59", UTC; "@SECONDS" for years that a calendar does not have. */
const char *format_minute(int64_t seconds, char buf[FORMAT_TEXT_MAX]);
/* format_time - "2024-02-29 23:59:59.000000001 UTC". */
const char *format_time(int64_t seconds, uint32_t ns, char buf[FORMAT_TEXT_MAX]);
/* format_size - "512 B", "1.5 KiB", "2.0 GiB": rounded to the nearest tenth. */
const char *format_size(uint64_t bytes, char buf[FORMAT_TEXT_MAX]);
/* format_size_short - "512", "1.5K", "12M", as `ls -h` does it: rounded up. */
const char *format_size_short(uint64_t bytes, char buf[FORMAT_TEXT_MAX]);
/* format_percent - "1.37 %" of a whole; "-" when the whole is 0. */
const char *format_percent(uint64_t part, uint64_t whole, char buf[FORMAT_TEXT_MAX]);
/* format_type - "directory", "file", "symlink", "char", "block", "fifo", "socket", "unknown". */
const char *format_type(uint32_t mode);

/*
 * format_utf8_len - bytes of the well-formed UTF-8 sequence at p (n >= 1 bytes), 0 when there is
 * none. Unicode 15, table 3-7: no overlong form, no surrogate, nothing above U+10FFFF.
 */
size_t format_utf8_len(const uint8_t *p, size_t n);
/* format_is_utf8 - whether all of it is. */
bool format_is_utf8(struct bytes text);

/*
 * format_is_control - whether a well-formed sequence must not reach a terminal: C0 and C1 controls,
 * DEL, line separators, marks that change the direction of text. All are below U+10000.
 */
bool format_is_control(const uint8_t *p, size_t len);

/*
 * format_name - a name for a terminal or a line of text
 * Control characters, characters that change the direction of text, and bytes that are not UTF-8
 * become \ooo (octal, one a byte); a backslash becomes two. So it can be undone, and can not move a
 * cursor.
 */
void format_name(FILE *out, struct bytes name);
/* format_raw - the bytes as they are. */
void format_raw(FILE *out, struct bytes name);

#endif
