/*
 * interrupt - Ctrl-C while layers are streamed
 *
 * Between interrupt_watch and interrupt_unwatch a first SIGINT, SIGTERM or SIGHUP ends the source's
 * calls, so that whoever streams returns, and cleans up; a second one ends the process at once.
 * Outside, signals do what they usually do. One watch at a time, from the main thread.
 */
#ifndef IMGFS_TOOLS_INTERRUPT_H
#define IMGFS_TOOLS_INTERRUPT_H

#include "fetch/source.h"

/* interrupt_watch - the source must outlive the watch; NULL: whoever works asks interrupt_signal.
 * Signals that were ignored stay ignored. */
void interrupt_watch(struct source *source);
/* interrupt_unwatch - joins the watching thread and restores the signals. */
void interrupt_unwatch(void);
/* interrupt_signal - the signal that came during a watch, ever; 0: none. */
int interrupt_signal(void);
/* interrupt_end_process - end as that signal ends a process, so that a shell's loop stops too;
 * returns when there was none. */
void interrupt_end_process(void);

#endif
