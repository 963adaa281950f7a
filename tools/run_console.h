/*
 * run_console - our terminal and the container's, joined
 *
 * The runtime makes a pseudoterminal inside the container and sends its master end through a socket
 * (runc's docs/terminals.md). From then on keys go to it as bytes, and what the container writes
 * comes from it; Ctrl-C is a byte, too, and a signal only inside.
 */
#ifndef IMGFS_TOOLS_RUN_CONSOLE_H
#define IMGFS_TOOLS_RUN_CONSOLE_H

#include "index/base.h"

#include <poll.h>
#include <termios.h>

#define CONSOLE_PIECE 4096 /* bytes on their way, each direction */
#define CONSOLE_FDS   3	   /* that console_poll fills */

struct pump {
	int from, to;
	size_t at, n; /* bytes [at, n) wait to be written */
	bool ended;
	uint8_t piece[CONSOLE_PIECE];
};

struct console {
	char *path;  /* of the socket, for --console-socket; owned */
	int socket;  /* listens */
	int master;  /* -1 before console_accept */
	bool is_raw; /* our terminal, with its former modes in `before` */
	struct termios before;
	struct pump in, out;
};

/* console_open - the socket, in a folder of ours. -ENAMETOOLONG: the folder's name. */
err_t console_open(const char *dir, struct console *out, struct diag *d) must_check;
/* console_accept - the runtime has sent the master: take it, and make our terminal raw. */
err_t console_accept(struct console *c, struct diag *d) must_check;
/* console_resize - the container's terminal gets the size of ours. */
void console_resize(struct console *c);
/* console_poll - what to wait for; fds that need nothing get -1. */
void console_poll(const struct console *c, struct pollfd fds[CONSOLE_FDS]);
/* console_move - what can be moved without waiting, after poll(2). -EPIPE: nobody reads our output
 * any more; -EIO: our terminal has hung up. */
err_t console_move(struct console *c, const struct pollfd fds[CONSOLE_FDS]) must_check;
/* console_hang_up - the container's terminal does, too: SIGHUP for who has the keyboard, and an end
 * for every read. */
void console_hang_up(struct console *c);
/* console_drain - what the container wrote last, until its end is closed; 1 s at the most. */
void console_drain(struct console *c);
/* console_close - our terminal as it was; for one of zeroes, too. */
void console_close(struct console *c);

#endif
