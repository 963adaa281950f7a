/*
 * Text and style of the picture. Names are made printable first, and then every character that
 * means something in XML or HTML is written as a reference, so a name of an image is text wherever
 * it stands. Colours are those of Okabe and Ito, which people with any kind of colour vision tell
 * apart; greys and blues differ in lightness, so that they survive a printer.
 */
#include "tools/map_svg_priv.h"

#include <string.h>

/* The bytes of one character at p: of what format_name wrote, which is UTF-8. */
static size_t character_len(const char *p, size_t n)
{
	size_t len = format_utf8_len((const uint8_t *)p, n);
	return max_of(len, (size_t)1);
}

static size_t count_characters(const char *text, size_t n)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i += character_len(text + i, n - i))
		count++;
	return count;
}

static void put_character(FILE *out, const char *p, size_t len)
{
	static const struct {
		char c;
		const char *text;
	} references[] = {
		{'<', "&lt;"}, {'>', "&gt;"}, {'&', "&amp;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
	for (size_t i = 0; i < ARRAY_LEN(references); i++)
		if (*p == references[i].c) {
			fputs(references[i].text, out);
			return;
		}
	fwrite(p, 1, len, out);
}

/* U+FFFE and U+FFFF are no characters of XML. */
static bool is_no_character(const char *p, size_t len)
{
	return len == 3 && !memcmp(p, "\xef\xbf", 2) && ((uint8_t)p[2] & 0xfe) == 0xbe;
}

void svg_text(FILE *out, const char *text, unsigned max)
{
	size_t n = strlen(text), at = 0, count = count_characters(text, n);
	/* What is left of one that is too long: its end says more. */
	size_t first = max && count > max ? max / 5 : count;
	size_t last = max && count > max ? count - (max - 1 - first) : count;
	for (size_t i = 0; i < n; at++) {
		size_t len = character_len(text + i, n - i);
		if (at == first && first < last)
			fputs("…", out);
		if ((at < first || at >= last) && is_no_character(text + i, len))
			fprintf(out, "\\357\\277\\%03o", (uint8_t)text[i + 2]);
		else if (at < first || at >= last)
			put_character(out, text + i, len);
		i += len;
	}
}

void svg_bytes(FILE *out, struct bytes name, unsigned max)
{
	char *text = NULL;
	size_t n = 0;
	FILE *printable = open_memstream(&text, &n);
	BUG_ON(!printable);
	format_name(printable, name);
	BUG_ON(fclose(printable));
	svg_text(out, text, max);
	free(text);
}

void svg_heading(struct svg *s, const char *title, const char *remark)
{
	fprintf(s->out, "<path class=\"rule\" d=\"M%d %.1fH%d\"/>\n", SVG_MARGIN, s->y, SVG_RIGHT);
	fprintf(s->out, "<text class=\"heading\" x=\"%d\" y=\"%.1f\">%s</text>\n", SVG_MARGIN,
		s->y + 22, title);
	fprintf(s->out, "<text class=\"dim num\" x=\"%d\" y=\"%.1f\">%s</text>\n", SVG_RIGHT,
		s->y + 22, remark);
	s->y += 34;
}

const char *svg_who_class(enum trace_who who)
{
	static const char *const names[] = {"who-index", "who-reader", "who-ahead", "who-profile",
					    "who-fill"};
	return names[who];
}

void svg_style(FILE *out)
{
	fputs("svg text{font:12px -apple-system,\"Segoe UI\",\"Noto Sans\",\"Liberation Sans\","
	      "Helvetica,Arial,sans-serif;fill:#1b1f24}\n"
	      "svg .title{font-size:20px;font-weight:600}\n"
	      "svg .big{font-size:22px;font-weight:600}\n"
	      "svg .heading{font-size:14px;font-weight:600}\n"
	      "svg .strong{font-weight:600}\n"
	      "svg .dim{fill:#59636e}\n"
	      "svg .small{font-size:11px}\n"
	      "svg .num{text-anchor:end;font-variant-numeric:tabular-nums}\n"
	      "svg .mid{text-anchor:middle}\n"
	      "svg .code{font-family:ui-monospace,\"SF Mono\",Consolas,\"Liberation Mono\","
	      "\"DejaVu Sans Mono\",monospace;font-size:11.5px}\n"
	      ".paper{fill:#fff}\n"
	      ".rule,.tick{stroke:#d5d9de;fill:none}\n"
	      ".absent{fill:#eceff2}\n"
	      ".unknown{fill:#fff}\n"
	      ".here{fill:#a6cdea}\n"
	      ".read{fill:#0b4f8a}\n"
	      ".wait{stroke:#d55e00;stroke-width:1.4;fill:none}\n"
	      ".waiting{fill:#d55e00}\n"
	      ".frame{fill:none;stroke:#8a949e;stroke-width:.7}\n"
	      ".who-reader{fill:#d55e00}\n"
	      ".who-ahead{fill:url(#ahead)}\n"
	      ".who-profile{fill:url(#profile)}\n"
	      ".who-fill{fill:#fff;stroke:#6b7682;stroke-width:1}\n"
	      ".who-index{fill:#6b4f9e}\n"
	      ".p-ahead{fill:#e69f00}.p-profile{fill:#009e73}.p-gap{fill:#fff}\n"
	      ".cost{fill:#d55e00}.cost-read{fill:#0b4f8a}\n"
	      "@media (prefers-color-scheme:dark){\n"
	      "svg text{fill:#e6e9ed}\n"
	      "svg .dim{fill:#9aa4af}\n"
	      ".paper{fill:#14181d}\n"
	      ".rule,.tick{stroke:#333b44}\n"
	      ".absent{fill:#262c33}.unknown{fill:#14181d}\n"
	      ".here{fill:#3f6d94}.read{fill:#9fd0f7}\n"
	      ".frame{stroke:#67717c}\n"
	      ".wait{stroke:#ff8c3b}.waiting,.who-reader,.cost{fill:#ff8c3b}\n"
	      ".who-fill{fill:#14181d;stroke:#9aa4af}.who-index{fill:#a98fe0}\n"
	      ".p-ahead{fill:#f0b429}.p-profile{fill:#2bc59a}.p-gap{fill:#14181d}\n"
	      ".cost-read{fill:#9fd0f7}\n"
	      "}\n",
	      out);
}
