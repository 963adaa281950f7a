/*
 * Tables of what a user meets outside of options: the meaning of exit codes, the environment
 * variables that are read, and the files.
 */
#include "tools/topics.h"

#include "tools/help.h"
#include "tools/terminal.h"

#include <string.h>
#include <unistd.h>

static const struct topic_row exit_codes[] = {
	{"0", "done"},
	{"1", "any other failure"},
	{"2", "usage: the command line is wrong"},
	{"3", "not found: no such image, path or mount"},
	{"4", "access denied: credentials or permissions"},
	{"5", "network: no answer, or not a usable one"},
	{"6", "integrity: not what a digest says, or a malformed image or index"},
	{"7", "store: the local store can not be read or written"},
	{"8", "rate limited by the registry"},
	{"9", "unsupported: a kind of image that imgfs does not know"},
	{"125", "imgfs run: there was no container"},
	{"126", "imgfs run: its command can not be started"},
	{"127", "imgfs run: its command is not there"},
	{"130", "interrupted (128 + the number of the signal, as a shell shows it)"},
	{0},
};

static const struct topic_row environment[] = {
	{"IMGFS_STORE", "the local store, where --store does not name one"},
	{"IMGFS_CONFIG", "imgfs.conf, where --config does not name it; none: none is read"},
	{"IMGFS_RUNTIME_DIR", "where the records of live mounts stand"},
	{"XDG_CACHE_HOME", "its folder imgfs is the store of a user"},
	{"XDG_CONFIG_HOME", "imgfs/trust, and containers/auth.json of podman, stand in it"},
	{"XDG_RUNTIME_DIR", "records of a user's mounts, and credentials of podman"},
	{"HOME", "where these variables are not set: ~/.cache, ~/.config, ~/.docker"},
	{"REGISTRY_AUTH_FILE", "credentials, where --authfile does not name a file"},
	{"DOCKER_CONFIG", "the folder of docker's config.json"},
	{"DOCKER_AUTH_CONFIG", "credentials themselves, as JSON"},
	{"SSL_CERT_FILE", "certificate authorities, in the place of the system's"},
	{"SSL_CERT_DIR", "a folder of them"},
	{"https_proxy, HTTPS_PROXY", "the proxy to https registries"},
	{"http_proxy", "the proxy to registries without TLS"},
	{"all_proxy, ALL_PROXY", "the proxy where these name none"},
	{"no_proxy, NO_PROXY", "hosts, domains and networks that are reached without one"},
	{"NO_COLOR", "if it is not empty: no colours"},
	{"LS_COLORS", "colours of names, as ls(1) takes them"},
	{"COLUMNS", "the width of what is printed, where no terminal knows it"},
	{"TERM", "dumb: no colours"},
	{"TMPDIR", "where 'imgfs doctor' tries a mount"},
	{"PATH", "where fusermount3 and credential helpers are looked for"},
	{0},
};

static const struct topic_row files[] = {
	{"/var/lib/imgfs",
	 "the store of root: documents, indexes, chunks. Any of it may be deleted "
	 "while nothing is mounted; it is then fetched again"},
	{"~/.cache/imgfs", "the store of a user"},
	{"/etc/imgfs/imgfs.conf", "defaults of options, for each registry and repository"},
	{"~/.config/imgfs/imgfs.conf", "the same of a user; counts before that in /etc"},
	{"/etc/imgfs/trust", "whose published indexes are used"},
	{"~/.config/imgfs/trust", "the same of a user; where it says something about an image, the "
				  "file in /etc is not asked"},
	{"/run/imgfs", "records of live mounts of root"},
	{"/etc/containers/certs.d", "certificates for single registries, a folder HOST:PORT each; "
				    "also those in /etc/docker/certs.d"},
	{"~/.docker/config.json", "credentials and credential helpers, as docker keeps them; also "
				  "those of podman, containers/auth.json"},
	{"/etc/fuse.conf", "user_allow_other lets a plain user mount with -o allow_other"},
	{0},
};

static const struct topic exit_code_topic = {"exit-codes", 7, exit_codes};
static const struct topic environment_topic = {"environment", 28, environment};
static const struct topic file_topic = {"files", 30, files};

const struct topic *const topics[] = {&exit_code_topic, &environment_topic, &file_topic, NULL};

const struct topic *topic_find(const char *name)
{
	for (const struct topic *const *topic = topics; *topic; topic++)
		if (!strcmp((*topic)->name, name))
			return *topic;
	return NULL;
}

void topic_print(const struct topic *topic)
{
	unsigned width = terminal_width(STDOUT_FILENO);
	for (const struct topic_row *row = topic->rows; row->name; row++)
		help_row(stdout, row->name, row->text, topic->column, width);
}
