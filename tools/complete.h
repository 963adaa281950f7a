/*
 * complete - what may stand at the cursor of a command line, for bash, zsh and fish
 *
 * The scripts of tools/completions/ ask the program itself, which answers from its tables, from the
 * store and from the local disk: never from the network, and without a word about errors.
 */
#ifndef IMGFS_TOOLS_COMPLETE_H
#define IMGFS_TOOLS_COMPLETE_H

#include "tools/describe.h"

#define COMPLETE_COMMAND "__complete" /* not listed: nobody types it */

/*
 * complete - answer on standard output; the exit status, always 0 for a shell that is known
 * @argv  "bash", $COMP_WORDBREAKS, the line up to the cursor;
 *        or "zsh" or "fish", and the words behind the program's name, the last one up to the cursor
 * The first line says what the shell shall add by itself: "words" (nothing), "files" or
 * "directories", and behind a blank what of the word stands before the file ("--log="). Then a
 * candidate a line: for bash quoted as it is to be inserted, with a blank behind a word that is
 * complete; for the others as it is, and behind a tab what it means. One that ends in "/", ":" or
 * "=" goes on.
 * Names that hold control characters, or are not UTF-8, are left out.
 */
int complete(const struct command *const *table, int argc, char **argv);

#endif
