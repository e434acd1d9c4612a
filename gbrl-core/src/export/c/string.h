/* What exported C needs of <string.h>, for targets without a C library. */
#ifndef GBRL_STRING_H
#define GBRL_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif
