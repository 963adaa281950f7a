/*
 * What a container starts with. A runtime works for a tenth of a second and more between its first
 * look at a tree and the first instruction of the program: by then that and its libraries may be
 * here. Which program it will be says the image's config, or who starts it. Words behind it count
 * where they name files: a script, or the program of an entrypoint that ends in `exec "$@"`. The
 * loader goes on from there (content_loader.c).
 *
 * Somebody may ask for STATFS and start nothing: a few megabytes then came for nothing. A hostile
 * image can make the names cost half a second: a worker looks for them.
 */
#include "fetch/content_priv.h"

#include "index/file_at.h"
#include "index/program.h"

#include <string.h>

#define WORDS_MAX 16

/* What is read of every container, if it is there: by the runtime, which looks for the user, by the
 * dynamic loader, and by programs that ask for the usual locale. */
static const char *const usual[] = {"/etc/passwd", "/etc/group", "/etc/ld.so.cache",
				    "/usr/lib/locale/C.utf8/LC_CTYPE"};

/* Where programs are looked for if the image does not say it. */
#define SEARCH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct bytes expect_search(const struct content *c)
{
	for (char *const *env = c->image->config.env; env && *env; env++)
		if (!strncmp(*env, "PATH=", strlen("PATH=")))
			return BYTES_STR(*env + strlen("PATH="));
	return BYTES_STR(SEARCH_DEFAULT);
}

static struct bytes text_bytes(const char *text)
{
	return text ? BYTES_STR(text) : (struct bytes){0};
}

static void expect_word(struct content *c, struct bytes cwd, const char *word, bool first)
{
	const struct index *tree = c->image->tree;
	struct bytes search = expect_search(c), name = text_bytes(word);
	uint32_t row;
	bool found = !first && *word != '/' && file_at(tree, cwd, name, &row);
	if (found || program_find(tree, search, cwd, name, &row))
		loader_expect(c, row);
}

void expect_run(struct content *c)
{
	const struct image_config *config = &c->image->config;
	char *const *words = c->expected_words;
	char *const *lists[] = {words ? words : config->entrypoint, words ? NULL : config->cmd};
	const char *cwd = c->expected_cwd ? c->expected_cwd : config->working_dir;
	auto_free char *dir = xasprintf("/%s", cwd ? cwd : "");
	unsigned n = 0;
	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		expect_word(c, text_bytes("/"), usual[i], false);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (char *const *word = lists[i]; word && *word && n < WORDS_MAX; word++)
			expect_word(c, text_bytes(dir), *word, n++ == 0);
}

void content_expect(struct content *c, char *const *words, const char *cwd)
{
	if (!c->loader || c->image->options.offline ||
	    atomic_load_explicit(&c->expected, memory_order_relaxed) ||
	    atomic_exchange_explicit(&c->expected, true, memory_order_relaxed))
		return;
	c->expected_words = words;
	c->expected_cwd = cwd;
	/* What is here under another layer need not be fetched: the loader waits for that look. */
	if (share_pending(c))
		content_queue_work(c, 0, SHARE_LOAD_GROUP);
	content_queue_work(c, 0, EXPECT_GROUP);
}
