/*
 * imgfs map: what of an image is here, what was read of it, and where its readers waited. Nothing
 * is fetched and no daemon is asked: the store, the trace of a mount (fetch/content_trace.c) and
 * the index tell all.
 */
#include "fetch/image_profile.h"
#include "fetch/image_trace.h"
#include "fs/mounts.h"
#include "tools/map.h"
#include "tools/terminal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum form { FORM_TEXT, FORM_SVG, FORM_HTML, FORM_JSON };

struct map_command {
	const struct command *self;
	struct common_options common;
	const char *operand, *output; /* --output; NULL: none */
	enum form form;
	enum colour_when colours;
	struct mount_list mounts;
	const struct mount_row *row; /* of a DIR; borrowed from mounts */
	char *reference;	     /* what is opened; owned */
};

/* --- what is asked for --- */

static bool form_of_word(const char *word, enum form *out)
{
	static const char *const names[] = {"text", "svg", "html", "json"};
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		*out = (enum form)i;
		if (!strcmp(word, names[i]))
			return true;
	}
	return false;
}

static bool form_of_name(const char *name, enum form *out)
{
	static const struct {
		const char *end;
		enum form form;
	} ends[] = {{".svg", FORM_SVG},
		    {".html", FORM_HTML},
		    {".htm", FORM_HTML},
		    {".json", FORM_JSON},
		    {".txt", FORM_TEXT}};
	for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
		size_t n = strlen(name), len = strlen(ends[i].end);
		*out = ends[i].form;
		if (n > len && !strcmp(name + n - len, ends[i].end))
			return true;
	}
	return false;
}

/* The form by --format, --json, or the name of the file. */
static int choose_form(struct map_command *c, const char *word)
{
	bool named = c->output && strcmp(c->output, "-");
	if (word && !form_of_word(word, &c->form))
		return cli_usage_error(c->self,
				       "--format: 'text', 'svg', 'html' or 'json', not '%s'", word);
	if (!word && c->common.json)
		c->form = FORM_JSON;
	else if (!word && named && !form_of_name(c->output, &c->form))
		return cli_usage_error(c->self,
				       "--output '%s': .svg, .html, .json or .txt, or say --format",
				       c->output);
	else if (!word && c->output && !named)
		c->form = FORM_SVG;
	return 0;
}

/* --- which image --- */

static bool is_path(const char *operand)
{
	return operand[0] == '/' || operand[0] == '.';
}

/* The newest mount on this directory. */
static const struct mount_row *row_of(const struct mount_list *list, const char *path)
{
	const struct mount_row *found = NULL;
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->rows[i].mountpoint, path) &&
		    (!found || list->rows[i].started_at >= found->started_at))
			found = &list->rows[i];
	return found;
}

/* The image that a mount shows, whatever its tag names by now. */
static char *pinned(const struct mount_row *row)
{
	if (!strncmp(row->reference, "oci:", 4) || strchr(row->reference, '@'))
		return xstrdup(row->reference);
	return xasprintf("%s@%s", row->reference, row->manifest);
}

static bool is_folder(const char *operand)
{
	struct stat st;
	return !stat(operand, &st) && S_ISDIR(st.st_mode);
}

/* Whether the store knows an image of this name; an exit status after an error line. */
static int find_recorded(const struct map_command *c, bool *found)
{
	struct diag unused = DIAG_INIT;
	struct ref ref;
	struct store *store = NULL;
	struct digest digest;
	*found = false;
	if (ref_parse(c->operand, &ref, &unused))
		return 0;
	auto_free char *text = ref_text(&ref);
	int status = cli_open_store(c->self, &c->common, &store);
	if (store) {
		*found = ref.digest.alg != DIGEST_NONE || !store_tag_get(store, text, &digest);
		store_close(&store);
	}
	ref_fini(&ref);
	return status;
}

/* An operand that is no mount: a folder's name stands for an image only where one is known. */
static int check_no_folder(const struct map_command *c)
{
	struct diag d = DIAG_INIT;
	auto_free char *layout = xasprintf("%s/oci-layout", c->operand);
	bool found = false;
	if (mountpoint_check_alive(c->operand, &d))
		return cli_fail(c->self, &d);
	if (!is_path(c->operand) && !is_folder(c->operand))
		return 0;
	int status = is_path(c->operand) ? 0 : find_recorded(c, &found);
	if (status || found)
		return status;
	if (!access(layout, F_OK))
		(void)fail(&d, ERR_NOT_FOUND, -ENOENT,
			   "nothing of imgfs is mounted on %s; 'oci:%s' names the layout in it",
			   c->operand, c->operand);
	else
		(void)fail(&d, ERR_NOT_FOUND, -ENOENT,
			   "nothing of imgfs is mounted on %s; 'imgfs status' lists your mounts",
			   c->operand);
	return cli_fail(c->self, &d);
}

static err_t find_operand(struct map_command *c, struct diag *d)
{
	auto_free char *path = NULL;
	struct diag unused = DIAG_INIT;
	err_t err = mounts_list(&c->mounts, d);
	if (err)
		return err;
	if (!mountpoint_path(c->operand, &path, &unused))
		c->row = row_of(&c->mounts, path);
	if (c->row) {
		c->reference = pinned(c->row);
		if (!c->common.store)
			c->common.store = c->row->store;
	} else {
		c->reference = xstrdup(c->operand);
	}
	return 0;
}

/* Only what is here is looked at: nothing may be streamed to make an index. */
static err_t check_indexed(const struct image *image, struct diag *d)
{
	for (size_t i = 0; !image->published && i < image->manifest.n_layers; i++) {
		const struct descriptor *layer = &image->manifest.layers[i].desc;
		if (layer->size > SMALL_LAYER_DEFAULT &&
		    !store_index_there(image->store, INDEX_LAYER, &layer->digest))
			return fail(d, ERR_NOT_FOUND, -ENOENT,
				    "the store has no index of the image; mount it first, or "
				    "'imgfs index build'");
	}
	return 0;
}

static int open_image(struct map_command *c, struct cli_image *ci)
{
	struct diag d = DIAG_INIT;
	struct image_options options = image_options_of(&c->common);
	options.offline = true;
	options.lazy_layers = false;
	/* What is only looked at needs no trust; what was used is remembered in the store. */
	if (!c->common.index && !c->common.trust_keys.n && !c->common.trust_file)
		c->common.trust_index = "any";
	int status = cli_open_image_with(c->self, &c->common, &options, c->reference, false, ci);
	if (status)
		return status;
	source_interrupt(ci->image->source);
	err_t err = check_indexed(ci->image, &d);
	if (!err)
		err = image_prepare(ci->image, &d);
	if (!err && c->row) {
		char digest[DIGEST_TEXT_MAX];
		if (strcmp(digest_text(&ci->image->digest, digest), c->row->manifest) != 0)
			err = fail(&d, ERR_NOT_FOUND, -ESTALE,
				   "%s names another image now than the one that is mounted on %s",
				   c->reference, c->row->mountpoint);
	}
	return err ? cli_fail(c->self, &d) : 0;
}

/* --- what was read --- */

static bool shows(const struct mount_row *row, const struct image *image)
{
	char digest[DIGEST_TEXT_MAX];
	return !strcmp(row->manifest, digest_text(&image->digest, digest)) &&
	       !strcmp(row->store, store_dir(image->store));
}

/* The trace of one mount; NULL when it has none. */
static struct trace *live_trace(const struct mount_row *row)
{
	auto_buf struct buf file = {0};
	struct trace *t = NULL;
	struct diag d = DIAG_INIT;
	if (mounts_trace_read(row, &file) || trace_parse(&file, &t, &d))
		return NULL;
	return t;
}

/* The newest mount of the image from which anything was read; if there is none, the newest. */
static struct trace *find_live(const struct map_command *c, struct map *m)
{
	struct trace *best = NULL;
	const struct mount_row *chosen = NULL;
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_row *row = &c->mounts.rows[i];
		if (c->row ? row != c->row : !shows(row, m->image))
			continue;
		m->n_mounts++;
		struct trace *t = live_trace(row);
		bool better =
			t &&
			(!best || (trace_info(t)->reads != 0) > (trace_info(best)->reads != 0) ||
			 ((trace_info(t)->reads != 0) == (trace_info(best)->reads != 0) &&
			  row->started_at >= chosen->started_at));
		if (!better) {
			trace_free(&t);
			continue;
		}
		trace_free(&best);
		best = t;
		chosen = row;
	}
	if (best)
		m->mountpoint = xstrdup(chosen->mountpoint);
	return best;
}

static err_t use_profile(struct map *m, struct image *image)
{
	auto_buf struct buf text = {0};
	enum profile_origin origin;
	err_t err = image_profile_get(image, true, &text, &origin);
	if (err && err != -ENOENT)
		return err;
	return map_use_profile(m, buf_bytes(&text));
}

/* A mount that runs and was read from; else the last that ended; else the profile. */
static err_t take_trace(const struct map_command *c, struct map *m, struct image *image)
{
	struct trace *live = find_live(c, m), *last = NULL;
	bool was_read = live && trace_info(live)->reads;
	err_t err = c->row || was_read ? -ENOENT : image_trace_get(image, &last);
	if (err && err != -ENOENT) {
		trace_free(&live);
		return err;
	}
	m->origin = last ? MAP_LAST : MAP_LIVE;
	if (last)
		free(take(&m->mountpoint));
	err = last || live ? map_use_trace(m, last ? last : live) : use_profile(m, image);
	trace_free(&live);
	trace_free(&last);
	return err;
}

/* --- writing --- */

static bool terminal_is_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);
		if (value && *value)
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return false;
}

static err_t write_form(const struct map_command *c, const struct map *m, FILE *out)
{
	bool shown = out == stdout;
	switch (c->form) {
	case FORM_SVG:
		map_svg(m, out, false);
		return 0;
	case FORM_HTML:
		return map_html(m, out);
	case FORM_JSON:
		map_json(m, out);
		return 0;
	case FORM_TEXT:
		break;
	}
	map_text(m, out, shown ? terminal_width(STDOUT_FILENO) : TERMINAL_WIDTH,
		 shown && terminal_colours(STDOUT_FILENO, c->colours), terminal_is_utf8());
	return 0;
}

/* Under another name first: a picture that is looked at is never half a picture. */
static err_t write_file(const struct map_command *c, const struct map *m, struct diag *d)
{
	auto_free char *temp = xasprintf("%s.%d.part", c->output, (int)getpid());
	int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out)
		return fail_sys(d, ERR_OTHER, -errno, "%s", c->output);
	err_t err = write_form(c, m, out);
	bool lost = ferror(out);
	if (fclose(out) && !err)
		err = -errno;
	if (!err && lost)
		err = -EIO;
	if (!err && rename(temp, c->output))
		err = -errno;
	if (!err)
		return 0;
	unlink(temp);
	return fail_sys(d, ERR_OTHER, err, "%s", c->output);
}

/* A device or a pipe is written to as it is: /dev/stdout, a fifo. */
static bool is_no_file(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static err_t write_through(const struct map_command *c, const struct map *m, struct diag *d)
{
	FILE *out = fopen(c->output, "we");
	if (!out)
		return fail_sys(d, ERR_OTHER, -errno, "%s", c->output);
	err_t err = write_form(c, m, out);
	bool lost = ferror(out);
	if (fclose(out) || lost)
		err = err ? err : -EIO;
	return err ? fail_sys(d, ERR_OTHER, err, "%s", c->output) : 0;
}

static err_t write_map(const struct map_command *c, const struct map *m, struct diag *d)
{
	if (c->output && strcmp(c->output, "-"))
		return is_no_file(c->output) ? write_through(c, m, d) : write_file(c, m, d);
	err_t err = write_form(c, m, stdout);
	return err ? fail_sys(d, ERR_OTHER, err, "the map") : 0;
}

static int show(struct map_command *c)
{
	struct cli_image ci = {0};
	struct map m = {0};
	struct diag d = DIAG_INIT;
	int status = 0;
	err_t err = find_operand(c, &d);
	if (!err && !c->row)
		status = check_no_folder(c);
	if (!err && !status)
		status = open_image(c, &ci);
	if (!err && !status) {
		err = map_load(ci.image, &m, &d);
		if (c->row) {
			free(m.reference);
			m.reference = xstrdup(c->row->reference);
		}
		if (!err) {
			err = take_trace(c, &m, ci.image);
			if (err)
				(void)fail_sys(&d, ERR_OTHER, err, "the map");
		}
		if (!err)
			err = write_map(c, &m, &d);
	}
	if (err)
		status = cli_fail(c->self, &d);
	map_fini(&m);
	cli_close_image(&ci);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct map_command c = {.self = self};
	const char *format = NULL, *colour = "auto";
	char **operands;
	const struct option_row rows[] = {
		{'o', "output", OPT_STRING, &c.output, "FILE",
		 "write a picture: .svg, .html or .json; '-' is standard output"},
		{0, "format", OPT_STRING, &format, "text|svg|html|json",
		 "whatever the name of the file says"},
		{0, "color", OPT_STRING, &colour, "auto|always|never",
		 "colours of the text (auto: on a terminal)"},
		{0, "json", OPT_FLAG, &c.common.json, NULL,
		 "one object with all figures and events"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &c.common, &operands);
	if (n != 1)
		return cli_usage_error(self, "expected one REF or DIR, got %d operands", n);
	if (!terminal_colour_when(colour, &c.colours))
		return cli_usage_error(self, "--color: 'auto', 'always' or 'never', not '%s'",
				       colour);
	c.operand = operands[0];
	int status = choose_form(&c, format);
	if (!status)
		status = show(&c);
	mount_list_fini(&c.mounts);
	free(c.reference);
	return status;
}

const struct command cmd_map = {
	.name = "map",
	.synopsis = "[-o FILE] [--format FORM] REF|DIR",
	.summary = "Draw what of an image is here, what was read, and where readers waited",
	.details =
		"Without -o: for a terminal. With -o: a picture (SVG), a page that shows more of\n"
		"each place (HTML), or all figures (JSON). Nothing is fetched.\n\n"
		"What was read is that of the mount on DIR, of a mount of REF that runs, of the "
		"last\n"
		"one that has ended, or what the recorded profile says, whichever is there first.",
	.examples = "imgfs map docker.io/library/python:3.12\n"
		    "# a picture of what a mount has done so far\n"
		    "imgfs map -o map.svg /mnt\n"
		    "# a page to explore, from the last start\n"
		    "imgfs map -o map.html docker.io/library/python:3.12\n"
		    "# the five files that were waited for longest\n"
		    "imgfs map --json /mnt | jq -r '.files[:5][] | \"\\(.wait_ms) ms \\(.path)\"'",
	.run = run,
};
