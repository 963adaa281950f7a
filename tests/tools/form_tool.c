/*
 * form_tool - published forms taken apart and put together again, for tests that make them lie
 * (tests/e2e/published.py). All of it goes from standard input to standard output.
 *
 *   form_tool pack               a part of a form: one zstd frame
 *   form_tool unpack             the reverse
 *   form_tool columns N          the raw bytes of column N of a tree's form
 *   form_tool set-column N FILE  a tree's form with the column N of a file
 */
#include "index/wire_priv.h"
#include "index/wire_tree_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (64u << 20)

static int failed(const char *what)
{
	fprintf(stderr, "form_tool: %s\n", what);
	return 1;
}

static err_t read_all(FILE *file, struct buf *out)
{
	uint8_t piece[65536];
	err_t err = 0;
	size_t n;
	while (!err && out->n < INPUT_MAX && (n = fread(piece, 1, sizeof(piece), file)) > 0)
		err = buf_append(out, piece, n);
	return ferror(file) ? -EIO : err;
}

static int write_out(struct bytes bytes)
{
	return fwrite(bytes.p, 1, bytes.n, stdout) == bytes.n && fflush(stdout) == 0
		       ? 0
		       : failed("write");
}

static int run_pack(struct bytes in, bool unpack)
{
	auto_buf struct buf out = {0};
	err_t err = unpack ? wire_unpack(in, INPUT_MAX, &out) : wire_pack(in, &out);
	return err ? failed(unpack ? "it is no frame" : "pack") : write_out(buf_bytes(&out));
}

static int run_columns(struct bytes in, size_t column, const char *replacement)
{
	auto_buf struct buf raw = {0}, given = {0}, out = {0};
	struct bytes columns[WIRE_COLUMNS];
	struct diag d = DIAG_INIT;
	if (column >= WIRE_COLUMNS)
		return failed("there is no such column");
	if (columns_unpack(in, WIRE_COLUMNS, WIRE_TREE_RAW_MAX, &raw, columns, &d))
		return failed(d.text);
	if (!replacement)
		return write_out(columns[column]);
	FILE *file = fopen(replacement, "rb");
	err_t err = file ? read_all(file, &given) : -ENOENT;
	if (file)
		fclose(file);
	columns[column] = buf_bytes(&given);
	if (!err)
		err = columns_pack(columns, WIRE_COLUMNS, &out);
	return err ? failed("replace a column") : write_out(buf_bytes(&out));
}

int main(int argc, char **argv)
{
	auto_buf struct buf in = {0};
	if (read_all(stdin, &in))
		return failed("read");
	if (argc == 2 && !strcmp(argv[1], "pack"))
		return run_pack(buf_bytes(&in), false);
	if (argc == 2 && !strcmp(argv[1], "unpack"))
		return run_pack(buf_bytes(&in), true);
	if (argc == 3 && !strcmp(argv[1], "columns"))
		return run_columns(buf_bytes(&in), strtoul(argv[2], NULL, 10), NULL);
	if (argc == 4 && !strcmp(argv[1], "set-column"))
		return run_columns(buf_bytes(&in), strtoul(argv[2], NULL, 10), argv[3]);
	return failed("usage: form_tool pack|unpack|columns N|set-column N FILE");
}
