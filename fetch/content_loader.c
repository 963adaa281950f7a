/*
 * What the dynamic loader will read next. A program that has just been opened tells in its first
 * bytes which of its segments are filled with addresses before any of its code runs, and which
 * libraries are opened for it, which tell the same. The loader itself comes to one after the other,
 * and waits for each. So the first miss in a file makes it an object, if its head comes with that
 * or is here: where that is the head of a program or a library, these segments (all of it, where it
 * is small) and its libraries are fetched at the priority of read-ahead, and theirs. Of a script it
 * is the interpreter that is fetched. Who starts a container names the first objects himself
 * (content_expect.c). What is a module of a language, and what that imports, is known in
 * content_loader_modules.c.
 *
 * Nothing waits here. Objects go on in loader_feed, at the end of each batch, as far as their bytes
 * are in the store; what does not come within OBJECT_MS is forgotten. Libraries are guesses, and
 * judged: where most of them are not read (`file *` opens programs and does not run them), no more
 * objects are made; and no more than AHEAD_MAX of them are ever ahead of the reader, so an image
 * whose files name each other is not fetched as a whole.
 *
 * Of a layer that is one huge frame nothing is asked for: what is here of it is looked at.
 */
#include "fetch/content_loader_priv.h"

#include "index/path.h"

#include <string.h>

#define OBJECTS_MAX  256  /* modules apart */
#define PAUSE_MS     5000 /* after a source has failed */
#define QUEUE_MAX    64	  /* jobs waiting */
#define JUDGED_AFTER 16	  /* libraries */
#define GOOD_ONE_IN  4
#define AHEAD_MAX    256 /* libraries that nobody has read yet */
/* What is fetched because a container is expected: files, and their bytes. */
#define EXPECTED_MAX   64
#define EXPECTED_BYTES (64u << 20)

/* Many are fetched a good while before they are read: not at the cost of who waits for something.
 */
static const struct start start_module = {
	.priority = PRIORITY_PROFILE, .queue_max = QUEUE_MAX, .fetches = true};
static const struct start start_other = {
	.priority = PRIORITY_READAHEAD, .queue_max = QUEUE_MAX, .fetches = true};

/* By regular file. */
enum seen {
	UNSEEN,
	BEGUN,		/* an object that the reader came to, or that is expected */
	AWAITED,	/* a library that it has not come to yet */
	MODULE_AWAITED, /* the same, of a module */
	CAME,		/* and then it did */
};

struct loader *loader_new(const struct index *tree)
{
	const struct index_info *info = index_info(tree);
	struct loader *l = new_of(struct loader);
	l->first_row = info->n_dirs;
	l->n_rows = info->n_regular;
	/* Not touched before a file is missed in: of a large image, few pages are. */
	l->seen = try_array(max_of(l->n_rows, 1u), 1, UINT32_MAX);
	if (!l->seen)
		l->n_rows = 0;
	lock_init(&l->lock);
	lock_init(&l->feeder.lock);
	TAILQ_INIT(&l->objects);
	return l;
}

static _Atomic(uint8_t) *seen_of(struct loader *l, uint32_t row)
{
	return row >= l->first_row && row - l->first_row < l->n_rows ? &l->seen[row - l->first_row]
								     : NULL;
}

/* One step of a file's state; false: it is another one, or the row is no regular file. */
static bool seen_step(struct loader *l, uint32_t row, enum seen from, enum seen to)
{
	_Atomic(uint8_t) *seen = seen_of(l, row);
	uint8_t old = (uint8_t)from;
	return seen && atomic_load_explicit(seen, memory_order_relaxed) == old &&
	       atomic_compare_exchange_strong_explicit(seen, &old, (uint8_t)to,
						       memory_order_relaxed, memory_order_relaxed);
}

static void object_free(struct loader *l, struct object *o)
{
	TAILQ_REMOVE(&l->objects, o, in_list);
	l->n_objects -= o->reason != MODULE;
	modules_forget(l, o);
	library_user_fini(&o->user);
	python_imports_fini(&o->imports);
	js_imports_fini(&o->names);
	free(o);
}

/* Its bytes have not come: a reader that comes to it later makes a new one. */
static void object_give_up(struct loader *l, struct object *o)
{
	if (seen_step(l, o->row, AWAITED, UNSEEN))
		atomic_fetch_sub_explicit(&l->made, 1, memory_order_relaxed);
	if (seen_step(l, o->row, MODULE_AWAITED, UNSEEN))
		modules_taken_back(l, o);
	(void)seen_step(l, o->row, BEGUN, UNSEEN);
	object_free(l, o);
}

static void drop_objects(struct loader *l)
{
	struct object *o;
	modules_drop(l);
	while ((o = TAILQ_FIRST(&l->objects)) != NULL)
		object_give_up(l, o);
}

void loader_free(struct loader **lp)
{
	if (!*lp)
		return;
	struct loader *l = take(lp);
	drop_objects(l);
	for (size_t i = 0; i < l->n_news; i++)
		buf_fini(&l->news[i].path);
	python_fini(&l->modules.python);
	library_dirs_fini(&l->dirs);
	lock_fini(&l->feeder.lock);
	lock_fini(&l->lock);
	free((void *)l->seen);
	free(l);
}

/* --- the reader's side --- */

void loader_note(struct content *c, uint32_t row)
{
	struct loader *l = c->loader;
	if (!l)
		return;
	if (seen_step(l, row, AWAITED, CAME))
		atomic_fetch_add_explicit(&l->used, 1, memory_order_relaxed);
	else if (seen_step(l, row, MODULE_AWAITED, CAME))
		modules_read(c, row);
}

static bool is_of_use(const struct loader *l)
{
	uint32_t made = atomic_load_explicit(&l->made, memory_order_relaxed);
	uint32_t used = atomic_load_explicit(&l->used, memory_order_relaxed);
	return made < JUDGED_AFTER || used >= made / GOOD_ONE_IN;
}

/* Libraries that nobody has come to yet. */
static uint32_t n_ahead(const struct loader *l)
{
	uint32_t used = atomic_load_explicit(&l->used, memory_order_relaxed);
	uint32_t made = atomic_load_explicit(&l->made, memory_order_relaxed);
	return made - min_of(made, used);
}

static bool is_paused(const struct loader *l)
{
	int64_t until_ms = atomic_load_explicit(&l->paused_until_ms, memory_order_relaxed);
	return until_ms && now_ms() < until_ms;
}

/* Takes *path. */
static void news_add(struct loader *l, uint32_t row, enum head head, struct buf *path)
{
	lock_take(&l->lock);
	if (l->n_news < NEWS_MAX && seen_step(l, row, UNSEEN, BEGUN)) {
		l->news[l->n_news++] = (struct news){row, head, *path};
		*path = (struct buf){0};
	}
	atomic_store_explicit(&l->active, true, memory_order_relaxed);
	lock_drop(&l->lock);
	buf_fini(path);
}

void loader_missed(struct content *c, uint32_t row, uint64_t off)
{
	struct loader *l = c->loader;
	_Atomic(uint8_t) *seen = l ? seen_of(l, row) : NULL;
	if (!seen || atomic_load_explicit(seen, memory_order_relaxed) != UNSEEN || share_helps(c) ||
	    !is_of_use(l) || is_paused(l))
		return;
	struct buf unknown = {0};
	news_add(l, row, off == 0 ? HEAD_COMES : HEAD_HERE, &unknown);
}

void loader_expect(struct content *c, uint32_t row, struct buf *path)
{
	news_add(c->loader, row, HEAD_WANTED, path);
}

void loader_failed(struct content *c)
{
	if (c->loader)
		atomic_store_explicit(&c->loader->paused_until_ms, now_ms() + PAUSE_MS,
				      memory_order_relaxed);
}

/* --- bytes of an object --- */

static bool peek_run(struct content *c, uint32_t number, uint64_t at, size_t n, uint8_t *p)
{
	static const struct start look = {.fetches = false};
	const struct slot *slot = &c->slots[number];
	if (!content_rows_ahead(c, number, at, n, &look))
		return false;
	while (n) {
		struct chunk row;
		uint32_t chunk = chunk_table_at(slot_table(slot), at);
		chunk_table_get(slot_table(slot), chunk, &row);
		uint32_t off = (uint32_t)(at - row.stream_off);
		uint32_t len = (uint32_t)min_of((uint64_t)(row.stream_len - off), (uint64_t)n);
		if (p ? chunk_store_read(slot->chunks, chunk, off, len, p) != 0
		      : !chunk_store_has(slot->chunks, chunk))
			return false;
		at += len;
		if (p)
			p += len;
		n -= len;
	}
	return true;
}

/* The bytes [off, off + n) of the file, if all of them are in the store; p NULL: are they? */
static bool peek(struct content *c, uint32_t row, uint64_t off, size_t n, void *p)
{
	uint8_t *to = p;
	if (content_is_disproved(c, row))
		return false;
	while (n) {
		struct extent run;
		index_extent(c->image->tree, row, off, &run);
		size_t len = min_of(run.len, (uint64_t)n);
		if (run.hole && to)
			memset(to, 0, len);
		else if (!run.hole &&
			 !peek_run(c, c->slot_of_layer[run.layer], run.stream_off, len, to))
			return false;
		if (to)
			to += len;
		off += len;
		n -= len;
	}
	return true;
}

/* Ask for [off, off + len) of the file; *rest is what could not be asked for yet. */
static enum go ask(struct content *c, const struct object *o, struct elf_range range,
		   struct elf_range *rest)
{
	uint64_t from = range.off, to = range.off + range.len;
	enum start_end came = content_start_range(
		c, o->row, &from, to, o->reason == MODULE ? &start_module : &start_other);
	*rest = (struct elf_range){from, to - min_of(from, to)};
	if (came == START_DONE)
		return GO_ON;
	return came == START_NOTHING ? GO_END : GO_WAIT;
}

enum go need(struct content *c, struct object *o, uint64_t off, size_t n, void *p)
{
	struct elf_range rest;
	if (peek(c, o->row, off, n, p)) {
		o->asked = false;
		return GO_ON;
	}
	if (o->asked)
		return GO_WAIT;
	enum go came = ask(c, o, (struct elf_range){off, n}, &rest);
	o->asked = came == GO_ON;
	return came == GO_END ? GO_END : GO_WAIT;
}

enum go need_text(struct content *c, struct object *o, uint64_t off, size_t n, char *p, size_t *len)
{
	enum go came = need(c, o, off, n, p);
	const char *end = came == GO_ON ? memchr(p, 0, n) : NULL;
	*len = end ? (size_t)(end - p) : 0;
	return came;
}

/* --- objects --- */

void object_wish(struct object *o, uint64_t off, uint64_t len)
{
	if (len && o->n_wishes < ARRAY_LEN(o->wishes))
		o->wishes[o->n_wishes++] = (struct elf_range){off, len};
}

/* @dir: where it lies, which is taken; NULL: not known. Of a guess it is known that it will be
 * read, and so it is begun at once. NULL: there is no room for more. */
static struct object *object_add(struct content *c, uint32_t row, enum head head,
				 enum reason reason, struct buf *dir)
{
	struct loader *l = c->loader;
	struct inode inode;
	if (reason != MODULE && l->n_objects == OBJECTS_MAX)
		return NULL;
	struct object *o = new_of(struct object);
	index_inode(c->image->tree, row, &inode);
	o->row = row;
	o->head = head;
	o->reason = reason;
	o->size = inode.size;
	o->until_ms = now_ms() + OBJECT_MS;
	o->source = NO_ROW;
	library_user_init(&o->user, row, dir);
	if (head == HEAD_WANTED && o->size <= WHOLE_MAX)
		object_wish(o, 0, o->size);
	if (l->place)
		TAILQ_INSERT_AFTER(&l->objects, l->place, o, in_list);
	else
		TAILQ_INSERT_TAIL(&l->objects, o, in_list);
	if (l->place)
		l->place = o;
	l->n_objects += reason != MODULE;
	return o;
}

/* A file whose state is BEGUN already. NULL: there is no room. */
static struct object *expected_add(struct content *c, uint32_t row, struct buf *dir)
{
	struct loader *l = c->loader;
	struct object *o = NULL;
	if (l->n_expected < EXPECTED_MAX && l->expected_bytes < EXPECTED_BYTES)
		o = object_add(c, row, HEAD_WANTED, EXPECTED, dir);
	if (!o) {
		(void)seen_step(l, row, BEGUN, UNSEEN);
		return NULL;
	}
	l->n_expected++;
	l->expected_bytes += min_of(o->size, (uint64_t)WHOLE_MAX);
	return o;
}

static struct object *object_add_module(struct content *c, uint32_t row, struct buf *dir)
{
	struct loader *l = c->loader;
	if (!seen_step(l, row, UNSEEN, MODULE_AWAITED))
		return NULL;
	struct object *o = object_add(c, row, HEAD_WANTED, MODULE, dir);
	modules_made(l, o);
	return o;
}

struct object *object_module(struct content *c, uint32_t row, uint32_t dir, enum language language)
{
	struct object *o = object_add_module(c, row, NULL);
	if (!o)
		return NULL;
	o->source = dir;
	o->language = language;
	return o;
}

void object_named(struct content *c, const struct object *by, uint32_t row, struct buf *dir)
{
	struct loader *l = c->loader;
	if (by->reason == EXPECTED) {
		if (seen_step(l, row, UNSEEN, BEGUN))
			(void)expected_add(c, row, dir);
	} else if (by->reason == MODULE) {
		if (modules_have_room(c))
			(void)object_add_module(c, row, dir);
	} else if (l->n_objects < OBJECTS_MAX && n_ahead(l) < AHEAD_MAX &&
		   seen_step(l, row, UNSEEN, AWAITED)) {
		atomic_fetch_add_explicit(&l->made, 1, memory_order_relaxed);
		(void)object_add(c, row, HEAD_WANTED, NAMED, dir);
	}
}

/* What can not be fetched ahead is left to the reader. */
void object_ask_wishes(struct content *c, struct object *o)
{
	while (o->n_wishes) {
		struct elf_range *last = &o->wishes[o->n_wishes - 1];
		if (ask(c, o, *last, last) == GO_WAIT)
			return;
		o->n_wishes--;
	}
}

static enum go need_head(struct content *c, struct object *o, size_t n, void *p)
{
	if (o->head == HEAD_WANTED)
		return need(c, o, 0, n, p);
	if (peek(c, o->row, 0, n, p))
		return GO_ON;
	if (o->head == HEAD_COMES)
		return GO_WAIT;
	(void)seen_step(c->loader, o->row, BEGUN, UNSEEN); /* a reader may still come to it */
	return GO_END;
}

static enum go step_head(struct content *c, struct object *o)
{
	uint8_t bytes[ELF_HEAD_LEN];
	struct bytes head = {bytes, min_of(o->size, (uint64_t)sizeof(bytes))};
	enum go came = need_head(c, o, head.n, bytes);
	if (came != GO_ON)
		return came;
	o->stage = AT_END;
	if (elf_begin(c, o, head))
		return GO_ON;
	if (o->language == NO_LANGUAGE) /* else it is a module, whatever its first line says */
		script_begin(c, o, head);
	if (o->stage == AT_END)
		modules_look(c, o, head);
	return GO_ON;
}

static bool is_wanted(const struct content *c, const struct object *o)
{
	return !atomic_load_explicit(&c->stopping, memory_order_relaxed) && now_ms() < o->until_ms;
}

/* As far as it goes. False: it has ended. */
static bool object_go_on(struct content *c, struct object *o)
{
	static enum go (*const steps[])(struct content *, struct object *) = {
		[AT_HEAD] = step_head,
		[AT_LOADER] = elf_step_loader,
		[AT_DYNAMIC] = elf_step_dynamic,
		[AT_SEARCH] = elf_step_search,
		[AT_NAMES] = elf_step_name,
		[AT_MODULE] = modules_step_module,
		[AT_IMPORTS] = modules_step_imports,
	};
	enum go came = GO_ON;
	object_ask_wishes(c, o);
	/* A hostile image can make one name cost half a second: the end of the mount does not wait
	 * for more than a step. */
	while (came == GO_ON && o->stage != AT_END && is_wanted(c, o))
		came = steps[o->stage](c, o);
	return came != GO_END && (o->stage != AT_END || o->n_wishes) && is_wanted(c, o);
}

/* --- feeding --- */

/* A file that a container starts with. */
static void expected_news(struct content *c, struct news *news)
{
	auto_buf struct buf path = news->path, dir = {0};
	struct bytes parent = path_parent(buf_bytes(&path));
	struct bytes at = parent.n ? parent : BYTES_STR("/");
	struct object *o = NULL;
	if (buf_append(&dir, at.p, at.n) == 0)
		o = expected_add(c, news->row, &dir);
	(void)modules_begin(c, buf_bytes(&path));
	if (o)
		modules_expected(c, o, buf_bytes(&path));
}

static void take_news(struct content *c, struct loader *l)
{
	struct news news[NEWS_MAX];
	lock_take(&l->lock);
	size_t n = l->n_news;
	memcpy(news, l->news, n * sizeof(*news));
	l->n_news = 0;
	lock_drop(&l->lock);
	for (size_t i = 0; i < n; i++)
		if (news[i].head == HEAD_WANTED)
			expected_news(c, &news[i]);
		else if (!object_add(c, news[i].row, news[i].head, REACHED, NULL))
			(void)seen_step(l, news[i].row, BEGUN, UNSEEN);
}

static void feed(struct content *c)
{
	struct loader *l = c->loader;
	if (share_pending(c)) /* its end feeds, too */
		return;
	take_news(c, l);
	if (share_helps(c) || is_paused(l) ||
	    atomic_load_explicit(&c->stopping, memory_order_relaxed))
		drop_objects(l);
	struct object *o = TAILQ_FIRST(&l->objects);
	while (o) {
		l->place = o;
		bool goes_on = object_go_on(c, o);
		l->place = NULL;
		struct object *next = TAILQ_NEXT(o, in_list); /* after: it may have added some */
		if (!goes_on && (o->stage == AT_END || is_wanted(c, o)))
			object_free(l, o);
		else if (!goes_on)
			object_give_up(l, o);
		o = next;
	}
	/* Not before: a batch that ends meanwhile may bring what was missing a moment ago, and has
	 * to leave word. */
	lock_take(&l->lock);
	atomic_store_explicit(&l->active, l->n_news || !TAILQ_EMPTY(&l->objects),
			      memory_order_relaxed);
	lock_drop(&l->lock);
}

void loader_feed(struct content *c)
{
	if (c->loader && atomic_load_explicit(&c->loader->active, memory_order_relaxed))
		feeder_run(&c->loader->feeder, feed, c);
}
