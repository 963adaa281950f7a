/*
 * content_loader_priv - the objects of content_loader.c, for those who know what they are: programs
 * and libraries (content_loader_elf.c), modules (content_loader_modules.c) of Python
 * (content_loader_python.c) and Node.js (content_loader_node.c)
 */
#ifndef IMGFS_FETCH_CONTENT_LOADER_PRIV_H
#define IMGFS_FETCH_CONTENT_LOADER_PRIV_H

#include "fetch/content_priv.h"

#include "fetch/log.h"
#include "index/elf.h"
#include "index/js_imports.h"
#include "index/library.h"
#include "index/python.h"

#define WHOLE_MAX   (12u << 20) /* files up to this size are fetched whole, */
#define SEGMENT_MAX (4u << 20)	/* of others so much of a segment */
#define OBJECT_MS   10000	/* then what has not come of an object is given up */

#define NO_ROW UINT32_MAX

/* Why an object is there. Interpreters and libraries that one names are there for the same reason
 * (of one that was reached: NAMED); what one imports is a MODULE in any case. */
enum reason {
	REACHED,  /* a reader came to it */
	NAMED,	  /* by what was reached */
	EXPECTED, /* as part of a start: it says nothing about guesses */
	MODULE,	  /* imported */
};

/* In this order; each needs what is named to be in the store. */
enum stage {
	AT_HEAD,    /* the headers */
	AT_LOADER,  /* the path of the program's loader */
	AT_DYNAMIC, /* the dynamic section */
	AT_SEARCH,  /* the object's search path */
	AT_NAMES,   /* the name of library `next` */
	AT_MODULE,  /* all of it */
	AT_IMPORTS, /* nothing more; as many as there may be */
	AT_END,
};

/* What is known of an object's head at first. */
enum head {
	HEAD_WANTED, /* of a guess: it is asked for */
	HEAD_COMES,  /* the reader misses it, too */
	HEAD_HERE,   /* or not: bytes from the middle of a data file bring no others */
};

enum go {
	GO_ON,
	GO_WAIT, /* until more is in the store */
	GO_END,	 /* nothing more will come of this object */
};

enum language {
	NO_LANGUAGE,
	PYTHON,
	NODE,
};

struct object {
	TAILQ_ENTRY(object) in_list;
	uint32_t row;
	enum head head;
	enum reason reason;
	uint64_t size;
	int64_t until_ms;
	enum stage stage;
	bool asked; /* for what the stage needs */
	/* what is still to be asked for whatever the stage */
	struct elf_range wishes[ELF_LOADS_MAX];
	unsigned n_wishes;
	/* programs and libraries */
	unsigned next;
	struct elf elf;
	struct elf_dynamic dynamic;
	struct library_user user; /* who looks for its libraries, and where */
	/* modules */
	enum language language;
	bool is_coming;	 /* counted as such */
	bool is_package; /* a package.json: it says which file the module is */
	uint32_t source; /* the directory of its source; NO_ROW: not known */
	struct python_imports imports;
	struct js_imports names;
	size_t import_at;
};
TAILQ_HEAD(object_list, object);

/* The feeder's. */
struct modules {
	bool has_python; /* it is known which one */
	bool has_node;
	struct python python;
	uint64_t names_passed; /* to find out where modules lie */
	unsigned n_objects;
	unsigned n_coming; /* of these, those of which nothing is known yet */
};

/* A file that a reader missed something of, or that is expected to be read. */
struct news {
	uint32_t row;
	enum head head;
	struct buf path; /* of what is expected */
};

#define NEWS_MAX 256

struct loader {
	/* by row, from the first regular one */
	_Atomic(uint8_t) *seen;
	uint32_t first_row, n_rows;
	_Atomic(bool) active; /* there are objects, or rows to make them of; set under lock */
	_Atomic(int64_t) paused_until_ms;
	/* guesses, and those that a reader came to */
	_Atomic(uint32_t) made, used;
	_Atomic(uint32_t) modules_made, modules_used;
	_Atomic(uint64_t) module_bytes_made, module_bytes_used;

	struct lock lock;
	/* under lock */
	struct news news[NEWS_MAX]; /* not yet objects */
	size_t n_news;
	struct feeder feeder;
	/* the feeder's */
	struct object_list objects;
	struct object *place; /* what the object that goes on names stands behind this one */
	unsigned n_objects, n_expected;
	uint64_t expected_bytes;
	struct library_dirs dirs;
	bool dirs_known;
	struct modules modules;
};

/* --- content_loader.c --- */

/* need - the bytes [off, off + n) of the object's file, if they are in the store; else they are
 * asked for, once. p NULL: only whether they are. need_text - text that ends with NUL, at most n
 * bytes; *len 0: there is none. */
enum go need(struct content *c, struct object *o, uint64_t off, size_t n, void *p);
enum go need_text(struct content *c, struct object *o, uint64_t off, size_t n, char *p,
		  size_t *len);
/* object_wish - bytes are to be asked for as soon as there is room, whatever the stage;
 * object_ask_wishes - is there? */
void object_wish(struct object *o, uint64_t off, uint64_t len);
void object_ask_wishes(struct content *c, struct object *o);
/* object_named - an object names a file, which lies in this directory (taken; NULL: not known). */
void object_named(struct content *c, const struct object *by, uint32_t row, struct buf *dir);
/* object_module - a module is imported, whose source lies in this directory; that there is room for
 * more than a few is for the caller to see. NULL: it was come to before. */
struct object *object_module(struct content *c, uint32_t row, uint32_t dir, enum language language);

/* --- content_loader_elf.c --- */

/* elf_begin - of an object's first bytes: the object goes on as a program or a library; false: it
 * is none. script_begin - what they name, if they are those of a script, becomes an object, and if
 * it runs modules, the object goes on as one. */
bool elf_begin(struct content *c, struct object *o, struct bytes head);
void script_begin(struct content *c, struct object *o, struct bytes head);
enum go elf_step_loader(struct content *c, struct object *o);
enum go elf_step_dynamic(struct content *c, struct object *o);
enum go elf_step_search(struct content *c, struct object *o);
enum go elf_step_name(struct content *c, struct object *o);

/* --- content_loader_modules.c --- */

/* modules_begin - a program at this path is started. If it runs modules, it is known from now on
 * where they lie, and those that are imported in any case are objects. */
enum language modules_begin(struct content *c, struct bytes program);
/* modules_reached - a reader came to this program: the same, if it is one by its name. */
void modules_reached(struct content *c, uint32_t row);
/* modules_have_come - what an object says of others is known. */
void modules_have_come(struct loader *l, struct object *o);
/* modules_dir - the row of a directory, or NO_ROW. */
uint32_t modules_dir(const struct content *c, struct bytes path);
/* modules_expected - a file at this path, whose object is new, is named by who starts a container.
 */
void modules_expected(struct content *c, struct object *o, struct bytes path);
/* modules_script - the object is a script of a language. */
void modules_script(struct content *c, struct object *o, enum language language);
/* modules_look - an object is neither a program nor a script: if it is a module, it goes on as
 * that. */
void modules_look(struct content *c, struct object *o, struct bytes head);
enum go modules_step_module(struct content *c, struct object *o);
enum go modules_step_imports(struct content *c, struct object *o);
/* modules_have_room - whether one more may be fetched: not too far ahead of the reader, nor at the
 * end of the mount. */
bool modules_have_room(const struct content *c);
/* What becomes of guesses: made, then read, or taken back. */
void modules_made(struct loader *l, struct object *o);
void modules_read(struct content *c, uint32_t row);
void modules_taken_back(struct loader *l, const struct object *o);
/* modules_forget - an object ends; modules_drop - all will, and may begin again. */
void modules_forget(struct loader *l, struct object *o);
void modules_drop(struct loader *l);

/* --- content_loader_python.c, content_loader_node.c --- */

/* python_begin, node_begin - which Python it is was found out just now, or that there is a Node.
 * @started  a program of it is, and the words that a container starts with say what it imports */
void python_begin(struct content *c, bool started);
void node_begin(struct content *c);
/* node_import_scope - Node reads the nearest package.json of what it starts with. */
void node_import_scope(struct content *c, uint32_t dir);
/* python_look_through, node_look_through - find what a module imports in its bytes. */
void python_look_through(struct object *o, struct bytes file);
void node_look_through(struct object *o, struct bytes file);
/* python_import, node_import - make objects of the next IMPORTS_AT_ONCE names that a module
 * imports, whose source lies in this directory, from *at on, as long as there is room; true: that
 * is all. In a hostile tree a name can cost half a second. */
#define IMPORTS_AT_ONCE 16
bool python_import(struct content *c, const struct python_imports *list, size_t *at, uint32_t dir);
bool node_import(struct content *c, const struct js_imports *list, size_t *at, uint32_t dir);

#endif
