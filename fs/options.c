/*
 * options - one table of words, each with what it sets and who may say it
 *
 * Unknown words are refused: a mount that silently drops an option is one that its user believes to
 * be something else.
 */
#include "fs/options.h"

#include <stdio.h>
#include <string.h>

enum word_effect {
	WORD_NOTHING, /* says what is so anyway */
	WORD_SET,
	WORD_CLEAR,
	WORD_REFUSED,
};

struct word {
	const char *text;
	enum word_effect effect;
	size_t offset; /* of a bool of struct mount_options */
	bool takes_root;
	const char *why; /* of a refused word */
};

#define FIELD(name) offsetof(struct mount_options, name)

static const struct word words[] = {
	{.text = "defaults"},
	{.text = "ro"},
	{.text = "auto"},
	{.text = "noauto"},
	{.text = "async"},
	{.text = "noatime"},
	{.text = "nodiratime"},
	{.text = "relatime"},
	{.text = "default_permissions"},
	{"allow_other", WORD_SET, FIELD(allow_other), false, NULL},
	{"noallow_other", WORD_CLEAR, FIELD(allow_other), false, NULL},
	{"suid", WORD_SET, FIELD(suid), true, NULL},
	{"nosuid", WORD_CLEAR, FIELD(suid), false, NULL},
	{"dev", WORD_SET, FIELD(dev), true, NULL},
	{"nodev", WORD_CLEAR, FIELD(dev), false, NULL},
	{"exec", WORD_CLEAR, FIELD(noexec), false, NULL},
	{"noexec", WORD_SET, FIELD(noexec), false, NULL},
	{"xattrs", WORD_SET, FIELD(xattrs), false, NULL},
	{"noxattrs", WORD_CLEAR, FIELD(xattrs), false, NULL},
	{"nonempty", WORD_SET, FIELD(nonempty), false, NULL},
	{"rw", WORD_REFUSED, 0, false, "an image is read-only"},
	{"remount", WORD_REFUSED, 0, false,
	 "a mount of an image can not be changed; unmount it, and mount it again"},
	{"auto_unmount", WORD_REFUSED, 0, false, "a mount ends with 'imgfs umount'"},
};

static const char *const selinux_words[] = {
	"context=", "fscontext=", "defcontext=", "rootcontext="};

static err_t word_apply(const struct word *w, bool root, struct mount_options *o, struct diag *d)
{
	bool *field = (bool *)((char *)o + w->offset);

	if (w->effect == WORD_REFUSED)
		return fail(d, ERR_USAGE, -EINVAL, "-o %s: %s", w->text, w->why);
	if (w->takes_root && !root)
		return fail(d, ERR_DENIED, -EPERM, "-o %s: takes root; leave it out", w->text);
	if (w->effect != WORD_NOTHING)
		*field = w->effect == WORD_SET;
	return 0;
}

static err_t read_ahead_parse(const char *text, bool root, struct mount_options *o, struct diag *d)
{
	char *end;
	unsigned long kib;

	if (*text < '0' || *text > '9')
		return fail(d, ERR_USAGE, -EINVAL, "-o read_ahead=%s: not a number of KiB", text);
	errno = 0;
	kib = strtoul(text, &end, 10);
	if (*end || errno || kib < 4 || kib > READ_AHEAD_MAX_KIB)
		return fail(d, ERR_USAGE, -EINVAL, "-o read_ahead=%s: 4 to %u KiB", text,
			    READ_AHEAD_MAX_KIB);
	if (!root)
		return fail(d, ERR_DENIED, -EPERM, "-o read_ahead: takes root; leave it out");
	o->read_ahead_kib = (unsigned)kib;
	return 0;
}

static bool is_selinux(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(selinux_words); i++)
		if (strncmp(word, selinux_words[i], strlen(selinux_words[i])) == 0)
			return true;
	return false;
}

static void selinux_add(struct mount_options *o, const char *word)
{
	char *joined =
		xasprintf("%s%s%s", o->selinux ? o->selinux : "", o->selinux ? "," : "", word);

	free(o->selinux);
	o->selinux = joined;
}

static err_t option_parse(const char *text, bool root, struct mount_options *o, struct diag *d)
{
	static const char read_ahead[] = "read_ahead=";

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(words[i].text, text) == 0)
			return word_apply(&words[i], root, o, d);
	if (strncmp(text, read_ahead, sizeof(read_ahead) - 1) == 0)
		return read_ahead_parse(text + sizeof(read_ahead) - 1, root, o, d);
	if (is_selinux(text)) {
		selinux_add(o, text);
		return 0;
	}
	return fail(d, ERR_USAGE, -EINVAL, "unknown mount option '%s'", text);
}

err_t mount_options_parse(const char *list, bool root, struct mount_options *out, struct diag *d)
{
	auto_free char *copy = xstrdup(list ? list : "");
	char *rest = copy, *text;
	err_t err = 0;

	*out = (struct mount_options){.allow_other = root};
	while (!err && (text = strsep(&rest, ",")))
		if (*text)
			err = option_parse(text, root, out, d);
	if (err)
		mount_options_fini(out);
	return err;
}

void mount_options_fini(struct mount_options *o)
{
	free(take(&o->selinux));
}

/* libfuse splits at commas; a backslash keeps the byte behind it. */
static char *option_escape(const char *text)
{
	char *escaped = xcalloc(2 * strlen(text) + 1, 1), *p = escaped;

	for (; *text; text++) {
		if (*text == ',' || *text == '\\')
			*p++ = '\\';
		*p++ = *text;
	}
	return escaped;
}

char *mount_options_text(const struct mount_options *o, const char *fsname)
{
	auto_free char *escaped = option_escape(fsname);

	return xasprintf("ro,default_permissions,subtype=imgfs,fsname=%s%s%s%s%s%s%s", escaped,
			 o->allow_other ? ",allow_other" : "", o->suid ? ",suid" : "",
			 o->dev ? ",dev" : "", o->noexec ? ",noexec" : "", o->selinux ? "," : "",
			 o->selinux ? o->selinux : "");
}
