/*
 * find - the tests and actions of find(1) over the tree of an image
 *
 * Words become an expression, checked as a whole before an image is opened; the expression is then
 * asked about one inode at a time. What the words mean is findutils' meaning; what differs is said
 * in cmd_find.c.
 */
#ifndef IMGFS_TOOLS_FIND_H
#define IMGFS_TOOLS_FIND_H

#include "index/index.h"

#include <stdio.h>

#define FIND_WORDS_MAX 1000 /* of one expression; bounds the recursion of its evaluation */

/* What is tested: an inode under one of its names. */
struct candidate {
	const struct index *tree;
	uint32_t row;
	struct inode inode;
	struct bytes path, name; /* of the root, both are "/" */
	struct bytes start;	 /* the path that the walk began with, a prefix of `path` */
	uint64_t depth;		 /* below the start; 0 is the start itself */
};

/* The moment that -mtime counts from. */
struct find_time {
	int64_t seconds;
	uint32_t ns;
};

/* The argument of a test, as far as it is known before an image is; texts are the words'. */
struct find_value {
	const char *text;
	char sign; /* '+' more, '-' less (with -perm: all of), '/' any of, 0 exactly */
	uint64_t number;
	uint64_t unit;	       /* bytes of -size, seconds of -mtime and -mmin */
	uint32_t bits;	       /* a mode, or one bit a type (1 << (S_IFMT >> 12)) */
	struct find_time time; /* of -newer, the present of -mtime */
	uint32_t row;	       /* of -samefile */
};

/* --- values (find_values.c); -EINVAL with a text --- */

/* find_number - "[+-]N". */
err_t find_number(const char *text, struct find_value *out, struct diag *d) must_check;
/* find_size - "[+-]N[cwbkMG]"; blocks of 512 bytes without a letter. */
err_t find_size(const char *text, struct find_value *out, struct diag *d) must_check;
/* find_types - "f", "d,l": letters of bcdpfls with commas between. */
err_t find_types(const char *text, struct find_value *out, struct diag *d) must_check;
/* find_mode - "[-/]MODE", octal or as chmod(1) knows it from 0 on ("u+w,g=rx"), without X. */
err_t find_mode(const char *text, struct find_value *out, struct diag *d) must_check;
/* find_date - "2024-02-29", "2024-02-29 23:59[:59]" (or a T between), "@SECONDS"; UTC. */
err_t find_date(const char *text, struct find_value *out, struct diag *d) must_check;
/* find_compare - whether a number is what a value wants. */
bool find_compare(const struct find_value *value, uint64_t number);

/* --- tests (find_tests.c) --- */

enum primary_kind {
	PRIMARY_TEST,
	PRIMARY_PRINT, /* an action: what is done is up to the one who asked */
	PRIMARY_PRINT0,
	PRIMARY_LS,
	PRIMARY_PRINTF,
	PRIMARY_PRUNE,
	PRIMARY_QUIT,
	PRIMARY_MAXDEPTH, /* of the whole expression, always true */
	PRIMARY_MINDEPTH,
	PRIMARY_DEPTH,
};

struct primary {
	const char *name; /* "-name" */
	enum primary_kind kind;
	bool has_argument;
	err_t (*parse)(const char *text, struct find_value *out, struct diag *d);
	/* what needs the image: -newer */
	err_t (*bind)(const struct index *tree, struct find_value *value, struct diag *d);
	bool (*test)(const struct find_value *value, const struct candidate *c);
};

/* find_primary - the row of a word; NULL when it is no test or action. */
const struct primary *find_primary(const char *word);
/* find_primary_name - all of them, one after the other; NULL past the last. */
const char *find_primary_name(size_t i);

/* --- expressions (find_expression.c) --- */

/* find_arity - words that must follow this one in an expression: 0 or 1; -1 when it is no word of
 * one. */
int find_arity(const char *word);

struct expression;

/*
 * expression_parse - words, joined as findutils does: ( ), ! , -a or nothing, -o, the comma
 * @now  what -mtime counts from
 * No words are true. Without an action but -prune and -quit, the whole is followed by -print.
 * The words are borrowed. -EINVAL (ERR_USAGE) with a text.
 */
err_t expression_parse(char **words, size_t n, struct find_time now, struct expression **out,
		       struct diag *d) must_check;
void expression_free(struct expression **e);

/* expression_bind - look up the paths in it; before the first expression_eval. -ENOENT, -ENOTDIR,
 * -ELOOP (ERR_NOT_FOUND). */
err_t expression_bind(struct expression *e, const struct index *tree, struct diag *d) must_check;

/* expression_depths - how deep candidates may lie; [0, UINT64_MAX] where nothing is said. */
void expression_depths(const struct expression *e, uint64_t *min, uint64_t *max);
/* expression_has - whether an action of this kind is in it. */
bool expression_has(const struct expression *e, enum primary_kind action);
/* expression_check - call `check` with the argument of every action of this kind; the first error.
 */
err_t expression_check(const struct expression *e, enum primary_kind action,
		       err_t (*check)(const char *text, struct diag *d), struct diag *d);

/* What an evaluation calls for, besides its actions. */
struct find_outcome {
	bool prune, quit;
};
/* expression_eval - test a candidate; `act` is called for each action that is reached, in order. */
bool expression_eval(const struct expression *e, const struct candidate *c,
		     void (*act)(void *context, const struct candidate *c, enum primary_kind action,
				 const char *text),
		     void *context, struct find_outcome *outcome);

#endif
