/*
 * trim - give back what only the start of a mount needed
 */
#ifndef IMGFS_FS_TRIM_H
#define IMGFS_FS_TRIM_H

/*
 * trim_memory - return free heap, and unmap the pages of program and libraries
 * An idle mount then holds what it uses. Code is mapped again when it runs, from the page cache, 64
 * KiB at a time; unmapped, its pages are the first that a machine short of memory can take. Any
 * thread. Cost: some 100 microseconds, and what the kernel takes for the heap that
 * is given back.
 */
void trim_memory(void);

#endif
