/*
 * Compiled modules. A .pyc is a short head and one code object in marshal's format, whose fields
 * have no lengths: all before the wanted ones has to be walked over. Wanted are three of the
 * outermost code object: its instructions, its constants and its names. An import is
 *
 *	LOAD_CONST (the level, 3.14: LOAD_SMALL_INT)  LOAD_CONST (what is taken)  IMPORT_NAME
 *
 * and `if TYPE_CHECKING:` is a jump behind a load of that name. Instructions have two bytes, and
 * zeroes between them where the interpreter keeps what it learns.
 *
 * Sources: CPython's Python/marshal.c, Include/opcode_ids.h, Lib/opcode.py and
 * pycore_magic_number.h, of each version.
 */
#include "index/python_imports.h"

#include "index/le.h"

#include <string.h>

#define DEPTH_MAX                                                                                  \
	64u /* objects in objects; CPython's own limit is 2,000, its compiler makes few            \
	     */
#define ITEMS_MAX 65536u /* of the outermost constants and names */
#define LOOKS_MAX 65536u /* names; many imports can take all of one large tuple */
#define NO_OFF	  UINT32_MAX
#define NOT_KNOWN UINT32_MAX /* more than any level */

/* --- versions --- */

struct version {
	uint16_t magic; /* the first of the minor version */
	uint8_t minor;
	uint8_t head;	   /* bytes before the code object */
	uint8_t n_numbers; /* at the beginning of a code object */
	uint8_t n_tail;	   /* objects at its end, behind the line number */
	/* instructions; 0: the version has none such */
	uint8_t import_name, load_const, load_small_int, extended_arg, jump_if_false, to_bool;
	uint8_t load_name, load_attr;
	uint8_t attr_shift; /* LOAD_ATTR's low bits that are no part of the name */
	bool relative;	    /* jumps; else from the first instruction */
	uint8_t jump_unit;  /* bytes */
	uint8_t jump_cache; /* bytes behind a jump that belong to it */
};

#define OLD_OPS                                                                                    \
	.import_name = 108, .load_const = 100, .extended_arg = 144, .jump_if_false = 114,          \
	.load_name = 101, .load_attr = 106

static const struct version versions[] = {
	{3360, 6, 12, 5, 1, OLD_OPS, .jump_unit = 1},
	{3390, 7, 16, 5, 1, OLD_OPS, .jump_unit = 1},
	{3400, 8, 16, 6, 1, OLD_OPS, .jump_unit = 1},
	{3420, 9, 16, 6, 1, OLD_OPS, .jump_unit = 1},
	{3430, 10, 16, 6, 1, OLD_OPS, .jump_unit = 2},
	{3450, 11, 16, 5, 2, OLD_OPS, .jump_unit = 2, .relative = true},
	{3500, 12, 16, 5, 2, OLD_OPS, .jump_unit = 2, .relative = true, .attr_shift = 1},
	{3550, 13, 16, 5, 2, .import_name = 75, .load_const = 83, .extended_arg = 71,
	 .jump_if_false = 97, .to_bool = 40, .load_name = 92, .load_attr = 82, .attr_shift = 1,
	 .jump_unit = 2, .relative = true, .jump_cache = 2},
	{3600, 14, 16, 5, 2, .import_name = 73, .load_const = 82, .load_small_int = 94,
	 .extended_arg = 69, .jump_if_false = 100, .to_bool = 39, .load_name = 93, .load_attr = 80,
	 .attr_shift = 1, .jump_unit = 2, .relative = true, .jump_cache = 2},
};
#define MAGIC_END 3650

/* A version's magic number and CR LF, which a transfer as text would have changed. */
static const struct version *version_of(struct bytes head)
{
	const struct version *found = NULL;
	if (head.n < PYTHON_CODE_HEAD || head.p[2] != '\r' || head.p[3] != '\n')
		return NULL;
	unsigned magic = head.p[0] | (unsigned)head.p[1] << 8;
	for (size_t i = 0; i < ARRAY_LEN(versions) && magic < MAGIC_END; i++)
		if (magic >= versions[i].magic)
			found = &versions[i];
	return found;
}

bool python_is_code(struct bytes head, unsigned *minor)
{
	const struct version *version = version_of(head);
	*minor = version ? version->minor : 0;
	return version != NULL;
}

/* --- marshal --- */

struct marshal {
	struct bytes b;
	size_t at;
	const struct version *version;
	/* where objects begin that others refer to, by their number */
	uint32_t *shared;
	size_t n_shared, shared_cap;
};

static bool skip_bytes(struct marshal *m, size_t n)
{
	if (m->b.n - m->at < n)
		return false;
	m->at += n;
	return true;
}

static bool take_u8(struct marshal *m, uint32_t *out)
{
	if (!skip_bytes(m, 1))
		return false;
	*out = m->b.p[m->at - 1];
	return true;
}

static bool take_u32(struct marshal *m, uint32_t *out)
{
	le32 v;
	if (!skip_bytes(m, sizeof(v)))
		return false;
	memcpy(&v, m->b.p + m->at - sizeof(v), sizeof(v));
	*out = get_le32(v);
	return true;
}

/* An object's type; the high bit says that others may refer to it. */
static bool take_type(struct marshal *m, uint32_t *type)
{
	size_t at = m->at;
	if (!take_u8(m, type))
		return false;
	if (*type & 0x80) {
		if (!try_grow(&m->shared, m->n_shared, &m->shared_cap, sizeof(*m->shared)))
			return false;
		m->shared[m->n_shared++] = (uint32_t)at;
	}
	*type &= 0x7f;
	return true;
}

static bool skip_object(struct marshal *m, unsigned depth);

static bool skip_objects(struct marshal *m, uint32_t n, unsigned depth)
{
	for (uint32_t i = 0; i < n; i++)
		if (!skip_object(m, depth))
			return false;
	return true;
}

/* Keys and values, until there is no more key. */
static bool skip_dict(struct marshal *m, unsigned depth)
{
	while (m->at < m->b.n && m->b.p[m->at] != '0')
		if (!skip_objects(m, 2, depth))
			return false;
	return skip_bytes(m, 1);
}

/* Texts whose lengths have one byte. */
static bool skip_short(struct marshal *m, unsigned n)
{
	uint32_t len;
	while (n--)
		if (!take_u8(m, &len) || !skip_bytes(m, len))
			return false;
	return true;
}

static bool skip_long(struct marshal *m, size_t unit)
{
	uint32_t n;
	if (!take_u32(m, &n))
		return false;
	n = (int32_t)n < 0 ? -n : n; /* a number's sign is that of its length */
	return skip_bytes(m, (size_t)n * unit);
}

static bool skip_code(struct marshal *m, unsigned depth)
{
	return skip_bytes(m, m->version->n_numbers * sizeof(le32)) && skip_objects(m, 8, depth) &&
	       skip_bytes(m, sizeof(le32)) && skip_objects(m, m->version->n_tail, depth);
}

static bool skip_object(struct marshal *m, unsigned depth)
{
	uint32_t type, n;
	if (depth == 0 || !take_type(m, &type))
		return false;
	switch (type) {
	case 'N':
	case 'F':
	case 'T':
	case 'S':
	case '.':
	case '0':
		return true;
	case 'i':
	case 'r':
		return skip_bytes(m, 4);
	case 'g':
	case 'I':
		return skip_bytes(m, 8);
	case 'y':
		return skip_bytes(m, 16);
	case 'f':
		return skip_short(m, 1);
	case 'x':
		return skip_short(m, 2);
	case 'l':
		return skip_long(m, 2);
	case 'z':
	case 'Z':
		return skip_short(m, 1);
	case 's':
	case 't':
	case 'u':
	case 'a':
	case 'A':
		return take_u32(m, &n) && skip_bytes(m, n);
	case ')':
		return take_u8(m, &n) && skip_objects(m, n, depth - 1);
	case '(':
	case '[':
	case '<':
	case '>':
		return take_u32(m, &n) && skip_objects(m, n, depth - 1);
	case '{':
		return skip_dict(m, depth - 1);
	case ':':
		return skip_objects(m, 3, depth - 1);
	case 'c':
		return skip_code(m, depth - 1);
	default:
		return false;
	}
}

/* --- objects that are looked at --- */

/* From here on nothing is noted as shared: it has been walked over before. */
struct look {
	const struct marshal *m;
	size_t at;
};

static bool look_u8(struct look *l, uint32_t *out)
{
	if (l->at >= l->m->b.n)
		return false;
	*out = l->m->b.p[l->at++];
	return true;
}

static bool look_u32(struct look *l, uint32_t *out)
{
	le32 v;
	if (l->at > l->m->b.n || l->m->b.n - l->at < sizeof(v))
		return false;
	memcpy(&v, l->m->b.p + l->at, sizeof(v));
	l->at += sizeof(v);
	*out = get_le32(v);
	return true;
}

/* The type of the object here, or of the one that it refers to: *l then looks at that. What follows
 * the reference is *next. */
static bool look_type(struct look *l, uint32_t *type, size_t *next)
{
	uint32_t number;
	*next = 0;
	if (!look_u8(l, type))
		return false;
	*type &= 0x7f;
	if (*type != 'r')
		return true;
	if (!look_u32(l, &number) || number >= l->m->n_shared)
		return false;
	*next = l->at;
	l->at = l->m->shared[number];
	if (!look_u8(l, type))
		return false;
	*type &= 0x7f;
	return *type != 'r';
}

static bool look_text(struct look *l, struct bytes *out)
{
	uint32_t type, n;
	size_t next;
	if (!look_type(l, &type, &next))
		return false;
	bool is_short = type == 'z' || type == 'Z', is_long = type && strchr("tuaA", (int)type);
	if (!(is_short && look_u8(l, &n)) && !(is_long && look_u32(l, &n)))
		return false;
	if (l->m->b.n - l->at < n)
		return false;
	*out = (struct bytes){l->m->b.p + l->at, n};
	l->at = next ? next : l->at + n;
	return true;
}

static bool look_number(const struct marshal *m, uint32_t off, uint32_t *out)
{
	uint32_t type;
	size_t next;
	struct look l = {m, off};
	return look_type(&l, &type, &next) && type == 'i' && look_u32(&l, out);
}

/* --- instructions --- */

struct offsets {
	uint32_t *at;
	size_t n, cap;
};

struct code {
	struct marshal m;
	struct bytes instructions;
	struct offsets consts, names; /* where each begins */
	unsigned left;		      /* names that may still be looked at */
};

static bool take_items(struct marshal *m, struct offsets *out)
{
	uint32_t type, n;
	if (!take_type(m, &type) ||
	    !(type == ')' ? take_u8(m, &n) : type == '(' && take_u32(m, &n)))
		return false;
	for (uint32_t i = 0; i < min_of(n, ITEMS_MAX); i++) {
		if (!try_grow(&out->at, out->n, &out->cap, sizeof(*out->at)))
			return false;
		out->at[out->n++] = (uint32_t)m->at;
		if (!skip_object(m, DEPTH_MAX))
			return false;
	}
	return n <= ITEMS_MAX;
}

/* One that is shared with something before it is walked over again, where it stands. */
static bool take_tuple(struct marshal *m, struct offsets *out)
{
	uint32_t type, number;
	if (m->at == m->b.n || (m->b.p[m->at] & 0x7f) != 'r')
		return take_items(m, out);
	if (!take_type(m, &type) || !take_u32(m, &number) || number >= m->n_shared)
		return false;
	struct marshal other = {.b = m->b, .at = m->shared[number], .version = m->version};
	bool fits = take_items(&other, out);
	free(other.shared);
	return fits;
}

static bool take_code(struct code *c)
{
	uint32_t type, n;
	struct marshal *m = &c->m;
	if (!skip_bytes(m, m->version->head) || !take_type(m, &type) || type != 'c' ||
	    !skip_bytes(m, m->version->n_numbers * sizeof(le32)) || !take_type(m, &type) ||
	    type != 's' || !take_u32(m, &n) || !skip_bytes(m, n))
		return false;
	c->instructions = (struct bytes){m->b.p + m->at - n, n};
	return take_tuple(m, &c->consts) && take_tuple(m, &c->names);
}

static struct bytes name_at(const struct code *c, uint32_t i)
{
	struct bytes text = {0};
	struct look l = {&c->m, i < c->names.n ? c->names.at[i] : c->m.b.n};
	return look_text(&l, &text) ? text : (struct bytes){0};
}

/* A constant, or a small number that is part of its instruction. */
struct value {
	uint32_t off; /* where the constant begins; NO_OFF: it is a number, or not known */
	uint32_t number;
};

/* What the instructions before an import have loaded. */
struct loaded {
	struct value level, taken;
	bool type_checking;
};

static void load(struct loaded *l, uint32_t off, uint32_t number)
{
	l->level = l->taken;
	l->taken = (struct value){off, number};
}

/* What is taken of a module, each of which may be a module, too. False: the list has ended. */
static bool add_taken(struct code *c, uint32_t off, unsigned level, struct bytes of,
		      struct python_imports *list)
{
	uint32_t type, n;
	size_t next;
	struct look l = {&c->m, off};
	if (off == NO_OFF || !look_type(&l, &type, &next) ||
	    !(type == ')' ? look_u8(&l, &n) : type == '(' && look_u32(&l, &n)))
		return true;
	for (uint32_t i = 0; i < n; i++) {
		struct bytes name;
		if (!look_text(&l, &name) || bytes_equal_str(name, "*"))
			return true;
		if (c->left-- == 0 || !python_imports_add(list, level, of, name))
			return false;
	}
	return true;
}

static bool add_import(struct code *c, const struct loaded *l, uint32_t name,
		       struct python_imports *list)
{
	uint32_t level = l->level.number;
	struct bytes of = name_at(c, name);
	bool is_known = l->level.off == NO_OFF || look_number(&c->m, l->level.off, &level);
	if (!is_known || (level == 0 && of.n == 0))
		return true;
	return python_imports_add(list, level, of, (struct bytes){0}) &&
	       add_taken(c, l->taken.off, level, of, list);
}

static size_t jump_target(const struct version *v, size_t next, uint32_t arg)
{
	size_t to = (size_t)arg * v->jump_unit;
	return v->relative ? next + v->jump_cache + to : to;
}

static void find_imports(struct code *c, struct python_imports *list)
{
	const struct version *v = c->m.version;
	struct loaded l = {.taken = {.off = NO_OFF}};
	uint32_t arg = 0;
	for (size_t at = 0; at + 2 <= c->instructions.n; at += 2) {
		uint8_t op = c->instructions.p[at];
		arg = arg << 8 | c->instructions.p[at + 1];
		if (op == v->extended_arg)
			continue;
		if (op == v->load_const) {
			load(&l, arg < c->consts.n ? c->consts.at[arg] : NO_OFF, NOT_KNOWN);
		} else if (op && op == v->load_small_int) {
			load(&l, NO_OFF, arg);
		} else if (op == v->import_name) {
			if (!add_import(c, &l, arg, list))
				return;
		} else if (op == v->jump_if_false && l.type_checking) {
			size_t to = jump_target(v, at + 2, arg);
			at = max_of(to, at + 2) - 2;
		}
		if (op == v->load_name || op == v->load_attr)
			l.type_checking = bytes_equal_str(
				name_at(c, op == v->load_attr ? arg >> v->attr_shift : arg),
				"TYPE_CHECKING");
		else if (op && op != v->to_bool)
			l.type_checking = false;
		arg = 0;
	}
}

void python_imports_of_code(struct bytes file, struct python_imports *list)
{
	struct code c = {.m = {.b = file, .version = version_of(file)}, .left = LOOKS_MAX};
	if (c.m.version && file.n < NO_OFF && take_code(&c))
		find_imports(&c, list);
	free(c.m.shared);
	free(c.consts.at);
	free(c.names.at);
}
