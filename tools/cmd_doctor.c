/*
 * imgfs doctor: looks at everything a mount needs and says what is missing and what to do, before
 * somebody has to find it out from an error.
 */
#include "tools/doctor.h"

#include "fetch/log.h"
#include "tools/terminal.h"

#include <unistd.h>

static void look(struct doctor *doc, const char *reference)
{
	struct diag d = DIAG_INIT;
	struct conf *conf = NULL;
	if (!conf_load(doc->common.config, reference, &conf, &d))
		conf_fill(conf, &doc->common);
	doctor_kernel(doc);
	doctor_files(doc, &d, conf);
	doctor_network(doc);
	doctor_system(doc);
	if (reference)
		doctor_reference(doc, reference);
	conf_free(&conf);
}

static void print_verdict(const struct doctor *doc, const char *reference)
{
	const char *what =
		reference ? "this image can be mounted here" : "images can be mounted here";
	if (doc->failed_more)
		puts("\nlines with 'fail' say what does not work here");
	else if (doc->failed)
		puts("\nimages can not be mounted here; commands that mount nothing work");
	else if (doc->n_warnings)
		printf("\n%s; %u warning%s\n", what, doc->n_warnings,
		       doc->n_warnings == 1 ? "" : "s");
	else
		printf("\n%s\n", what);
}

static void look_json(struct doctor *doc, const char *reference)
{
	struct json_out json;
	json_out_start(&json, stdout, 2);
	json_put_object(&json, NULL);
	json_put_array(&json, "findings");
	doc->json = &json;
	look(doc, reference);
	json_put_end(&json);
	json_put_bool(&json, "works", !doc->failed);
	json_put_end(&json);
}

static int run(const struct command *self, int argc, char **argv)
{
	struct doctor doc = {.is_root = geteuid() == 0};
	char **operands;
	const struct option_row rows[] = {
		{0, "json", OPT_FLAG, &doc.common.json, NULL, "one object (JSON.md)"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &doc.common, &operands);
	if (n > 1)
		return cli_usage_error(self, "one reference at a time");
	doc.quiet = doc.common.quiet;
	doc.colours = terminal_colours(STDOUT_FILENO, COLOUR_AUTO);
	doc.width = terminal_is(STDOUT_FILENO) ? terminal_width(STDOUT_FILENO) : 0;
	/* Every finding says it in its own words. */
	if (!doc.common.verbose)
		log_set_level(LOG_LEVEL_ERROR);
	if (doc.common.json)
		look_json(&doc, operands[0]);
	else
		look(&doc, operands[0]);
	if (!doc.common.json && !doc.quiet)
		print_verdict(&doc, operands[0]);
	return doc.failed ? ERR_OTHER : 0;
}

const struct command cmd_doctor = {
	.name = "doctor",
	.synopsis = "[--json] [REF]",
	.summary = "Say what this machine, or the way to a registry, lacks, and what to do",
	.details =
		"Looks at the kernel, FUSE, the store, settings, certificates and credentials; "
		"mounts\n"
		"an empty file system for a moment to see that it works. With REF the registry is\n"
		"tried, step by step: name, connection, protocol, login, manifest, ranges, "
		"referrers;\n"
		"without it nothing is sent anywhere. Secrets are never shown.\n"
		"Exit status: 1 when a line says 'fail': images can not be mounted, or not from\n"
		"registries, or with REF not this one. 0 otherwise; 'warn' tells what else is\n"
		"missing. -q: only what is not well.",
	.examples = "imgfs doctor\n"
		    "# why can this image not be mounted?\n"
		    "imgfs doctor registry.example.com/app:1",
	.run = run,
};
