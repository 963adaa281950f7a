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
#include "index/path.h"
#include "index/program.h"

#include <string.h>

/* What is read of every container, if it is there: by the runtime, which looks for the user, by the
 * dynamic loader, and by programs that ask for the usual locale. */
static const char *const usual[] = {"/etc/passwd", "/etc/group", "/etc/ld.so.cache",
				    "/usr/lib/locale/C.utf8/LC_CTYPE"};

/* Where programs are looked for if the image does not say it. */
#define SEARCH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static struct bytes text_bytes(const char *text)
{
	return text ? BYTES_STR(text) : (struct bytes){0};
}

struct bytes expect_env(const struct content *c, const char *name)
{
	size_t n = strlen(name);
	for (char *const *env = c->image->config.env; env && *env; env++)
		if (!strncmp(*env, name, n) && (*env)[n] == '=')
			return BYTES_STR(*env + n + 1);
	return (struct bytes){0};
}

struct bytes expect_search(const struct content *c)
{
	struct bytes search = expect_env(c, "PATH");
	return search.n ? search : BYTES_STR(SEARCH_DEFAULT);
}

char *expect_dir(const struct content *c)
{
	const char *given = atomic_load(&c->expected_cwd);
	const char *dir = given ? given : c->image->config.working_dir;
	return xasprintf("/%s", dir ? dir : "");
}

size_t expect_words(const struct content *c, const char *words[EXPECT_WORDS_MAX])
{
	const struct image_config *config = &c->image->config;
	char *const *given = atomic_load(&c->expected_words);
	char *const *lists[] = {given ? given : config->entrypoint, given ? NULL : config->cmd};
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (char *const *word = lists[i]; word && *word && n < EXPECT_WORDS_MAX; word++)
			words[n++] = *word;
	return n;
}

/* --- the files --- */

static void expect_word(struct content *c, struct bytes cwd, const char *word, bool first)
{
	const struct index *tree = c->image->tree;
	struct bytes search = expect_search(c), name = text_bytes(word);
	struct buf path = {0};
	uint32_t row;
	bool found = !first && *word != '/' && file_at(tree, cwd, name, &row) &&
		     path_join(cwd, name, &path);
	if (found || program_find(tree, search, cwd, name, &row, &path))
		loader_expect(c, row, &path);
	buf_fini(&path);
}

void expect_run(struct content *c)
{
	auto_free char *dir = expect_dir(c);
	const char *words[EXPECT_WORDS_MAX];
	size_t n = expect_words(c, words);
	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		expect_word(c, text_bytes("/"), usual[i], false);
	for (size_t i = 0; i < n; i++)
		expect_word(c, text_bytes(dir), words[i], i == 0);
}

void content_expect(struct content *c, char *const *words, const char *cwd)
{
	if (!c->loader || c->image->options.offline ||
	    atomic_load_explicit(&c->expected, memory_order_relaxed) ||
	    atomic_exchange_explicit(&c->expected, true, memory_order_relaxed))
		return;
	atomic_store(&c->expected_words, words);
	atomic_store(&c->expected_cwd, cwd);
	/* What is here under another layer need not be fetched: the loader waits for that look. */
	if (share_pending(c))
		content_queue_work(c, 0, SHARE_LOAD_GROUP);
	content_queue_work(c, 0, EXPECT_GROUP);
}
