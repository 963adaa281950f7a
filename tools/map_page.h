/*
 * map_page - the parts of the page that are the same for every image
 */
#ifndef IMGFS_TOOLS_MAP_PAGE_H
#define IMGFS_TOOLS_MAP_PAGE_H

/* Rules for a <style> beside those of svg_style, and the text of a <script>. */
extern const char map_page_style[], map_page_script[];

#endif
