/*
 * version - what `imgfs --version` says: the program, the libraries it runs with, its features
 */
#ifndef IMGFS_TOOLS_VERSION_H
#define IMGFS_TOOLS_VERSION_H

/* version_print - three lines on standard output: "imgfs N", "libraries: ...", "features: ...". */
void version_print(void);

#endif
