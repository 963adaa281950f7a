/*
 * Platforms: normalisation of the many spellings, and how well an image for one runs on another. A
 * processor runs images of its own architecture level and of all lower ones; the rank counts the
 * steps down. The tables are those of containerd's platforms package, told in our words.
 */
#include "fetch/manifest_priv.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

static const struct {
	const char *name, *arch, *variant; /* variant NULL: left as it is */
} arch_aliases[] = {
	{"x86_64", "amd64", NULL}, {"x86-64", "amd64", NULL}, {"aarch64", "arm64", NULL},
	{"armhf", "arm", "v7"},	   {"armel", "arm", "v6"},    {"i386", "386", ""},
};

/* What uname calls a machine where it is not what images call it. */
static const struct {
	const char *machine, *arch, *variant;
} machines[] = {
	{"i486", "386", ""},	   {"i586", "386", ""},	       {"i686", "386", ""},
	{"armv5tel", "arm", "v5"}, {"armv5tejl", "arm", "v5"}, {"armv6l", "arm", "v6"},
	{"armv7l", "arm", "v7"},   {"armv8l", "arm", "v8"},    {"loongarch64", "loong64", ""},
};

/* Copy in lower case; false when it does not fit or holds what no platform's name holds. */
static bool copy_part(char *to, size_t size, const char *from, size_t n)
{
	if (n >= size)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = from[i];
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
		      c == '-'))
			return false;
		to[i] = c;
	}
	to[n] = '\0';
	return true;
}

static void set_text(char to[32], const char *text)
{
	snprintf(to, 32, "%s", text);
}

static void normalise_variant(struct platform *p)
{
	/* "7" is an old spelling of "v7". */
	if (p->variant[0] >= '0' && p->variant[0] <= '9' && strlen(p->variant) == 1) {
		char digit = p->variant[0];
		snprintf(p->variant, sizeof(p->variant), "v%c", digit);
	}
	if (!strcmp(p->arch, "arm") && !p->variant[0])
		set_text(p->variant, "v7");
	if (!strcmp(p->arch, "amd64") && !strcmp(p->variant, "v1"))
		p->variant[0] = '\0';
	if (!strcmp(p->arch, "arm64") && (!strcmp(p->variant, "v8") || !strcmp(p->variant, "v8.0")))
		p->variant[0] = '\0';
	if (!strcmp(p->arch, "arm64") && !strcmp(p->variant, "v9.0"))
		set_text(p->variant, "v9");
}

static void normalise(struct platform *p)
{
	if (!strcmp(p->os, "macos"))
		set_text(p->os, "darwin");
	for (size_t i = 0; i < ARRAY_LEN(arch_aliases); i++) {
		if (strcmp(p->arch, arch_aliases[i].name))
			continue;
		set_text(p->arch, arch_aliases[i].arch);
		if (arch_aliases[i].variant)
			set_text(p->variant, arch_aliases[i].variant);
		break;
	}
	normalise_variant(p);
}

bool platform_set(struct platform *out, const char *os, const char *arch, const char *variant)
{
	os = os ? os : "";
	arch = arch ? arch : "";
	variant = variant ? variant : "";
	*out = (struct platform){0};
	if (!copy_part(out->os, sizeof(out->os), os, strlen(os)) ||
	    !copy_part(out->arch, sizeof(out->arch), arch, strlen(arch)) ||
	    !copy_part(out->variant, sizeof(out->variant), variant, strlen(variant))) {
		*out = (struct platform){"unknown", "unknown", ""};
		return false;
	}
	normalise(out);
	return true;
}

err_t platform_parse(const char *text, struct platform *out, struct diag *d)
{
	const char *slash = strchr(text, '/');
	const char *second = slash ? strchr(slash + 1, '/') : NULL;
	const char *arch = slash ? slash + 1 : "";
	size_t arch_len = second ? (size_t)(second - arch) : strlen(arch);
	const char *variant = second ? second + 1 : "";
	*out = (struct platform){0};
	if (!slash || slash == text || !arch_len || (second && !*variant) ||
	    !copy_part(out->os, sizeof(out->os), text, (size_t)(slash - text)) ||
	    !copy_part(out->arch, sizeof(out->arch), arch, arch_len) ||
	    !copy_part(out->variant, sizeof(out->variant), variant, strlen(variant)))
		return fail(d, ERR_USAGE, -EINVAL,
			    "platform \"%s\" is not OS/ARCH[/VARIANT], such as linux/arm64", text);
	normalise(out);
	return 0;
}

void platform_host(struct platform *out)
{
	struct utsname name;
	BUG_ON(uname(&name) != 0);
	for (size_t i = 0; i < ARRAY_LEN(machines); i++)
		if (!strcmp(name.machine, machines[i].machine)) {
			platform_set(out, "linux", machines[i].arch, machines[i].variant);
			return;
		}
	platform_set(out, "linux", name.machine, "");
}

/* A level such as "v8.2" as 802; -1 for other texts. */
static int level_of(const char *variant)
{
	unsigned major, minor = 0;
	char end;
	if (sscanf(variant, "v%1u%c", &major, &end) == 1)
		return (int)(major * 100);
	if (sscanf(variant, "v%1u.%1u%c", &major, &minor, &end) == 2)
		return (int)(major * 100 + minor);
	return -1;
}

/* Steps down from one arm level to another; -1 when it is not below. */
static int rank_arm(int wanted, int offered)
{
	return offered >= 500 && offered <= wanted ? (wanted - offered) / 100 : -1;
}

static int rank_arm64(const struct platform *wanted, const struct platform *offered)
{
	int level = wanted->variant[0] ? level_of(wanted->variant) : 800;
	if (level < 800 || level > 909)
		return -1;
	/* v9.x runs all that v8.(x + 5) runs; there is no v8.10. */
	int minor = level % 100;
	int steps9 = level >= 900 ? minor + 1 : 0;
	int minor8 = level >= 900 ? min_of(minor + 5, 9) : minor;
	if (!strcmp(offered->arch, "arm")) {
		int rank = rank_arm(800, level_of(offered->variant));
		return rank < 0 ? -1 : steps9 + minor8 + 1 + rank;
	}
	int have = offered->variant[0] ? level_of(offered->variant) : 800;
	if (strcmp(offered->arch, "arm64") || have < 800 || have > level)
		return -1;
	if (have >= 900)
		return level - have;
	return have % 100 <= minor8 ? steps9 + minor8 - have % 100 : -1;
}

static int rank_amd64(const struct platform *wanted, const struct platform *offered)
{
	int level = wanted->variant[0] ? level_of(wanted->variant) : 100;
	if (level < 100)
		return -1;
	if (!strcmp(offered->arch, "386") && !offered->variant[0])
		return level / 100;
	int have = offered->variant[0] ? level_of(offered->variant) : 100;
	if (strcmp(offered->arch, "amd64") || have < 100 || have > level)
		return -1;
	return (level - have) / 100;
}

int platform_rank(const struct platform *wanted, const struct platform *offered)
{
	if (strcmp(wanted->os, offered->os))
		return -1;
	if (!strcmp(wanted->arch, offered->arch) && !strcmp(wanted->variant, offered->variant))
		return 0;
	if (!strcmp(wanted->arch, "amd64"))
		return rank_amd64(wanted, offered);
	if (!strcmp(wanted->arch, "arm64"))
		return rank_arm64(wanted, offered);
	if (!strcmp(wanted->arch, "arm") && !strcmp(offered->arch, "arm"))
		return rank_arm(level_of(wanted->variant), level_of(offered->variant));
	return -1;
}

const char *platform_text(const struct platform *p, char buf[100])
{
	snprintf(buf, 100, "%s/%s%s%s", p->os, p->arch, p->variant[0] ? "/" : "", p->variant);
	return buf;
}
