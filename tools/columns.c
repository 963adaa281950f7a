/*
 * A number of columns is tried after the other, the largest first, until the sum of the widest
 * items of each leaves room for one more character.
 */
#include "tools/columns.h"

#define ITEM_WIDTH_MIN (COLUMNS_GAP + 1)

/* The columns that c->rows gives; whether they fit. */
static bool lay_out(const size_t *widths, size_t n, size_t window, struct columns *c)
{
	size_t line = 0;
	c->count = (n + c->rows - 1) / c->rows;
	for (size_t column = 0; column < c->count; column++) {
		size_t first = column * c->rows, end = min_of(first + c->rows, n), widest = 0;
		for (size_t i = first; i < end; i++)
			widest = max_of(widest, widths[i]);
		c->widths[column] = widest + (column + 1 < c->count ? COLUMNS_GAP : 0);
		line += c->widths[column];
		if (line >= window)
			return false;
	}
	return true;
}

err_t columns_fit(const size_t *widths, size_t n, size_t width, struct columns *out)
{
	size_t most = min_of(n, width / ITEM_WIDTH_MIN + 1);
	*out = (struct columns){0};
	out->widths = try_array(most, sizeof(*out->widths), most);
	if (!out->widths)
		return -ENOMEM;
	for (size_t count = most; count > 1; count--) {
		out->rows = (n + count - 1) / count;
		if (lay_out(widths, n, width, out))
			return 0;
	}
	out->count = 1;
	out->rows = n;
	out->widths[0] = 0;
	return 0;
}

void columns_fini(struct columns *c)
{
	free(c->widths);
	*c = (struct columns){0};
}
