/*
 * http_page - a web server for one page: bounded in connections, in bytes, and in time
 */
#ifndef IMGFS_FS_HTTP_PAGE_H
#define IMGFS_FS_HTTP_PAGE_H

#include "index/base.h"

#define HTTP_PAGE_REQUEST_MAX 8192 /* bytes of a request; what others accept for its head */
#define HTTP_PAGE_CONNECTIONS 16   /* more wait in the kernel's queue */
#define HTTP_PAGE_SECONDS     5	   /* for all of a connection */

/* What a request turned out to be. */
enum http_page_answer {
	HTTP_PAGE_INCOMPLETE, /* more has to come */
	HTTP_PAGE_OK,
	HTTP_PAGE_BAD,	    /* 400 */
	HTTP_PAGE_UNKNOWN,  /* 404 */
	HTTP_PAGE_METHOD,   /* 405 */
	HTTP_PAGE_TOO_LONG, /* 431 */
};

/* http_page_judge - the bytes that came so far, asked of a server of the page `path`; *head: only
 * the head of the answer is wanted. */
enum http_page_answer http_page_judge(struct bytes request, const char *path, bool *head);

struct http_page {
	int listen_fd, stop_fd;
	const char *path;	  /* "/metrics" */
	const char *content_type; /* of the page */
	err_t (*write)(void *arg, struct buf *out);
	void *arg;
};

/* http_page_serve - answer requests until stop_fd is readable; borrows both descriptors, which must
 * not block. Sleeps while nobody asks. */
void http_page_serve(const struct http_page *page);

#endif
