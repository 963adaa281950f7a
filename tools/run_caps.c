/*
 * The kernel's numbers are the places in one list of names (linux/capability.h).
 */
#include "tools/run_caps.h"

#include <string.h>
#include <strings.h>
#include <sys/prctl.h>

static const char *const names[] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
};
_Static_assert(RUN_CAPS_ALL == (UINT64_C(1) << ARRAY_LEN(names)) - 1, "one bit a name");

const char *run_caps_name(unsigned bit)
{
	return bit < ARRAY_LEN(names) ? names[bit] : NULL;
}

static bool find_capability(const char *text, uint64_t *out)
{
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (strcasecmp(text, names[i]) && strcasecmp(text, names[i] + strlen("CAP_")))
			continue;
		*out = UINT64_C(1) << i;
		return true;
	}
	return false;
}

uint64_t run_caps_bit(const char *name)
{
	uint64_t bit = 0;
	BUG_ON(!find_capability(name, &bit));
	return bit;
}

uint64_t run_caps_default(void)
{
	static const char *const usual[] = {
		"CHOWN",   "DAC_OVERRIDE", "FOWNER",  "FSETID", "KILL",	      "NET_BIND_SERVICE",
		"SETFCAP", "SETGID",	   "SETPCAP", "SETUID", "SYS_CHROOT",
	};
	uint64_t set = 0;
	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		set |= run_caps_bit(usual[i]);
	return set;
}

uint64_t run_caps_here(void)
{
	uint64_t set = 0;
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
			set |= UINT64_C(1) << i;
	return set;
}

err_t run_caps_parse(const char *text, uint64_t *out, struct diag *d)
{
	if (!strcasecmp(text, "ALL")) {
		*out = RUN_CAPS_ALL;
		return 0;
	}
	if (find_capability(text, out))
		return 0;
	return fail(d, ERR_USAGE, -EINVAL, "'%s' is no capability (see capabilities(7))", text);
}
