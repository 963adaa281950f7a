/*
 * Signals are blocked but for the moments in which we wait (ppoll), so a handler only sets a flag
 * and nothing has to be restored from inside one. A frame is put together in memory and written at
 * once; each line erases what is left of the one below, so nothing flickers.
 */
#include "tools/screen.h"

#include "fetch/log.h"
#include "tools/format.h"
#include "tools/terminal.h"
#include "tools/text.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ENTER "\x1b[?1049h\x1b[?25l" /* the other screen, no cursor */
#define LEAVE "\x1b[0m\x1b[?25h\x1b[?1049l"

#define DEFAULT_LINES 24
#define ESCAPE_MS     25 /* the rest of a key's sequence comes with its first byte */

static const int watched[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};

static struct {
	bool taken, exit_hooked;
	struct termios found;
	struct sigaction old[ARRAY_LEN(watched)];
	sigset_t old_mask;
	/* set by handlers, which run in ppoll only */
	volatile sig_atomic_t ended_by, resized, stopped;
} screen;

bool screen_is_possible(void)
{
	const char *term = getenv("TERM");

	return terminal_is(STDIN_FILENO) && terminal_is(STDOUT_FILENO) && term && *term &&
	       strcmp(term, "dumb") != 0;
}

static void on_signal(int number)
{
	if (number == SIGWINCH)
		screen.resized = 1;
	else if (number == SIGTSTP)
		screen.stopped = 1;
	else
		screen.ended_by = number;
}

/* Ctrl-C and Ctrl-Z stay signals; everything else is a key. */
static err_t enter(void)
{
	struct termios raw = screen.found;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_oflag &= ~(tcflag_t)OPOST;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw))
		return -errno;
	return write_all(STDOUT_FILENO, ENTER, sizeof(ENTER) - 1);
}

static void leave(void)
{
	/* A terminal that is gone takes neither, and needs neither. */
	if (write_all(STDOUT_FILENO, LEAVE, sizeof(LEAVE) - 1))
		return;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &screen.found);
}

static void watch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t block;

	sigemptyset(&block);
	for (size_t i = 0; i < ARRAY_LEN(watched); i++)
		sigaddset(&block, watched[i]);
	sigprocmask(SIG_BLOCK, &block, &screen.old_mask);
	for (size_t i = 0; i < ARRAY_LEN(watched); i++) {
		sigaction(watched[i], NULL, &screen.old[i]);
		/* What was ignored, by nohup say, stays so. */
		if (screen.old[i].sa_handler != SIG_IGN)
			sigaction(watched[i], &action, NULL);
	}
}

static void unwatch_signals(void)
{
	for (size_t i = 0; i < ARRAY_LEN(watched); i++)
		sigaction(watched[i], &screen.old[i], NULL);
	sigprocmask(SIG_SETMASK, &screen.old_mask, NULL);
}

err_t screen_open(void)
{
	err_t err;

	BUG_ON(screen.taken);
	if (tcgetattr(STDIN_FILENO, &screen.found))
		return -errno;
	if (!screen.exit_hooked && atexit(screen_close))
		return -ENOMEM;
	screen.exit_hooked = true;
	watch_signals();
	screen.taken = true;
	err = enter();
	if (err)
		screen_close();
	return err;
}

void screen_close(void)
{
	if (!screen.taken)
		return;
	screen.taken = false;
	leave();
	unwatch_signals();
}

void screen_end_process(void)
{
	if (!screen.ended_by)
		return;
	signal(screen.ended_by, SIG_DFL);
	raise(screen.ended_by);
}

void screen_size(unsigned *columns, unsigned *lines)
{
	struct winsize window;

	*columns = terminal_width(STDOUT_FILENO);
	*lines = DEFAULT_LINES;
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) && window.ws_row)
		*lines = window.ws_row;
}

/* ---- drawing ---- */

/* Bytes of a colour's sequence that begins here; 0: none does. */
static size_t colour_len(const char *p)
{
	size_t n;

	if (p[0] != '\x1b' || p[1] != '[')
		return 0;
	n = 2 + strspn(p + 2, "0123456789;");
	return p[n] == 'm' ? n + 1 : 0;
}

/* One line, cut to the width: colours cost nothing, also behind the cut. */
static void put_line(FILE *out, const char *line, size_t n, unsigned columns)
{
	size_t used = 0;

	for (size_t i = 0, len; i < n; i += len) {
		size_t width = 0;

		len = colour_len(line + i);
		if (!len) {
			len = max_of(format_utf8_len((const uint8_t *)line + i, n - i), (size_t)1);
			/* text_width counts how a name is written; this has been written already.
			 */
			width = line[i] == '\\' ? 1
						: text_width((struct bytes){
							  (const uint8_t *)line + i, len});
		}
		if (used + width <= columns)
			fwrite(line + i, 1, len, out);
		used += width;
	}
	fputs("\x1b[0m\x1b[K", out);
}

err_t screen_draw(const char *text)
{
	auto_free char *frame = NULL;
	unsigned columns, lines;
	size_t n;
	FILE *out = open_memstream(&frame, &n);

	if (!out)
		return -ENOMEM;
	screen_size(&columns, &lines);
	fputs("\x1b[H", out);
	for (unsigned i = 0; *text && i < lines; i++) {
		size_t len = strcspn(text, "\n");

		if (i)
			fputs("\r\n", out);
		put_line(out, text, len, columns);
		text += len + (text[len] == '\n');
	}
	fputs("\x1b[J", out);
	if (fclose(out))
		return -ENOMEM;
	return write_all(STDOUT_FILENO, frame, n);
}

/* ---- waiting ---- */

/* Let the shell have the terminal until it says SIGCONT. */
static void stop_here(void)
{
	sigset_t only;

	leave();
	signal(SIGTSTP, SIG_DFL);
	raise(SIGTSTP);
	sigemptyset(&only);
	sigaddset(&only, SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &only, NULL); /* stopped here */
	sigprocmask(SIG_BLOCK, &only, NULL);
	sigaction(SIGTSTP, &(struct sigaction){.sa_handler = on_signal}, NULL);
	if (enter())
		screen.ended_by = SIGHUP;
}

/* Whether a byte comes until then; signals may come, too. */
static bool wait_byte(int64_t until_ms)
{
	struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
	int64_t left = max_of(until_ms - now_ms(), (int64_t)0);
	struct timespec time = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};

	return ppoll(&fd, 1, &time, &screen.old_mask) > 0;
}

static int next_byte(void)
{
	unsigned char byte;

	return read(STDIN_FILENO, &byte, 1) == 1 ? byte : SCREEN_ENDED;
}

/* Behind an ESC: the rest of an arrow's sequence, or nothing, if it was the key itself. */
static int rest_of_escape(void)
{
	int key;

	if (!wait_byte(now_ms() + ESCAPE_MS))
		return SCREEN_ESCAPE;
	key = next_byte();
	if (key != '[' && key != 'O')
		return SCREEN_ESCAPE;
	do
		key = wait_byte(now_ms() + ESCAPE_MS) ? next_byte() : SCREEN_ESCAPE;
	while ((key >= '0' && key <= '9') || key == ';');
	switch (key) {
	case 'A':
		return SCREEN_UP;
	case 'B':
		return SCREEN_DOWN;
	case 'C':
		return SCREEN_RIGHT;
	case 'D':
		return SCREEN_LEFT;
	default:
		return SCREEN_TIMEOUT; /* a key without a meaning here */
	}
}

int screen_wait(int64_t until_ms)
{
	bool byte = wait_byte(until_ms);
	int key;

	if (screen.ended_by)
		return SCREEN_ENDED;
	if (screen.stopped) {
		screen.stopped = 0;
		stop_here();
		return screen.ended_by ? SCREEN_ENDED : SCREEN_RESIZED;
	}
	if (screen.resized) {
		screen.resized = 0;
		return SCREEN_RESIZED;
	}
	if (!byte)
		return SCREEN_TIMEOUT;
	key = next_byte();
	return key == '\x1b' ? rest_of_escape() : key;
}
