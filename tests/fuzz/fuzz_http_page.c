/*
 * Any bytes as a request to the page of metrics, in pieces: whatever is said of the whole is said
 * of it however it arrives, and nothing is answered before its head is complete.
 */
#include "fs/http_page.c"

#define EACH_MAX 512 /* longer pieces are tried in larger steps */
#define STEP	 97

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum http_page_answer first = HTTP_PAGE_INCOMPLETE;
	bool head = false, first_head = false;
	size_t len = min_of(size, (size_t)HTTP_PAGE_REQUEST_MAX);
	for (size_t n = 0; n <= len;
	     n += n < EACH_MAX || n == len ? 1 : min_of(len - n, (size_t)STEP)) {
		/* Of its exact size: a look behind it is found. */
		uint8_t *piece = malloc(max_of(n, (size_t)1));
		BUG_ON(!piece);
		if (n)
			memcpy(piece, data, n);
		enum http_page_answer answer =
			http_page_judge((struct bytes){piece, n}, "/metrics", &head);
		free(piece);
		BUG_ON(answer == HTTP_PAGE_TOO_LONG && n < HTTP_PAGE_REQUEST_MAX);
		BUG_ON(head && answer != HTTP_PAGE_OK && answer != HTTP_PAGE_UNKNOWN);
		if (first == HTTP_PAGE_INCOMPLETE) {
			first = answer;
			first_head = head;
		} else {
			BUG_ON(answer != first || head != first_head);
		}
	}
	return 0;
}
