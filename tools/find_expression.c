/*
 * The grammar of find(1), by recursive descent: list (","), or ("-o"), and ("-a", or nothing), not
 * ("!"), and what stands between parentheses. Nodes live in one array and name each other by their
 * place in it. Evaluation stops where the outcome is decided, so that actions happen in order.
 */
#include "tools/find.h"

#include <string.h>

#define NESTING_MAX 100 /* of parentheses and negations */

enum node_kind { NODE_PRIMARY, NODE_NOT, NODE_AND, NODE_OR, NODE_LIST, NODE_TRUE };

struct node {
	enum node_kind kind;
	const struct primary *primary;
	struct find_value value;
	uint32_t left, right; /* of NOT, left only */
};

struct expression {
	struct node *nodes; /* room for 2 * words + 3: a word adds itself and one that joins */
	uint32_t n, root;
};

struct parser {
	struct expression *e;
	char **words;
	size_t n, at;
	unsigned nesting;
	struct find_time now;
	struct diag *d;
};

int find_arity(const char *word)
{
	static const char *const operators[] = {"(",	")",	"!",  ",",  "-a",
						"-and", "-not", "-o", "-or"};
	const struct primary *primary = find_primary(word);
	if (primary)
		return primary->has_argument;
	for (size_t i = 0; i < ARRAY_LEN(operators); i++)
		if (!strcmp(word, operators[i]))
			return 0;
	return -1;
}

static uint32_t add_node(struct expression *e, struct node node)
{
	e->nodes[e->n] = node;
	return e->n++;
}

static bool next_is(const struct parser *p, const char *a, const char *b)
{
	return p->at < p->n && (!strcmp(p->words[p->at], a) || !strcmp(p->words[p->at], b));
}

/* The word that an operand was expected at, for messages. */
static err_t expected(const struct parser *p)
{
	if (p->at < p->n)
		return fail(p->d, ERR_USAGE, -EINVAL, "a test is missing before '%s'",
			    p->words[p->at]);
	return fail(p->d, ERR_USAGE, -EINVAL, "a test is missing behind '%s'", p->words[p->n - 1]);
}

static err_t parse_primary(struct parser *p, uint32_t *out)
{
	struct node node = {.kind = NODE_PRIMARY, .value.time = p->now};
	const char *word = p->words[p->at];
	err_t err = 0;
	node.primary = find_primary(word);
	if (!node.primary)
		return expected(p);
	p->at++;
	if (node.primary->has_argument && p->at == p->n)
		return fail(p->d, ERR_USAGE, -EINVAL, "an argument must follow '%s'", word);
	if (node.primary->has_argument)
		err = node.primary->parse(p->words[p->at++], &node.value, p->d);
	if (err)
		diag_prepend(p->d, "%s", word);
	else
		*out = add_node(p->e, node);
	return err;
}

static err_t parse_list(struct parser *p, uint32_t *out);

static err_t parse_parentheses(struct parser *p, uint32_t *out)
{
	p->at++;
	err_t err = parse_list(p, out);
	if (err)
		return err;
	if (!next_is(p, ")", ")"))
		return fail(p->d, ERR_USAGE, -EINVAL, "')' is missing");
	p->at++;
	return 0;
}

static err_t parse_not(struct parser *p, uint32_t *out)
{
	if (p->at == p->n)
		return expected(p);
	if (!next_is(p, "!", "-not") && !next_is(p, "(", "("))
		return parse_primary(p, out);
	if (++p->nesting > NESTING_MAX)
		return fail(p->d, ERR_USAGE, -EINVAL, "nested deeper than %d", NESTING_MAX);
	err_t err;
	if (next_is(p, "(", "(")) {
		err = parse_parentheses(p, out);
	} else {
		p->at++;
		err = parse_not(p, out);
		if (!err)
			*out = add_node(p->e, (struct node){.kind = NODE_NOT, .left = *out});
	}
	p->nesting--;
	return err;
}

/* One more operand, joined to the left one. */
static err_t join(struct parser *p, enum node_kind kind,
		  err_t (*operand)(struct parser *p, uint32_t *out), uint32_t *left)
{
	uint32_t right;
	err_t err = operand(p, &right);
	if (!err)
		*left = add_node(p->e, (struct node){.kind = kind, .left = *left, .right = right});
	return err;
}

static err_t parse_and(struct parser *p, uint32_t *out)
{
	err_t err = parse_not(p, out);
	while (!err && p->at < p->n && !next_is(p, "-o", "-or") && !next_is(p, ",", ")")) {
		if (next_is(p, "-a", "-and"))
			p->at++;
		err = join(p, NODE_AND, parse_not, out);
	}
	return err;
}

static err_t parse_or(struct parser *p, uint32_t *out)
{
	err_t err = parse_and(p, out);
	while (!err && next_is(p, "-o", "-or")) {
		p->at++;
		err = join(p, NODE_OR, parse_and, out);
	}
	return err;
}

static err_t parse_list(struct parser *p, uint32_t *out)
{
	err_t err = parse_or(p, out);
	while (!err && next_is(p, ",", ",")) {
		p->at++;
		err = join(p, NODE_LIST, parse_or, out);
	}
	return err;
}

bool expression_has(const struct expression *e, enum primary_kind action)
{
	for (uint32_t i = 0; i < e->n; i++)
		if (e->nodes[i].kind == NODE_PRIMARY && e->nodes[i].primary->kind == action)
			return true;
	return false;
}

static void print_without_action(struct expression *e)
{
	if (expression_has(e, PRIMARY_PRINT) || expression_has(e, PRIMARY_PRINT0) ||
	    expression_has(e, PRIMARY_LS) || expression_has(e, PRIMARY_PRINTF))
		return;
	uint32_t print =
		add_node(e, (struct node){.kind = NODE_PRIMARY, .primary = find_primary("-print")});
	e->root = add_node(e, (struct node){.kind = NODE_AND, .left = e->root, .right = print});
}

static err_t parse_all(struct parser *p)
{
	if (!p->n) {
		p->e->root = add_node(p->e, (struct node){.kind = NODE_TRUE});
		return 0;
	}
	err_t err = parse_list(p, &p->e->root);
	if (!err && p->at < p->n)
		return fail(p->d, ERR_USAGE, -EINVAL, "')' without '('");
	return err;
}

err_t expression_parse(char **words, size_t n, struct find_time now, struct expression **out,
		       struct diag *d)
{
	if (n > FIND_WORDS_MAX)
		return fail(d, ERR_USAGE, -EINVAL, "more than %d words", FIND_WORDS_MAX);
	struct expression *e = new_of(struct expression);
	struct parser p = {.e = e, .words = words, .n = n, .now = now, .d = d};
	e->nodes = xcalloc(2 * n + 3, sizeof(*e->nodes));
	err_t err = parse_all(&p);
	if (err) {
		expression_free(&e);
		return err;
	}
	print_without_action(e);
	*out = e;
	return 0;
}

void expression_free(struct expression **e)
{
	if (*e)
		free((*e)->nodes);
	free(take(e));
}

err_t expression_bind(struct expression *e, const struct index *tree, struct diag *d)
{
	for (uint32_t i = 0; i < e->n; i++) {
		struct node *node = &e->nodes[i];
		if (node->kind != NODE_PRIMARY || !node->primary->bind)
			continue;
		err_t err = node->primary->bind(tree, &node->value, d);
		if (err) {
			diag_prepend(d, "%s", node->primary->name);
			return err;
		}
	}
	return 0;
}

void expression_depths(const struct expression *e, uint64_t *min, uint64_t *max)
{
	*min = 0;
	*max = UINT64_MAX;
	for (uint32_t i = 0; i < e->n; i++) {
		const struct node *node = &e->nodes[i];
		if (node->kind == NODE_PRIMARY && node->primary->kind == PRIMARY_MINDEPTH)
			*min = node->value.number;
		if (node->kind == NODE_PRIMARY && node->primary->kind == PRIMARY_MAXDEPTH)
			*max = node->value.number;
	}
}

err_t expression_check(const struct expression *e, enum primary_kind action,
		       err_t (*check)(const char *text, struct diag *d), struct diag *d)
{
	err_t err = 0;
	for (uint32_t i = 0; i < e->n && !err; i++) {
		const struct node *node = &e->nodes[i];
		if (node->kind == NODE_PRIMARY && node->primary->kind == action)
			err = check(node->value.text, d);
	}
	return err;
}

/* One evaluation. */
struct evaluation {
	const struct expression *e;
	const struct candidate *c;
	void (*act)(void *context, const struct candidate *c, enum primary_kind action,
		    const char *text);
	void *context;
	struct find_outcome *outcome;
};

static bool eval_primary(const struct evaluation *ev, const struct node *node)
{
	switch (node->primary->kind) {
	case PRIMARY_TEST:
		return node->primary->test(&node->value, ev->c);
	case PRIMARY_PRUNE:
		ev->outcome->prune = true;
		return true;
	case PRIMARY_QUIT:
		ev->outcome->quit = true;
		return true;
	case PRIMARY_MAXDEPTH:
	case PRIMARY_MINDEPTH:
	case PRIMARY_DEPTH:
		return true;
	default:
		ev->act(ev->context, ev->c, node->primary->kind, node->value.text);
		return true;
	}
}

static bool eval(const struct evaluation *ev, uint32_t at)
{
	const struct node *node = &ev->e->nodes[at];
	bool left = node->kind != NODE_PRIMARY && node->kind != NODE_TRUE && eval(ev, node->left);
	if (ev->outcome->quit)
		return false;
	switch (node->kind) {
	case NODE_NOT:
		return !left;
	case NODE_AND:
		return left && eval(ev, node->right);
	case NODE_OR:
		return left || eval(ev, node->right);
	case NODE_LIST:
		return eval(ev, node->right);
	case NODE_PRIMARY:
		return eval_primary(ev, node);
	default:
		return true;
	}
}

bool expression_eval(const struct expression *e, const struct candidate *c,
		     void (*act)(void *context, const struct candidate *c, enum primary_kind action,
				 const char *text),
		     void *context, struct find_outcome *outcome)
{
	const struct evaluation ev = {e, c, act, context, outcome};
	*outcome = (struct find_outcome){0};
	return eval(&ev, e->root);
}
