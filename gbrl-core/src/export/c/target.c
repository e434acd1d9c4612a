#include <float.h>
#include <limits.h>

#if (FLT_RADIX != 2) || (FLT_MANT_DIG != 24) || (FLT_MAX_EXP != 128)
#error "float must be the 32-bit number of IEEE 754"
#endif
#if UINT_MAX < 0xffffffff
#error "int must have at least 32 bits"
#endif
